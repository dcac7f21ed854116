#pragma once

#include "run/plan.hpp"

namespace conv_mult {

struct Progress {
  std::string row;                             ///< row_name, after the scene's name where there are several
  std::int64_t first_seed = 0, last_seed = 0;  ///< of those in training
  std::int64_t step = 0;
  double loss = 0;  ///< of the first seed
};

/// Called several times a second.
using OnProgress = std::function<void(const Progress&)>;

/// Called with all that is known whenever a block of seeds is finished, so that its files can be written at once.
using OnBlock = std::function<void(const ExperimentResult& so_far)>;

/// The rows of the plan, none of them begun, and what is known before: version, seeds, names of scenes.
ExperimentResult start_of(const Plan& plan);

/// Trains every row of the plan, the seeds in blocks that fit into memory. `result` is start_of(plan), or has beside it
/// the runs of earlier runs of the same plan, which are not trained again. A stop_signal interrupts it: the block then
/// in training is part of the result; what would come after it is not. Throws c10::Error where LibTorch fails.
ExperimentResult run_experiment(const Plan& plan, ExperimentResult result, const OnProgress& on_progress,
                                const OnBlock& on_block);

}  // namespace conv_mult
