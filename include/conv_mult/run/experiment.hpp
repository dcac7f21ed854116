#pragma once

#include <functional>
#include <string>
#include <vector>

#include "conv_mult/config.hpp"
#include "conv_mult/results.hpp"

namespace conv_mult {

struct Progress {
  std::string row;              ///< row_name, after the scene's name where there are several
  std::int64_t first_seed = 0;  ///< of those in training
  std::int64_t last_seed = 0;
  std::int64_t step = 0;
  double loss = 0;  ///< of the first seed
};

/// Called several times a second; returning false interrupts the experiment.
using OnProgress = std::function<bool(const Progress&)>;

/// Called with all that is known whenever a block of seeds is finished, so that its files can be written at
/// once.
using OnBlock = std::function<void(const ExperimentResult& so_far)>;

/// Trains every row of `config` (variants x optimizers x learning rates) on one scene, the seeds in blocks
/// that fit into memory. Runs in `finished`, as earlier runs left them, are taken over and not trained again.
/// An interrupted block is part of the result; what would come after it is not. Throws UsageError for a
/// device that is not there, c10::Error where LibTorch fails.
ExperimentResult run_experiment(const Config& config, ExperimentResult finished,
                                const OnProgress& on_progress, const OnBlock& on_block);

}  // namespace conv_mult
