#include "run/experiment.hpp"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "options/options.hpp"
#include "run/statistics.hpp"
#include "run/task.hpp"
#include "train/machine.hpp"
#include "util/stop.hpp"

namespace conv_mult {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// An L2 norm of errors over so many pixels as a loss.
double loss_of_norm(LossKind kind, double norm, double pixels) {
  return kind == LossKind::mse ? norm * norm / pixels : norm;
}

Model in_float64(const Model& model) { return make_model(model.architecture, weights_of(model)); }

/// A model of all these runs' weights.
Model model_of(const Architecture& architecture, const std::vector<RunRecord>& runs) {
  std::vector<at::Tensor> weights;
  weights.reserve(runs.size());
  for (const auto& run : runs) { weights.push_back(at::tensor(run.weights, at::kDouble)); }
  return make_model(architecture, at::stack(weights));
}

void add_sparsity(const Architecture& architecture, std::vector<RunRecord>& runs) {
  if (const auto errors = runs.empty() ? std::nullopt : sparsity_error(model_of(architecture, runs))) {
    for (std::size_t i = 0; i < runs.size(); ++i) { runs[i].sparsity_error = errors->data_ptr<double>()[i]; }
  }
}

/// Everything that the rows share.
class Experiment {
 public:
  Experiment(const Plan& plan, ExperimentResult& result, const OnProgress& on_progress)
      : config_(plan.config),
        on_progress_(on_progress),
        device_(resolve_device(config_.device)),
        dtype_(config_.dtype == Dtype::float64 ? at::kDouble : at::kFloat),
        seeds_(seeds_of_shard(config_)),
        result_(result) {
    for (std::size_t i = 0; i < plan.sources.size(); ++i) {
      result_.header.scenes[i] = tasks_.emplace_back(config_, plan.sources[i]).record();
    }
  }

  /// What is known of a row before it is trained, and the statistics of the runs that it has.
  void start_row(const RowPlan& plan, VariantResult& row) {
    const auto start = Clock::now();
    const auto data = tasks_[row.scene].training_data(plan.architecture, dtype_, device_).first;
    auto& scene = result_.header.scenes[row.scene];
    if (scene.data_seconds == 0) { scene.data_seconds = seconds_since(start); }
    row.data_form = to_string(data.form);
    row.rows = data.rows();
    row.floor = tasks_[row.scene].floor(plan.architecture);
    add_sparsity(plan.architecture, row.runs);
    update(row);
  }

  /// Trains the block of seeds that follows what the row has.
  void train_block(const RowPlan& plan, VariantResult& row) {
    const auto& task = tasks_[row.scene];
    const auto& scene = task.record();
    const auto done = static_cast<std::int64_t>(row.runs.size());
    const SeedRange block{seeds_.first + done,
                          std::min(block_size(plan, row.rows, dtype_, device_), seeds_.count - done)};
    auto data = task.training_data(plan.architecture, dtype_, device_);
    const double pixels = data.first.pixels();
    const bool checked = task.success_needs_checks();
    const double success_loss = checked ? 0 : loss_of_norm(plan.training.loss, scene.success_norm, pixels);
    Recorder recorder(block.first, block.count, {plan.training.steps, config_.log_every, success_loss});
    const auto name = (tasks_.size() > 1 ? scene.name + ", " : "") + row_name(row, result_);
    Progress progress{name, block.first, block.first + block.count - 1};

    result_.header.device = device_.str();  // earlier runs may be from another machine
    result_.header.threads = at::get_num_threads();
    result_.header.libtorch = libtorch_version();
    const auto start = Clock::now();
    auto model = plan.start.empty()
                     ? make_model(plan.architecture, block, dtype_, device_)
                     : make_model(plan.architecture, at::tensor(plan.start, dtype_).unsqueeze(0).to(device_));
    TrainingCallbacks callbacks;
    callbacks.on_losses = [&](std::int64_t step, const at::Tensor& losses) {
      const auto* values = losses.data_ptr<double>();
      for (std::int64_t i = 0; i < losses.size(0); ++i) { recorder.take(step + i, values + i * block.count); }
      progress.step = step + losses.size(0) - 1;
      progress.loss = losses[-1][0].item<double>();
      on_progress_(progress);
      return stop_signal == 0 && !recorder.all_diverged();
    };
    callbacks.check_every = checked ? config_.check_every : 0;
    callbacks.on_check = [&](std::int64_t step) {
      const auto looked_at = in_float64(model);
      const auto errors = task.errors(looked_at, scene.judged);
      const auto inside = task.errors(looked_at, std::max<std::size_t>(1, scene.judged) - 1);
      recorder.check(step, errors.data_ptr<double>(), scene.success_norm, inside.data_ptr<double>());
    };
    train(model, std::move(data), plan.training, callbacks);
    row.seconds += seconds_since(start);

    auto runs = recorder.finish();
    const auto was_interrupted = [](const RunRecord& run) { return run.status == RunStatus::interrupted; };
    if (std::none_of(runs.begin(), runs.end(), was_interrupted)) {
      complete(runs, in_float64(model), task, pixels);
    } else {  // also those that had diverged: a block is done as a whole or not at all
      for (auto& run : runs) { run.status = RunStatus::interrupted; }
    }
    std::move(runs.begin(), runs.end(), std::back_inserter(row.runs));
    update(row);
  }

