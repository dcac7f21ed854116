#include "conv_mult/run/experiment.hpp"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <utility>

#include "conv_mult/model/model_file.hpp"
#include "conv_mult/model/variants.hpp"
#include "conv_mult/run/evaluation.hpp"
#include "conv_mult/run/machine.hpp"
#include "conv_mult/run/task.hpp"

namespace conv_mult {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The two forms of an error over so many pixels.
double loss_of_norm(LossKind kind, double norm, double pixels) {
  return kind == LossKind::mse ? norm * norm / pixels : norm;
}

double norm_of_loss(LossKind kind, double loss, double pixels) {
  return kind == LossKind::mse ? std::sqrt(loss * pixels) : loss;
}

/// What the training of the block starts from.
Model starting_model(const RowConfig& row, SeedRange seeds, at::ScalarType dtype, c10::Device device) {
  return row.start.empty()
             ? make_model(row.architecture, seeds, dtype, device)
             : make_model(row.architecture, at::tensor(row.start, dtype).unsqueeze(0).to(device));
}

Model in_float64(const Model& model) { return make_model(model.architecture, weights_of(model)); }

/// A model of all these runs' weights.
Model model_of(const Architecture& architecture, const std::vector<RunRecord>& runs) {
  std::vector<at::Tensor> weights;
  weights.reserve(runs.size());
  for (const auto& run : runs) {
    weights.push_back(at::tensor(run.weights, at::kDouble));
  }
  return make_model(architecture, at::stack(weights));
}

void add_sparsity(const Architecture& architecture, std::vector<RunRecord>& runs) {
  if (const auto errors = sparsity_error(model_of(architecture, runs))) {
    for (std::size_t i = 0; i < runs.size(); ++i) {
      runs[i].sparsity_error = errors->data_ptr<double>()[i];
    }
  }
}

/// What `finished` has of the row: its runs and the time that they took.
void take_over(const Architecture& architecture, VariantResult& row, std::vector<VariantResult>& finished) {
  for (auto& earlier : finished) {
    if (earlier.scene == row.scene && earlier.variant == row.variant && earlier.depth == row.depth &&
        earlier.width == row.width && earlier.optimizer == row.optimizer &&
        earlier.learning_rate == row.learning_rate && !earlier.runs.empty()) {
      row.runs = std::move(earlier.runs);
      row.seconds = earlier.seconds;
      add_sparsity(architecture, row.runs);
    }
  }
}

/// Everything that the rows share.
class Experiment {
 public:
  Experiment(const Config& config, const OnProgress& on_progress)
      : config_(config),
        on_progress_(on_progress),
        device_(resolve_device(config.machine.device)),
        dtype_(config.machine.dtype == Dtype::float64 ? at::kDouble : at::kFloat),
        seeds_(seeds_of_shard(config)) {
    result_.header.conv_mult = conv_mult_version();
    result_.header.libtorch = libtorch_version();
    result_.header.device = device_.str();
    result_.header.threads = at::get_num_threads();
    result_.header.dtype = to_string(config.machine.dtype);
    result_.header.first_seed = seeds_.first;
    result_.header.seeds = seeds_.count;
    result_.header.loss = to_string(config.training.loss);
    result_.grid = is_grid(config.training);
    result_.sizes = config.depths.size() * config.widths.size() > 1 &&
                    std::any_of(config.variants.begin(), config.variants.end(), is_deep);
    for (std::size_t scene = 0; scene < scene_count(config); ++scene) {
      tasks_.emplace_back(config, scene);
      result_.header.scenes.push_back(tasks_.back().record());
    }
  }

  ExperimentResult& result() { return result_; }

