#include "run/experiment.hpp"
#include <ATen/Functions.h>
#include <torch/version.h>
#include <mutex>
#include "options/options.hpp"
#include "train/machine.hpp"
#include "util/pool.hpp"

namespace conv_mult {
namespace {
std::vector<Model> models_of(const Config& config) {
  if (!config.load_model.empty()) { return load_models(config.load_model); }
  std::vector<Model> models;
  using Sizes = std::vector<std::int64_t>;
  for (const auto& name : config.variants) {
    const auto* variant = find_variant(name);
    const auto own_widths = config.widths.empty() ? Sizes{variant->width} : config.widths;
    for (const auto depth : !variant->sized ? Sizes{1} : variant->depth > 0 ? Sizes{variant->depth} : config.depths) {
      for (const auto width : variant->sized ? own_widths : Sizes{1}) {
        models.push_back({{variant, {config.kernel_size, depth, width, config.bias && variant->may_have_bias}}, {}});
      }
    }
  }
  return models;
}

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

bool was_interrupted(const RunRecord& run) { return run.status == RunStatus::interrupted; }

Model in_float64(const Model& model) { return make_model(model.architecture, weights_of(model)); }

/// A model of all these runs' weights; those of an interrupted one are not known.
Model model_of(const Architecture& architecture, const std::vector<RunRecord>& runs) {
  std::vector<at::Tensor> weights(runs.size(), at::full(parameter_count(architecture), NAN, at::kDouble));
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (!was_interrupted(runs[i])) { weights[i] = at::tensor(runs[i].weights, at::kDouble); }
  }
  return make_model(architecture, at::stack(weights));
}

void add_sparsity(const Architecture& architecture, std::vector<RunRecord>& runs) {
  const auto errors = runs.empty() ? std::nullopt : sparsity_error(model_of(architecture, runs));
  for (std::size_t i = 0; errors && i < runs.size(); ++i) { runs[i].sparsity_error = errors->data_ptr<double>()[i]; }
}

/// What one thread trains at a time, and what comes of it.
struct Block {
  std::size_t row = 0;
  SeedRange seeds;
  std::vector<RunRecord> runs = {};
  double seconds = 0;
};

/// Everything that the rows share.
class Experiment {
 public:
  Experiment(const Plan& plan, ExperimentResult& result, const ExperimentCallbacks& callbacks)
      : plan_(plan), callbacks_(callbacks), result_(result) {
    for (std::size_t i = 0; i < plan.sources.size(); ++i) {
      result_.scenes[i] = tasks_.emplace_back(config_, plan.sources[i]).record();
    }
    result_.device = device_.str();  // earlier runs may be from another machine
    result_.threads = static_cast<int>(thread_count());
    result_.libtorch = TORCH_VERSION;
  }

  void run() {
    for_all(plan_.rows.size(), [this](std::size_t row) { start_row(row); });
    auto blocks = config_.report_only ? std::vector<Block>() : missing_blocks();
    for_all(blocks.size(), [&](std::size_t block) { train_block(blocks[block]); });
    const bool complete = std::all_of(result_.variants.begin(), result_.variants.end(),
                                      [this](const VariantResult& row) { return is_complete(row); });
    result_.status = complete ? ExperimentStatus::complete : ExperimentStatus::interrupted;
    publish();
    for (std::size_t i = 0; complete && i < result_.variants.size(); ++i) {
      auto& row = result_.variants[i];
      if (!row.best || row.scene != 0) { continue; }
      const auto& architecture = plan_.rows[i].architecture;
      const auto shown = model_of(architecture, {row.runs[row.shown]});
      row.output = tasks_[row.scene].render(shown);
      if (config_.save_model) { row.saved_model = model_file(make_model(architecture, weights_of(shown).to(dtype_))); }
    }
  }

 private:
  /// One after the other where an image is so large that memory is short, and has work for all threads.
  void for_all(std::size_t count, const std::function<void(std::size_t)>& body) const {
    const bool alone = std::any_of(plan_.sources.begin(), plan_.sources.end(), [](const SceneSource& source) {
      return source.own_images && source.height * source.width > 1 << 20;
    });
    for (std::size_t i = 0; alone && i < count; ++i) { body(i); }
    parallel_for(alone ? 0 : static_cast<std::int64_t>(count),
                 [&](std::int64_t i) { body(static_cast<std::size_t>(i)); });
  }

  /// What is known of a row before it is trained, and of the runs that it has.
  void start_row(std::size_t index) {
    const auto& architecture = plan_.rows[index].architecture;
    auto& row = result_.variants[index];
    const auto data = tasks_[row.scene].training_data(architecture, dtype_, device_).first;
    row.form = text_of(data.form);
    row.rows = data.rows();
    row.floor = tasks_[row.scene].floor(architecture);
    block_sizes_[index] = block_size(plan_, index, data);
    add_sparsity(architecture, row.runs);
  }

