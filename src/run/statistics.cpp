#include "run/results.hpp"

namespace conv_mult {
namespace {
constexpr double dead_within = 1e-3;  // of the target's norm

/// Whether some two rows of one variant, which are neighbours, differ in one of these fields.
template <typename... Field>
bool differ(const std::vector<VariantResult>& rows, Field RowKey::*... field) {
  const auto differing = [=](const RowKey& a, const RowKey& b) {
    return a.variant == b.variant && ((a.*field != b.*field) || ...);
  };
  return std::adjacent_find(rows.begin(), rows.end(), differing) != rows.end();
}
}  // namespace

bool ExperimentResult::grid() const { return differ(variants, &RowKey::optimizer, &RowKey::learning_rate); }

bool ExperimentResult::sizes() const { return differ(variants, &RowKey::depth, &RowKey::width); }

std::optional<Spread> spread_of(std::vector<double> values) {
  if (values.empty()) { return std::nullopt; }
  std::sort(values.begin(), values.end());
  const auto quantile = [&](double p) {
    const double position = p * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    const double share = position - static_cast<double>(below);
    const double low = values[below];
    const double high = values[std::min(below + 1, values.size() - 1)];
    return share == 0 || low == high ? low : low + share * (high - low);  // if infinite, no NaN
  };
  return Spread{quantile(0.5), quantile(0.25), quantile(0.75), values.front(), values.back()};
}

SuccessRate wilson(std::int64_t count, std::int64_t of) {
  if (of == 0) { return {0, 0, 0, 0, 1}; }
  constexpr double z = 1.959963984540054;
  const auto n = static_cast<double>(of);
  const double p = static_cast<double>(count) / n;
  const double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return {count, of, p, count == 0 ? 0 : centre - half, count == of ? 1 : centre + half};
}

Recorder::Recorder(std::int64_t first_seed, std::int64_t count, const Config& config, double success_loss)
    : steps_(config.steps), log_every_(config.log_every), success_loss_(success_loss),
      runs_(static_cast<std::size_t>(count)), lowest_(runs_.size(), INFINITY) {
  for (auto& run : runs_) { run.seed = first_seed++; }
}

bool Recorder::take(std::int64_t step, const double* losses) {
  const bool logged = step % log_every_ == 0 || step == steps_;
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    auto& run = runs_[i];
    if (run.status == RunStatus::diverged) { continue; }
    const double loss = losses[i];
    const bool finite = std::isfinite(loss);
    const bool succeeds = finite && success_loss_ > 0 && loss <= success_loss_;
    run.last_step = step;
    run.status = finite ? RunStatus::ok : RunStatus::diverged;
    run.final_loss = finite ? std::optional(loss) : std::nullopt;  // so far
    if (succeeds && !run.first_success_step) { run.first_success_step = step; }
    if (logged || !finite) { run.curve.push_back({step, loss}); }
  }
  return std::any_of(runs_.begin(), runs_.end(), [](const auto& run) { return run.status != RunStatus::diverged; });
}

void Recorder::check(std::int64_t step, const double* errors, double success, const double* chosen_by) {
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    auto& run = runs_[i];
    if (run.status == RunStatus::diverged) { continue; }
    const bool succeeds = errors[i] <= success;
    if (succeeds && !run.first_success_step) { run.first_success_step = step; }
    if (chosen_by[i] < lowest_[i]) { run.success_at_best = succeeds; }
    lowest_[i] = std::min(lowest_[i], chosen_by[i]);
  }
}

std::vector<RunRecord> Recorder::finish() {
  const auto ended = [&](const auto& run) { return run.status == RunStatus::diverged || run.last_step == steps_; };
  if (std::all_of(runs_.begin(), runs_.end(), ended)) { return std::move(runs_); }
  for (auto& run : runs_) {
    run.status = RunStatus::interrupted;
    if (run.curve.back().step != run.last_step) { run.curve.push_back({run.last_step, *run.final_loss}); }
    run.final_loss.reset();
  }
  return std::move(runs_);
}