  VariantResult& start_row(const RowConfig& config) {
    const auto& [variant, kernel_size, depth, width] = config.architecture;
    const auto start = Clock::now();
    const auto data = tasks_[config.scene].training_data(config.architecture, dtype_, device_).first;
    auto& row = result_.variants.emplace_back();
    auto& scene = result_.header.scenes[config.scene];
    if (scene.data_seconds == 0) {
      scene.data_seconds = seconds_since(start);
    }
    row.scene = config.scene;
    row.variant = to_string(variant);
    if (is_deep(variant)) {
      row.depth = depth;
      row.width = width;
    }
    row.optimizer = to_string(config.training.optimizer);
    row.learning_rate = config.training.learning_rate;
    row.steps = config.training.steps;
    row.parameters = parameter_count(config.architecture);
    row.data_form = to_string(data.form);
    row.rows = data.rows();
    row.floor = tasks_[config.scene].floor(config.architecture);
    return row;
  }

  /// Trains the block of seeds that follows what the row has. Returns whether to go on: false after an
  /// interruption, in the block or at its end.
  bool train_block(const RowConfig& config, VariantResult& row) {
    const auto& task = tasks_[config.scene];
    const auto& scene = task.record();
    const auto& training = config.training;
    const auto done = static_cast<std::int64_t>(row.runs.size());
    const SeedRange block{seeds_.first + done, std::min(block_size(config, row.rows), seeds_.count - done)};
    auto data = task.training_data(config.architecture, dtype_, device_);
    const double pixels = data.first.pixels();
    const bool checked = task.success_needs_checks();
    const double success_loss = checked ? 0 : loss_of_norm(training.loss, scene.success_norm, pixels);
    Recorder recorder(block.first, block.count, {training.steps, config_.output.log_every, success_loss});
    Progress progress;
    progress.row = (tasks_.size() > 1 ? scene.name + ", " : "") + row_name(row, result_);
    progress.first_seed = block.first;
    progress.last_seed = block.first + block.count - 1;
    bool go_on = true;

    const auto start = Clock::now();
    auto model = starting_model(config, block, dtype_, device_);
    TrainingCallbacks callbacks;
    callbacks.on_losses = [&](std::int64_t step, const at::Tensor& losses) {
      const auto* values = losses.data_ptr<double>();
      for (std::int64_t i = 0; i < losses.size(0); ++i) {
        recorder.take(step + i, values + i * block.count);
      }
      progress.step = step + losses.size(0) - 1;
      progress.loss = losses[-1][0].item<double>();
      go_on = on_progress_(progress);
      return go_on && !recorder.all_diverged();
    };
    callbacks.check_every = checked ? config_.check_every : 0;
    callbacks.on_check = [&](std::int64_t step) {
      const auto errors = task.errors(in_float64(model), scene.judged);
      recorder.check(step, errors.data_ptr<double>(), scene.success_norm);
    };
    train(model, std::move(data), training, callbacks);
    row.seconds += seconds_since(start);

    auto runs = recorder.finish();
    const bool finished = std::none_of(
        runs.begin(), runs.end(), [](const RunRecord& run) { return run.status == RunStatus::interrupted; });
    if (finished) {
      complete(runs, in_float64(model), task, pixels);
    } else {
      for (auto& run : runs) {  // also those that had diverged: a block is done as a whole or not at all
        run.status = RunStatus::interrupted;
      }
    }
    std::move(runs.begin(), runs.end(), std::back_inserter(row.runs));
    update(row);
    return go_on;
  }

  /// The statistics of a row whose runs have changed.
  void update(VariantResult& row) const {
    row.statistics = statistics_of(row.runs, result_.scene_of(row));
    row.shown = median_run(row.runs);
  }

  bool is_complete(const VariantResult& row) const {
    return static_cast<std::int64_t>(row.runs.size()) == seeds_.count &&
           row.runs.back().status != RunStatus::interrupted;
  }

  /// The output over the whole scene and, if asked for, the file of the model.
  void add_shown_run(const RowConfig& config, VariantResult& row) const {
    const auto model = model_of(config.architecture, {row.runs[row.shown]});
    const auto pixels = tasks_[config.scene].render(model).to(at::kFloat).contiguous();
    const auto* begin = pixels.data_ptr<float>();
    row.output = {config_.scene.height, config_.scene.width, {begin, begin + pixels.numel()}};
    if (config_.output.save_model) {
      row.saved_model = model_file(make_model(config.architecture, weights_of(model).to(dtype_)));
    }
  }