  /// The seeds that the rows lack, so that every thread has work to the end: what takes longest comes first.
  std::vector<Block> missing_blocks() {
    const auto seeds = seeds_of_shard(config_);
    std::vector<Block> blocks;
    started_ = Clock::now();
    next_publication_ = started_ + std::chrono::milliseconds(500);  // what is lost by then is soon made again
    for (std::size_t i = 0; i < plan_.rows.size(); ++i) {
      std::set<std::int64_t> done;
      for (const auto& run : result_.variants[i].runs) { done.insert(run.seed); }
      result_.variants[i].runs.reserve(static_cast<std::size_t>(seeds.count));
      for (std::int64_t seed = seeds.first; seed < seeds.first + seeds.count; ++seed) {
        if (done.count(seed) > 0) { continue; }
        // Cut at multiples of the size, so that a run that goes on has the blocks that it had.
        const bool goes_on = (seed - seeds.first) % block_sizes_[i] != 0 && !blocks.empty() && blocks.back().row == i &&
                             blocks.back().seeds.first + blocks.back().seeds.count == seed;
        if (!goes_on) { blocks.push_back({i, {seed, 0}}); }
        ++blocks.back().seeds.count;
        progress_.of += static_cast<double>(config_.steps + 1);
      }
    }
    const auto work = [&](const Block& block) {
      const auto& row = result_.variants[block.row];
      return row.rows * row.parameters * block.seeds.count;
    };
    std::stable_sort(blocks.begin(), blocks.end(), [&](const auto& a, const auto& b) { return work(a) > work(b); });
    return blocks;
  }

  /// Nothing, once training is to stop.
  void train_block(Block& block) try {
    if (stop_signal != 0) { return; }
    const auto start = Clock::now();
    block.runs = trained(plan_.rows[block.row], result_.variants[block.row], block.seeds);
    block.seconds = seconds_since(start);
    std::unique_lock lock(mutex_);
    finished_.push_back(std::move(block));
    if (publishing_) { return; }  // whoever does takes it, too
    take_finished();
    const auto begin = Clock::now();
    if (begin < next_publication_) { return; }
    publishing_ = true;
    lock.unlock();  // the others go on meanwhile
    publish();
    lock.lock();
    publishing_ = false;
    next_publication_ = Clock::now() + 20 * (Clock::now() - begin);  // at most a twentieth of the time is spent on it
    take_finished();
  } catch (...) {
    failed_ = true;
    throw;
  }

  /// Moves what is finished into the result, which nobody may be publishing.
  void take_finished() {
    for (auto& [index, seeds, runs, seconds] : finished_) {
      auto& row = result_.variants[index];
      row.seconds += seconds;
      const auto place = std::upper_bound(row.runs.begin(), row.runs.end(), seeds.first,
                                          [](std::int64_t seed, const RunRecord& run) { return seed < run.seed; });
      row.runs.insert(place, std::make_move_iterator(runs.begin()), std::make_move_iterator(runs.end()));
      if (is_complete(row)) {
        ++progress_.rows_done;
        callbacks_.on_row(name_of(row), row.seconds);
      }
    }
    finished_.clear();
  }

  /// Hands on all that is known.
  void publish() {
    for (auto& row : result_.variants) {
      row.statistics = statistics_of(row.runs, result_.scene_of(row));
      row.shown = median_run(row.runs);
    }
    mark_best(result_.variants);
    callbacks_.on_results(result_);
  }

  bool is_complete(const VariantResult& row) const {
    return static_cast<std::int64_t>(row.runs.size()) == seeds_of_shard(config_).count &&
           std::none_of(row.runs.begin(), row.runs.end(), was_interrupted);
  }

  /// With that of its scene where there are several.
  std::string name_of(const VariantResult& row) const {
    return (tasks_.size() > 1 ? tasks_[row.scene].record().name + ", " : "") + row_name(row, result_);
  }