Statistics statistics_of(const std::vector<RunRecord>& runs, const SceneResult& scene) {
  Statistics statistics;
  std::vector<double> final_losses;
  std::vector<double> first_successes;
  std::vector<double> sparsity_errors;
  std::vector<std::vector<double>> split_errors(scene.splits.size());
  const auto& splits = scene.splits;
  const double norm = splits.front().target_norm;
  const auto within = [&](const auto& split, double loss) { return loss <= *scene.success_error * split.target_norm; };
  for (const auto& run : runs) {
    if (run.status == RunStatus::interrupted) { continue; }
    const auto& losses = run.split_losses;
    const bool success = !losses.empty() && splits[scene.judged].target_norm > 0 &&  // a norm of 0 knows no success
                         losses[scene.judged] <= scene.success_norm;
    const bool everywhere =
        success && scene.success_error && std::equal(splits.begin(), splits.end(), losses.begin(), within);
    ++statistics.success.of;
    statistics.success.count += success ? 1 : 0;
    if (success && run.sparsity_error) { sparsity_errors.push_back(*run.sparsity_error); }
    statistics.everywhere.count += everywhere ? 1 : 0;
    statistics.best_look.of += run.success_at_best ? 1 : 0;
    statistics.best_look.count += run.success_at_best.value_or(false) ? 1 : 0;
    if (run.first_success_step) { first_successes.push_back(static_cast<double>(*run.first_success_step)); }
    statistics.diverged += run.final_loss ? 0 : 1;
    if (run.final_loss) { final_losses.push_back(*run.final_loss); }
    if (!losses.empty() && norm > 0 && std::abs(losses.front() - norm) <= dead_within * norm) { ++statistics.dead; }
    for (std::size_t i = 0; i < losses.size(); ++i) {
      if (splits[i].target_norm > 0) { split_errors[i].push_back(losses[i] / splits[i].target_norm); }
    }
  }
  statistics.never_succeeded = statistics.success.of - static_cast<std::int64_t>(first_successes.size());
  if (const auto steps = spread_of(std::move(first_successes))) { statistics.first_success = steps->median; }
  statistics.final_loss = spread_of(std::move(final_losses));
  if (const auto sparsity = spread_of(std::move(sparsity_errors))) { statistics.sparsity_error = sparsity->median; }
  statistics.success = wilson(statistics.success.count, statistics.success.of);
  statistics.everywhere = wilson(statistics.everywhere.count, statistics.success.of);
  statistics.best_look = wilson(statistics.best_look.count, statistics.best_look.of);
  for (auto& errors : split_errors) { statistics.split_errors.push_back(spread_of(std::move(errors))); }
  return statistics;
}

std::size_t median_run(const std::vector<RunRecord>& runs) {
  std::vector<std::pair<double, std::size_t>> losses;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].final_loss) { losses.emplace_back(*runs[i].final_loss, i); }
  }
  std::sort(losses.begin(), losses.end());
  return losses.empty() ? 0 : losses[(losses.size() - 1) / 2].second;
}

std::string sized_name(const VariantResult& row, const ExperimentResult& result) {
  return row.depth && result.sizes() ? fmt::format("{} {}×{}", row.variant, *row.depth, *row.width) : row.variant;
}

std::string row_name(const VariantResult& row, const ExperimentResult& result) {
  const auto name = sized_name(row, result);
  return result.grid() ? fmt::format("{}, {}, lr {}", name, row.optimizer, row.learning_rate) : name;
}

void mark_best(std::vector<VariantResult>& rows) {
  const auto rank = [](const VariantResult& row) {
    const auto& [success, loss] = std::tie(row.statistics.success, row.statistics.final_loss);
    return std::tuple(-success.rate, loss ? loss->median : INFINITY, &row);
  };
  for (auto& row : rows) {
    row.best = std::none_of(rows.begin(), rows.end(), [&](const VariantResult& other) {
      return other.variant == row.variant && other.scene == row.scene && rank(other) < rank(row);
    });
  }
}
}  // namespace conv_mult