 private:
  /// Adds weights and errors to the runs that `model`, in float64, ended as.
  void complete(std::vector<RunRecord>& runs, const Model& model, const Task& task, double pixels) const {
    const auto& splits = task.record().splits;
    const LossKind loss = config_.training.loss;
    const auto weights = weights_of(model);
    const std::int64_t length = weights.size(1);
    std::vector<at::Tensor> errors(splits.size());
    for (std::size_t i = task.resampled() ? 0 : 1; i < splits.size(); ++i) {  // `train` has the final loss
      errors[i] = task.errors(model, i);
    }
    for (std::size_t i = 0; i < runs.size(); ++i) {
      auto& run = runs[i];
      const auto* row = weights.data_ptr<double>() + static_cast<std::int64_t>(i) * length;
      run.weights.assign(row, row + length);
      if (run.status != RunStatus::ok) {
        continue;
      }
      for (const auto& error : errors) {
        run.split_losses.push_back(error.defined() ? error.data_ptr<double>()[i]
                                                   : norm_of_loss(loss, *run.final_loss, pixels));
      }
      if (task.resampled()) {
        run.final_loss = loss_of_norm(loss, run.split_losses.front(), splits.front().pixels);
      }
    }
    add_sparsity(model.architecture, runs);
  }

  /// Seeds trained side by side: as many as keep a step's tensors below some 256 MiB.
  std::int64_t block_size(const RowConfig& row, std::int64_t rows) const {
    constexpr std::int64_t most_bytes = 256 << 20;
    constexpr std::int64_t tensors = 8;  // output, its gradient, what autograd keeps in between
    const std::int64_t most_seeds = device_.is_cuda() ? 65536 : 1024;
    const auto element = static_cast<std::int64_t>(c10::elementSize(dtype_));
    const auto bytes = tensors * rows * element * values_per_pixel(row.architecture);
    return std::clamp<std::int64_t>(most_bytes / bytes, 1, most_seeds);
  }

  const Config& config_;
  const OnProgress& on_progress_;
  c10::Device device_;
  at::ScalarType dtype_;
  SeedRange seeds_;  ///< of this shard
  std::vector<Task> tasks_;
  ExperimentResult result_;
};

}  // namespace

ExperimentResult run_experiment(const Config& config, ExperimentResult finished,
                                const OnProgress& on_progress, const OnBlock& on_block) {
  Experiment experiment(config, on_progress);
  auto& result = experiment.result();
  const auto publish = [&] {
    result.comparisons = comparisons_of(result);
    mark_best(result.variants);
    on_block(result);
  };

  bool trained = false;
  const auto rows = rows_of(config);
  for (const auto& row_config : rows) {
    auto& row = experiment.start_row(row_config);
    take_over(row_config.architecture, row, finished.variants);
    experiment.update(row);
    while (!experiment.is_complete(row)) {
      trained = true;
      const bool go_on = experiment.train_block(row_config, row);
      const bool all_done = result.variants.size() == rows.size() && experiment.is_complete(row);
      if (!go_on && !all_done) {
        result.status = ExperimentStatus::interrupted;
        publish();
        return std::move(result);
      }
      publish();
    }
  }
  if (!trained) {  // the machine that the numbers come from
    result.header.device = finished.header.device;
    result.header.threads = finished.header.threads;
    result.header.libtorch = finished.header.libtorch;
  }
  result.status = ExperimentStatus::complete;
  publish();
  for (std::size_t i = 0; i < result.variants.size(); ++i) {
    if (result.variants[i].best && result.variants[i].scene == 0) {
      experiment.add_shown_run(rows[i], result.variants[i]);
    }
  }
  return std::move(result);
}

}  // namespace conv_mult