  std::vector<RunRecord> trained(const RowPlan& plan, const VariantResult& row, const SeedRange& seeds) {
    const auto& task = tasks_[row.scene];
    const auto& scene = task.record();
    auto data = task.training_data(plan.architecture, dtype_, device_);
    const double pixels = data.first.pixels();
    const bool checked = task.resampled() || scene.judged > 0;  // success is seen on other data
    Recorder recorder(seeds.first, seeds.count, config_, checked ? 0 : loss_of_norm(scene.success_norm, pixels));
    auto model = plan.start.empty()
                     ? make_model(plan.architecture, seeds, dtype_, device_)
                     : make_model(plan.architecture, weights_of({plan.architecture, plan.start}).to(device_, dtype_));
    const auto on_losses = [&](std::int64_t step, const at::Tensor& losses) {
      const auto* values = losses.data_ptr<double>();
      bool any_left = true;
      for (std::int64_t i = 0; i < losses.size(0); ++i) {
        any_left = recorder.take(step + i, values + i * seeds.count);
      }
      const std::lock_guard lock(mutex_);
      progress_.row = name_of(row);
      progress_.step = step + losses.size(0) - 1;
      progress_.loss = losses[-1][0].item<double>();
      progress_.done += static_cast<double>(losses.numel());
      progress_.seconds = seconds_since(started_);
      callbacks_.on_progress(progress_);
      return stop_signal == 0 && !failed_ && any_left;
    };
    const auto look = [&](std::int64_t step) {
      const auto looked_at = in_float64(model);
      const auto errors = task.errors(looked_at, scene.judged);
      const auto inside = scene.judged == 0 ? errors : task.errors(looked_at, scene.judged - 1);
      recorder.check(step, errors.data_ptr<double>(), scene.success_norm, inside.data_ptr<double>());
    };
    train(model, std::move(data), plan.training, on_losses, checked ? look : OnCheck());

    auto runs = recorder.finish();
    if (!was_interrupted(runs.front())) { complete(runs, in_float64(model), task, pixels); }
    return runs;
  }

  /// An L2 norm of errors over so many pixels as a loss.
  double loss_of_norm(double norm, double pixels) const {
    return config_.loss == LossKind::mse ? norm * norm / pixels : norm;
  }

  /// Adds weights and errors to the runs that `model`, in float64, ended as.
  void complete(std::vector<RunRecord>& runs, const Model& model, const Task& task, double pixels) const {
    const auto& splits = task.record().splits;
    const auto weights = weights_of(model).nan_to_num(NAN, NAN, NAN);  // as they are read back
    std::vector<at::Tensor> errors(splits.size());                     // none for `train`, which has the final loss
    for (std::size_t i = task.resampled() ? 0 : 1; i < splits.size(); ++i) { errors[i] = task.errors(model, i); }
    for (std::size_t i = 0; i < runs.size(); ++i) {
      auto& run = runs[i];
      const auto* row = weights[static_cast<std::int64_t>(i)].data_ptr<double>();
      run.weights.assign(row, row + weights.size(1));
      if (run.status != RunStatus::ok) { continue; }
      const double norm = config_.loss == LossKind::mse ? std::sqrt(*run.final_loss * pixels) : *run.final_loss;
      for (const auto& each : errors) {
        run.split_losses.push_back(each.defined() ? each.data_ptr<double>()[i] : norm);
      }
      if (task.resampled()) { run.final_loss = loss_of_norm(run.split_losses.front(), splits.front().pixels); }
    }
    add_sparsity(model.architecture, runs);
  }

  const Plan& plan_;
  const Config& config_ = plan_.config;
  c10::Device device_ = resolve_device(config_);
  at::ScalarType dtype_ = config_.dtype == Dtype::float64 ? at::kDouble : at::kFloat;
  const ExperimentCallbacks& callbacks_;
  std::vector<Task> tasks_;
  std::mutex mutex_;          ///< of what follows, while blocks are trained
  ExperimentResult& result_;  ///< whoever is publishing has it without
  bool publishing_ = false;
  std::atomic<bool> failed_ = false;  ///< whether a block threw, for which the others need not go on
  std::vector<Block> finished_;       ///< that the result does not have yet
  std::vector<std::int64_t> block_sizes_ = std::vector<std::int64_t>(plan_.rows.size());  ///< of each row
  Progress progress_;
  Clock::time_point started_, next_publication_;
};
}  // namespace

Plan make_plan(const Config& config) {
  Plan plan{config, sources_of(config), {}};
  const auto models = models_of(config);
  for (std::size_t scene = 0; scene < plan.sources.size(); ++scene) {
    for (const auto& model : models) {
      const auto& [variant, size] = model.architecture;
      const auto depth = variant->sized ? std::optional(size.depth) : std::nullopt;
      const auto width = variant->sized ? std::optional(size.width) : std::nullopt;
      for (const auto optimizer : config.optimizers) {
        for (const double rate : rates_of(config, variant->name)) {
          const RowKey key{scene, variant->name, depth, width, text_of(optimizer), rate};
          plan.rows.push_back({key, model.architecture, {config, optimizer, rate}, model.parameters});
        }
      }
    }
  }
  return plan;
}

