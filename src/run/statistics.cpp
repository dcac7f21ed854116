#include "run/statistics.hpp"
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

namespace conv_mult {
namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double dead_within = 1e-3;  // of the target's norm

bool finished(const RunRecord& run) { return run.status != RunStatus::interrupted; }

/// A target of norm 0 knows no success.
bool succeeded(const RunRecord& run, const SceneResult& scene) {
  return !run.split_losses.empty() && scene.splits[scene.judged].target_norm > 0 &&
         run.split_losses[scene.judged] <= scene.success_norm;
}

/// By a relative error that holds on every split.
bool succeeded_everywhere(const RunRecord& run, const SceneResult& scene) {
  bool everywhere = scene.success_error && succeeded(run, scene);
  for (std::size_t i = 0; everywhere && i < scene.splits.size(); ++i) {
    everywhere = run.split_losses[i] <= *scene.success_error * scene.splits[i].target_norm;
  }
  return everywhere;
}

double median_loss(const Statistics& statistics) {
  if (statistics.final_loss) { return statistics.final_loss->median; }
  return infinity;
}

/// Whether some two rows of one variant differ in what `field` tells.
template <typename Field>
bool differ(const std::vector<VariantResult>& rows, const Field& field) {
  return std::any_of(rows.begin(), rows.end(), [&](const VariantResult& row) {
    const auto first =
        std::find_if(rows.begin(), rows.end(), [&](const auto& other) { return other.variant == row.variant; });
    return field(*first) != field(row);
  });
}
}  // namespace

bool ExperimentResult::grid() const {
  return differ(variants, [](const RowKey& key) { return std::pair(key.optimizer, key.learning_rate); });
}

bool ExperimentResult::sizes() const {
  return differ(variants, [](const RowKey& key) { return std::pair(key.depth, key.width); });
}

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

Recorder::Recorder(std::int64_t first_seed, std::int64_t count, const RecordingConfig& config)
    : config_(config), runs_(static_cast<std::size_t>(count)), newest_(runs_.size()), lowest_(runs_.size(), infinity),
      running_(count) {
  for (auto& run : runs_) {
    run.seed = first_seed++;
    run.last_step = -1;
  }
}

void Recorder::take(std::int64_t step, const double* losses) {
  const bool logged = step % config_.log_every == 0 || step == config_.steps;
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    auto& run = runs_[i];
    if (run.status == RunStatus::diverged) { continue; }
    const double loss = losses[i];
    const bool diverges = !std::isfinite(loss);
    if (logged || diverges) { run.curve.push_back({step, loss}); }
    if (diverges) {
      run.status = RunStatus::diverged;
      --running_;
    } else if (!run.first_success_step && config_.success_loss > 0 && loss <= config_.success_loss) {
      run.first_success_step = step;
    }
    run.last_step = step;
    newest_[i] = loss;
  }
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
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    auto& run = runs_[i];
    if (run.status == RunStatus::diverged) { continue; }
    if (run.last_step == config_.steps) {
      run.final_loss = newest_[i];
      continue;
    }
    run.status = RunStatus::interrupted;
    const bool ends_between = run.last_step >= 0 && run.curve.back().step != run.last_step;
    if (ends_between) { run.curve.push_back({run.last_step, newest_[i]}); }
  }
  return std::move(runs_);
}

Statistics statistics_of(const std::vector<RunRecord>& runs, const SceneResult& scene) {
  Statistics statistics;
  std::vector<double> final_losses;
  std::vector<double> first_successes;
  std::vector<double> sparsity_errors;
  std::vector<std::vector<double>> split_errors(scene.splits.size());
  auto& success_rate = statistics.success;
  const double norm = scene.splits.front().target_norm;
  for (const auto& run : runs) {
    if (!finished(run)) { continue; }
    ++success_rate.of;
    const bool success = succeeded(run, scene);
    success_rate.count += success ? 1 : 0;
    if (success && run.sparsity_error) { sparsity_errors.push_back(*run.sparsity_error); }
    statistics.everywhere.count += succeeded_everywhere(run, scene) ? 1 : 0;
    statistics.best_look.of += run.success_at_best ? 1 : 0;
    statistics.best_look.count += run.success_at_best.value_or(false) ? 1 : 0;
    if (run.first_success_step) { first_successes.push_back(static_cast<double>(*run.first_success_step)); }
    if (!run.final_loss) {
      ++statistics.diverged;
      continue;
    }
    final_losses.push_back(*run.final_loss);
    const auto& losses = run.split_losses;
    const bool dead = !losses.empty() && norm > 0 && std::abs(losses.front() - norm) <= dead_within * norm;
    statistics.dead += dead ? 1 : 0;
    for (std::size_t i = 0; i < losses.size(); ++i) {
      const double target = scene.splits[i].target_norm;
      if (target > 0) { split_errors[i].push_back(losses[i] / target); }
    }
  }
  statistics.never_succeeded = success_rate.of - static_cast<std::int64_t>(first_successes.size());
  if (const auto steps = spread_of(std::move(first_successes))) { statistics.first_success = steps->median; }
  statistics.final_loss = spread_of(std::move(final_losses));
  if (const auto sparsity = spread_of(std::move(sparsity_errors))) { statistics.sparsity_error = sparsity->median; }
  success_rate = wilson(success_rate.count, success_rate.of);
  statistics.everywhere = wilson(statistics.everywhere.count, success_rate.of);
  statistics.best_look = wilson(statistics.best_look.count, statistics.best_look.of);
  for (auto& errors : split_errors) { statistics.split_errors.push_back(spread_of(std::move(errors))); }
  if (const auto& error = statistics.split_errors.front()) { statistics.relative_error = error->median; }
  return statistics;
}

std::size_t median_run(const std::vector<RunRecord>& runs) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].final_loss) { order.push_back(i); }
  }
  if (order.empty()) { return 0; }
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>((order.size() - 1) / 2);
  std::nth_element(order.begin(), middle, order.end(), [&](std::size_t i, std::size_t j) {
    return std::tie(*runs[i].final_loss, i) < std::tie(*runs[j].final_loss, j);
  });
  return *middle;
}

std::string sized_name(const VariantResult& row, const ExperimentResult& result) {
  return row.depth && result.sizes() ? fmt::format("{} {}×{}", row.variant, *row.depth, *row.width) : row.variant;
}

std::string row_name(const VariantResult& row, const ExperimentResult& result) {
  const auto name = sized_name(row, result);
  return result.grid() ? fmt::format("{}, {}, lr {}", name, row.optimizer, row.learning_rate) : name;
}

void mark_best(std::vector<VariantResult>& rows) {
  const auto better = [](const Statistics& a, const Statistics& b) {
    return std::tuple(-a.success.rate, median_loss(a)) < std::tuple(-b.success.rate, median_loss(b));
  };
  for (auto& row : rows) {
    row.best = std::none_of(rows.begin(), rows.end(), [&](const VariantResult& other) {
      return other.variant == row.variant && other.scene == row.scene &&
             (better(other.statistics, row.statistics) || (&other < &row && !better(row.statistics, other.statistics)));
    });
  }
}
}  // namespace conv_mult
