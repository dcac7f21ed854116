#include "conv_mult/run/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace conv_mult {
namespace {

bool succeeded(double loss, double target_norm) {
  return target_norm > 0 && loss <= success_threshold * target_norm;
}

}  // namespace

std::optional<Spread> spread_of(std::vector<double> values) {
  if (values.empty()) {
    return std::nullopt;
  }
  std::sort(values.begin(), values.end());
  const auto quantile = [&](double p) {
    const double position = p * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(position);
    const auto above = std::min(below + 1, values.size() - 1);
    return values[below] + (position - static_cast<double>(below)) * (values[above] - values[below]);
  };
  return Spread{quantile(0.5), quantile(0.25), quantile(0.75), values.front(), values.back()};
}

SuccessRate wilson(std::int64_t count, std::int64_t of) {
  if (of == 0) {
    return {0, 0, 0, 0, 1};
  }
  constexpr double z = 1.959963984540054;
  const auto n = static_cast<double>(of);
  const double p = static_cast<double>(count) / n;
  const double centre = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return {count, of, p, count == 0 ? 0 : centre - half, count == of ? 1 : centre + half};
}

RunRecord assess(std::int64_t seed, std::vector<double> losses, bool interrupted, double target_norm) {
  RunRecord run;
  run.seed = seed;
  run.losses = std::move(losses);
  const bool diverged = !run.losses.empty() && !std::isfinite(run.losses.back());
  run.status = diverged ? RunStatus::diverged : interrupted ? RunStatus::interrupted : RunStatus::ok;
  if (!diverged && !run.losses.empty()) {
    run.final_loss = run.losses.back();
  }
  const auto first = std::find_if(run.losses.begin(), run.losses.end(),
                                  [&](double loss) { return succeeded(loss, target_norm); });
  if (first != run.losses.end()) {
    run.first_success_step = first - run.losses.begin();
  }
  return run;
}

Statistics statistics_of(const std::vector<RunRecord>& runs, double target_norm) {
  Statistics statistics;
  std::vector<double> final_losses;
  std::int64_t successes = 0;
  for (const auto& run : runs) {
    statistics.diverged += run.status == RunStatus::diverged ? 1 : 0;
    if (run.final_loss) {
      final_losses.push_back(*run.final_loss);
      successes += succeeded(*run.final_loss, target_norm) ? 1 : 0;
      const bool dead = target_norm > 0 && std::abs(*run.final_loss - target_norm) <= 1e-3 * target_norm;
      statistics.dead += dead ? 1 : 0;
    }
  }
  statistics.final_loss = spread_of(std::move(final_losses));
  if (statistics.final_loss && target_norm > 0) {
    statistics.relative_error = statistics.final_loss->median / target_norm;
  }
  statistics.success = wilson(successes, static_cast<std::int64_t>(runs.size()));
  return statistics;
}

}  // namespace conv_mult
