#include "conv_mult/run/experiment.hpp"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <utility>

#include "conv_mult/data/dataset.hpp"
#include "conv_mult/data/heldout.hpp"
#include "conv_mult/data/scene.hpp"
#include "conv_mult/model/optimum.hpp"
#include "conv_mult/model/variants.hpp"
#include "conv_mult/run/evaluation.hpp"
#include "conv_mult/run/machine.hpp"
#include "conv_mult/run/trainer.hpp"

namespace conv_mult {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// [H, W], or any view of as many pixels.
Image to_image(const at::Tensor& pixels, const SceneConfig& scene) {
  const auto values = pixels.to(at::kCPU, at::kFloat).contiguous();
  const auto* begin = values.data_ptr<float>();
  return {scene.height, scene.width, {begin, begin + values.numel()}};
}

/// A scene ready for evaluation: in float64, because exp of weights that fit 1 and 2 overflows float32 on 4.
/// Made anew each time, one at a time: all of them would take gigabytes where the kernel is large.
Dataset evaluation_data(const SceneConfig& scene, std::int64_t kernel_size) {
  return make_dataset(scene, at::kDouble, DataForm::patches, kernel_size);
}

/// The loss of every replica over all scenes together: float64, [N].
at::Tensor evaluate(ConvLayer& model, const SceneSplit& split, std::int64_t kernel_size) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> losses;
  for (const auto& scene : split.scenes) {
    const auto data = evaluation_data(scene, kernel_size);
    losses.push_back(l2_loss(model->forward(data.input, data.form), data));
  }
  return at::stack(losses).norm(2, at::IntArrayRef{0});
}

/// Everything that the rows share.
class Experiment {
 public:
  Experiment(const Config& config, const OnProgress& on_progress)
      : config_(config),
        on_progress_(on_progress),
        device_(resolve_device(config.machine.device)),
        seeds_(seeds_of_shard(config)),
        train_patches_(evaluation_data(config.scene, config.kernel_size)),
        splits_(make_splits(config.scene, config.held_out)) {
    const auto dtype = config.machine.dtype == Dtype::float64 ? at::kDouble : at::kFloat;
    const auto start = Clock::now();
    data_ = make_dataset(config.scene, dtype, config.data, config.kernel_size).to(device_);
    const double data_seconds = seconds_since(start);

    header_.conv_mult = conv_mult_version();
    header_.libtorch = libtorch_version();
    header_.device = device_.str();
    header_.threads = at::get_num_threads();
    header_.dtype = to_string(config.machine.dtype);
    header_.first_seed = seeds_.first;
    header_.seeds = seeds_.count;
    header_.success = config.success;
    header_.data_form = to_string(data_.form);
    header_.rows = data_.rows();
    header_.data_seconds = data_seconds;
    for (const auto& split : splits_) {
      double norm = 0;
      for (const auto& scene : split.scenes) {
        norm = std::hypot(norm, target_norm(scene));
      }
      header_.splits.push_back({split.name, static_cast<std::int64_t>(split.scenes.size()), norm});
    }
    header_.target_norm = header_.splits.front().target_norm;
    const auto scene = make_rectangles(config.scene, at::kFloat);
    header_.a = to_image(scene.a, config.scene);
    header_.b = to_image(scene.b, config.scene);
    header_.target = to_image(scene.target, config.scene);
  }

  const RunHeader& header() const { return header_; }

  VariantResult start_row(Variant variant, const TrainingConfig& training) const {
    VariantResult row;
    row.variant = to_string(variant);
    row.optimizer = to_string(training.optimizer);
    row.learning_rate = training.learning_rate;
    row.steps = training.steps;
    row.parameters = 2 * config_.kernel_size * config_.kernel_size + 1;
    row.floor = loss_floor(variant, train_patches_, config_.kernel_size);
    return row;
  }

