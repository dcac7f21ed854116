#pragma once
// Pure functions on plain records.

#include <vector>

#include "conv_mult/results.hpp"

namespace conv_mult {

/// A run succeeds once its loss is at most this fraction of the target's norm.
constexpr double success_threshold = 0.05;

/// Quantiles by linear interpolation between order statistics (numpy's default; Hyndman & Fan 1996, type 7).
/// None for an empty sample.
std::optional<Spread> spread_of(std::vector<double> values);

/// The Wilson score interval at 95 % (Wilson 1927): the p with |rate - p| <= z sqrt(p (1 - p) / of), z
/// = 1.959964.
SuccessRate wilson(std::int64_t count, std::int64_t of);

/// Fills status, final_loss and first_success_step of a record from its losses. A target of norm 0 knows no
/// success.
RunRecord assess(std::int64_t seed, std::vector<double> losses, bool interrupted, double target_norm);

/// Every run counts: those that diverged have no final loss but are in `success.of`.
Statistics statistics_of(const std::vector<RunRecord>& runs, double target_norm);

}  // namespace conv_mult