SeedRange seeds_of_shard(const Config& config) {
  const std::int64_t shards = config.shard.count;
  const auto begin_of = [&](auto i) { return config.seeds / shards * i + std::min(i, config.seeds % shards); };
  const std::int64_t begin = begin_of(config.shard.index - 1);
  return {config.seed + begin, begin_of(config.shard.index) - begin};
}

std::int64_t block_size(const Plan& plan, std::size_t row, const Dataset& data) {
  constexpr std::int64_t most_seeds = 1024;
  const auto& architecture = plan.rows[row].architecture;
  if (is_fused(architecture, data)) {
    if (thread_count() == 1) { return most_seeds; }
    // At least four blocks a thread, since they take different times, of whole vectors; of wide layers, of each row.
    const bool wide = architecture.size.width >= lanes;  // whole vectors of one seed
    const auto rows = wide ? 1 : static_cast<std::int64_t>(plan.rows.size());
    const std::int64_t together = wide ? 1 : lanes;
    const std::int64_t blocks = (4 * thread_count() + rows - 1) / rows;
    const std::int64_t seeds = (seeds_of_shard(plan.config).count + blocks - 1) / blocks;
    return std::clamp((seeds + together - 1) / together * together, together, most_seeds);
  }
  constexpr double tensors = 8;  // output, its gradient, what autograd keeps in between
  const bool cuda = data.input.is_cuda();
  const double most_bytes = cuda ? 256 << 20 : 4 << 20;
  const bool patches = data.form == DataForm::patches && architecture.variant->takes != Takes::images;
  const auto values = patches ? architecture.size.fields() : architecture.size.values();
  const double bytes = tensors * static_cast<double>(values) * static_cast<double>(data.target.nbytes());
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(most_bytes / bytes), 1, cuda ? 65536 : most_seeds);
}

void check_memory(const Plan& plan, double available) {
  const auto& config = plan.config;
  const auto real = [](auto count) { return static_cast<double>(count); };
  const auto seeds = seeds_of_shard(config).count;
  double pixel = 20;  // bytes: of one scene as tensors, and outputs; noise keeps two splits, three images in float64
  for (const auto& source : plan.sources) {
    pixel += source.tested_on.empty() ? 12 : 12 + 48 * real(config.heldout_scenes);
  }
  const auto& last = plan.sources.back();  // the user's images where there are any
  double largest = 0;                      // numbers of a model
  double layers = 0;                       // of a pixel, in the largest network
  double records = 0;
  for (const auto& row : plan.rows) {
    const double numbers = real(parameter_count(row.architecture));
    largest = std::max(largest, numbers);
    layers = std::max(layers, last.own_images || is_image(config.data) ? 8 * real(row.architecture.size.values()) : 0);
    records += real(seeds) * 33 * (real(config.steps) / real(config.log_every) + numbers);  // with lines of CSV files
  }
  for (const auto& [bytes, reason] : {std::pair(49 * largest, fmt::format("--width: a model of {} numbers", largest)),
                                      {real(last.height * last.width) * (pixel + layers),
                                       last.own_images ? "--shrink: such images" : "--size: " + text_of(config.size)},
                                      {records, fmt::format("--seeds: {} with a row of loss.csv every {} of {} steps",
                                                            seeds, config.log_every, config.steps)}}) {
    constexpr double gib = 1 << 30;
    refuse_if(bytes > available,
              "{} would need at least {:.3g} GiB of memory; allowed: what fits into the {:.3g} GiB that are free",
              reason, bytes / gib, available / gib);
  }
}

ExperimentResult start_of(const Plan& plan) {
  ExperimentResult result;
  const auto seeds = seeds_of_shard(plan.config);
  result.conv_mult = CONV_MULT_VERSION;
  result.dtype = text_of(plan.config.dtype);
  std::tie(result.first_seed, result.seeds) = std::tie(seeds.first, seeds.count);
  result.loss = text_of(plan.config.loss);
  for (const auto& source : plan.sources) {
    result.scenes.emplace_back().name = source.name;
    result.scenes.back().splits.resize(source.splits.size());
  }
  for (const auto& row : plan.rows) {
    auto& begun = result.variants.emplace_back();
    static_cast<RowKey&>(begun) = row.key;
    begun.steps = row.training.steps;
    begun.parameters = parameter_count(row.architecture);
    begun.kernel_size = row.architecture.size.kernel_size;
    for (const auto& each : row.architecture.parameters()) { begun.shapes.emplace_back(each.name, each.shape); }
  }
  return result;
}

ExperimentResult run_experiment(const Plan& plan, ExperimentResult result, const ExperimentCallbacks& callbacks) {
  Experiment(plan, result, callbacks).run();
  return result;
}
}  // namespace conv_mult
