#pragma once

#include "run/plan.hpp"

namespace conv_mult {
struct Progress {
  std::string row;            ///< in training: row_name, after the scene's name where there are several
  std::size_t rows_done = 0;  ///< of the plan's
  double done = 0, of = 0;    ///< steps of seeds, of those that were missing at the start
  double seconds = 0;         ///< since then
  std::int64_t step = 0;      ///< of the block that tells
  double loss = 0;            ///< of its first seed
};

/// Called by whichever thread, one call at a time.
struct ExperimentCallbacks {
  /// Several times a second.
  std::function<void(const Progress&)> on_progress;

  /// When all seeds of a row are trained, with the time of their blocks.
  std::function<void(const std::string& row, double seconds)> on_row;

  /// All that is known, with its statistics: after the first block, then so often that it takes a twentieth of the time
  /// at most, and at the end.
  std::function<void(const ExperimentResult& so_far)> on_results;
};

/// The rows of the plan, none of them begun, and what is known before: version, seeds, names of scenes.
ExperimentResult start_of(const Plan& plan);

/// Trains every row of the plan, the seeds in blocks, as many at once as there are threads; how many does not change a
/// bit. `result` is start_of(plan), or has beside it the runs of earlier runs of the same plan, which are not trained
/// again. A stop_signal interrupts it: the blocks then in training are part of the result, those after them are not.
/// Throws c10::Error where LibTorch fails.
ExperimentResult run_experiment(const Plan& plan, ExperimentResult result, const ExperimentCallbacks& callbacks);
}  // namespace conv_mult