  bool is_complete(const VariantResult& row) const {
    return static_cast<std::int64_t>(row.runs.size()) == seeds_.count &&
           row.runs.back().status != RunStatus::interrupted;
  }

  /// The output over the whole scene and, if asked for, the file of the model.
  void add_shown_run(const RowPlan& plan, VariantResult& row) const {
    const auto model = model_of(plan.architecture, {row.runs[row.shown]});
    row.output = tasks_[row.scene].render(model);
    if (config_.save_model) {
      row.saved_model = model_file(make_model(plan.architecture, weights_of(model).to(dtype_)));
    }
  }

 private:
  /// The statistics of a row whose runs have changed.
  void update(VariantResult& row) const {
    row.statistics = statistics_of(row.runs, result_.scene_of(row));
    row.shown = median_run(row.runs);
  }

  /// Adds weights and errors to the runs that `model`, in float64, ended as.
  void complete(std::vector<RunRecord>& runs, const Model& model, const Task& task, double pixels) const {
    const auto& splits = task.record().splits;
    const auto weights = weights_of(model);
    const std::int64_t length = weights.size(1);
    std::vector<at::Tensor> errors(splits.size());  // none for `train`, which has the final loss
    for (std::size_t i = task.resampled() ? 0 : 1; i < splits.size(); ++i) { errors[i] = task.errors(model, i); }
    for (std::size_t i = 0; i < runs.size(); ++i) {
      auto& run = runs[i];
      const auto* row = weights.data_ptr<double>() + static_cast<std::int64_t>(i) * length;
      run.weights.assign(row, row + length);
      if (run.status != RunStatus::ok) { continue; }
      const double norm = config_.loss == LossKind::mse ? std::sqrt(*run.final_loss * pixels) : *run.final_loss;
      for (const auto& each : errors) {
        run.split_losses.push_back(each.defined() ? each.data_ptr<double>()[i] : norm);
      }
      if (task.resampled()) {
        run.final_loss = loss_of_norm(config_.loss, run.split_losses.front(), splits.front().pixels);
      }
    }
    add_sparsity(model.architecture, runs);
  }

  const Config& config_;
  const OnProgress& on_progress_;
  c10::Device device_;
  at::ScalarType dtype_;
  SeedRange seeds_;  ///< of this shard
  std::vector<Task> tasks_;
  ExperimentResult& result_;
};

}  // namespace

ExperimentResult start_of(const Plan& plan) {
  ExperimentResult result;
  auto& header = result.header;
  const auto seeds = seeds_of_shard(plan.config);
  header.conv_mult = conv_mult_version();
  header.dtype = to_string(plan.config.dtype);
  header.first_seed = seeds.first;
  header.seeds = seeds.count;
  header.loss = to_string(plan.config.loss);
  for (const auto& source : plan.sources) {
    header.scenes.emplace_back().name = source.name;
    header.scenes.back().splits.resize(source.splits.size());
  }
  for (const auto& row : plan.rows) {
    auto& begun = result.variants.emplace_back();
    static_cast<RowKey&>(begun) = row.key;
    begun.steps = row.training.steps;
    begun.parameters = parameter_count(row.architecture);
  }
  return result;
}

ExperimentResult run_experiment(const Plan& plan, ExperimentResult result, const OnProgress& on_progress,
                                const OnBlock& on_block) {
  Experiment experiment(plan, result, on_progress);
  const auto publish = [&] {
    result.comparisons = comparisons_of(result);
    mark_best(result.variants);
    on_block(result);
  };

  for (std::size_t i = 0; i < plan.rows.size(); ++i) {
    auto& row = result.variants[i];
    experiment.start_row(plan.rows[i], row);
    while (!experiment.is_complete(row)) {
      experiment.train_block(plan.rows[i], row);
      const bool all_done = i + 1 == plan.rows.size() && experiment.is_complete(row);
      if (stop_signal != 0 && !all_done) { result.status = ExperimentStatus::interrupted; }
      publish();
      if (result.status == ExperimentStatus::interrupted) { return result; }
    }
  }
  result.status = ExperimentStatus::complete;
  publish();
  for (std::size_t i = 0; i < result.variants.size(); ++i) {
    auto& row = result.variants[i];
    if (row.best && row.scene == 0) { experiment.add_shown_run(plan.rows[i], row); }
  }
  return result;
}

}  // namespace conv_mult