  /// Trains the block of seeds that follows what the row has. Returns whether to go on: false after an
  /// interruption, in the block or at its end.
  bool train_block(Variant variant, const TrainingConfig& training, VariantResult& row) {
    const auto done = static_cast<std::int64_t>(row.runs.size());
    const SeedRange block{seeds_.first + done, std::min(block_size(), seeds_.count - done)};
    Recorder recorder(block.first, block.count,
                      {training.steps, config_.output.log_every, config_.success * header_.target_norm});
    Progress progress;
    progress.row = row_name(row, is_grid(config_.training));
    progress.first_seed = block.first;
    progress.last_seed = block.first + block.count - 1;
    bool go_on = true;

    const auto start = Clock::now();
    auto model = make_model(variant, config_.kernel_size, block, data_.target.scalar_type(), device_);
    train(model, data_, training, [&](std::int64_t step, const at::Tensor& losses) {
      const auto* values = losses.data_ptr<double>();
      for (std::int64_t i = 0; i < losses.size(0); ++i) {
        recorder.take(step + i, values + i * block.count);
      }
      progress.step = step + losses.size(0) - 1;
      progress.loss = losses[-1][0].item<double>();
      go_on = on_progress_(progress);
      return go_on && !recorder.all_diverged();
    });
    row.seconds += seconds_since(start);

    auto runs = recorder.finish();
    const bool finished = std::none_of(
        runs.begin(), runs.end(), [](const RunRecord& run) { return run.status == RunStatus::interrupted; });
    if (finished) {
      complete(runs, model);
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
    row.statistics = statistics_of(row.runs, header_);
    row.shown = median_run(row.runs);
  }

  bool is_complete(const VariantResult& row) const {
    return static_cast<std::int64_t>(row.runs.size()) == seeds_.count &&
           row.runs.back().status != RunStatus::interrupted;
  }

  /// The output over the whole scene, put together from that on its distinct patches.
  void render_shown_run(Variant variant, VariantResult& row) const {
    const at::NoGradGuard no_grad;
    auto model = make_model(variant, config_.kernel_size, row.runs[row.shown].weights, at::kDouble);
    const auto output = model->forward(train_patches_.input, train_patches_.form).flatten();
    row.output = to_image(train_patches_.picture(output), config_.scene);
  }

 private:
  /// Adds weights and split losses to the runs that `model` ended as.
  void complete(std::vector<RunRecord>& runs, const ConvLayer& model) {
    const auto weights = weights_of(model);
    const std::int64_t length = weights.size(1);
    ConvLayer copy(model->variant(), config_.kernel_size, model->replicas());
    copy->to(at::kDouble);
    set_weights(copy, weights);
    std::vector<at::Tensor> held_out;
    for (std::size_t i = 1; i < splits_.size(); ++i) {  // on the first, train, the final loss is known
      held_out.push_back(evaluate(copy, splits_[i], config_.kernel_size));
    }
    for (std::size_t i = 0; i < runs.size(); ++i) {
      auto& run = runs[i];
      const auto* row = weights.data_ptr<double>() + static_cast<std::int64_t>(i) * length;
      run.weights.assign(row, row + length);
      if (run.status != RunStatus::ok) {
        continue;
      }
      run.split_losses = {*run.final_loss};
      for (const auto& loss : held_out) {
        run.split_losses.push_back(loss.data_ptr<double>()[i]);
      }
    }
  }

  /// Seeds trained side by side: as many as keep a step's tensors below some 256 MiB.
  std::int64_t block_size() const {
    constexpr std::int64_t most_bytes = 256 << 20;
    constexpr std::int64_t tensors = 8;  // output, its gradient, what autograd keeps in between
    const std::int64_t most_seeds = device_.is_cuda() ? 65536 : 1024;
    const auto bytes = tensors * header_.rows * static_cast<std::int64_t>(data_.target.element_size());
    return std::clamp<std::int64_t>(most_bytes / bytes, 1, most_seeds);
  }

  const Config& config_;
  const OnProgress& on_progress_;
  c10::Device device_;
  SeedRange seeds_;        ///< of this shard
  Dataset train_patches_;  ///< in float64, for floor and pictures
  std::vector<SceneSplit> splits_;
  Dataset data_;  ///< what is trained on
  RunHeader header_;
};

/// What `finished` has of the row: its runs and the time that they took.
void take_over(VariantResult& row, std::vector<VariantResult>& finished) {
  for (auto& earlier : finished) {
    if (earlier.variant == row.variant && earlier.optimizer == row.optimizer &&
        earlier.learning_rate == row.learning_rate) {
      row.runs = std::move(earlier.runs);
      row.seconds = earlier.seconds;
    }
  }
}

/// A row before it has runs.
struct RowConfig {
  Variant variant;
  TrainingConfig training;
};

std::vector<RowConfig> rows_of(const Config& config) {
  std::vector<RowConfig> rows;
  for (const auto variant : config.variants) {
    for (const auto optimizer : config.training.optimizers) {
      for (const double rate : config.training.learning_rates) {
        rows.push_back({variant, {optimizer, rate, config.training.steps}});
      }
    }
  }
  return rows;
}

}  // namespace

ExperimentResult run_experiment(const Config& config, ExperimentResult finished,
                                const OnProgress& on_progress, const OnBlock& on_block) {
  Experiment experiment(config, on_progress);
  ExperimentResult result;
  result.header = experiment.header();
  result.grid = is_grid(config.training);
  const auto publish = [&] {
    result.comparisons = comparisons_of(result);
    mark_best(result.variants);
    on_block(result);
  };

  bool trained = false;
  const auto rows = rows_of(config);
  for (const auto& [variant, training] : rows) {
    auto& row = result.variants.emplace_back(experiment.start_row(variant, training));
    take_over(row, finished.variants);
    experiment.update(row);
    while (!experiment.is_complete(row)) {
      trained = true;
      const bool go_on = experiment.train_block(variant, training, row);
      const bool all_done = result.variants.size() == rows.size() && experiment.is_complete(row);
      if (!go_on && !all_done) {
        result.status = ExperimentStatus::interrupted;
        publish();
        return result;
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
    if (result.variants[i].best) {
      experiment.render_shown_run(rows[i].variant, result.variants[i]);
    }
  }
  return result;
}

}  // namespace conv_mult
