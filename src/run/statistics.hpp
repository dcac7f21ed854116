#pragma once
// What the numbers of many runs say: pure functions on plain records.

#include "run/results.hpp"

namespace conv_mult {
/// Quantiles by linear interpolation between order statistics (numpy's default; Hyndman & Fan 1996, type 7). Infinite
/// values are values. None for an empty sample.
std::optional<Spread> spread_of(std::vector<double> values);

/// The Wilson score interval at 95 % (Wilson 1927): the p with |rate - p| <= z sqrt(p (1 - p) / of), z = 1.959964.
SuccessRate wilson(std::int64_t count, std::int64_t of);

/// What a Recorder keeps of a run.
struct RecordingConfig {
  std::int64_t steps = 0;      ///< the last step
  std::int64_t log_every = 1;  ///< points of the curve
  double success_loss = 0;     ///< a run has succeeded at a loss of at most this; 0: losses do not tell
};

/// Makes the records of runs that are trained side by side out of their losses, step after step.
class Recorder {
 public:
  Recorder(std::int64_t first_seed, std::int64_t count, const RecordingConfig& config);

  /// `losses` holds one loss for each run, after `step` updates; steps come in order, from 0. What a run does after it
  /// has diverged is ignored.
  void take(std::int64_t step, const double* losses);

  /// What a look at other data than that trained on found out after `step` updates: an error for each run, on the split
  /// that is judged, and on that by which the best look is chosen.
  void check(std::int64_t step, const double* errors, double success, const double* chosen_by);

  /// No run is left that could still go anywhere.
  bool all_diverged() const { return running_ == 0; }

  /// The records without weights and split losses; runs that did not get to the last step are interrupted.
  std::vector<RunRecord> finish();

 private:
  RecordingConfig config_;
  std::vector<RunRecord> runs_;
  std::vector<double> newest_;  ///< the last loss taken of each run
  std::vector<double> lowest_;  ///< error at its best look
  std::int64_t running_;
};

/// Every finished run counts: those that diverged have no final loss but are in `success.of`.
Statistics statistics_of(const std::vector<RunRecord>& runs, const SceneResult& scene);

/// Of the runs with a final loss the one of (lower) median loss; the first where there is none.
std::size_t median_run(const std::vector<RunRecord>& runs);

/// "relu 3×16": the variant with depth × width where these vary.
std::string sized_name(const VariantResult& row, const ExperimentResult& result);

/// What readers call the row: its variant, where these vary with depth x width, optimizer and learning rate.
std::string row_name(const VariantResult& row, const ExperimentResult& result);

/// Sets VariantResult::best: the highest success rate, then the lowest median loss, then the earlier row.
void mark_best(std::vector<VariantResult>& rows);
}  // namespace conv_mult
