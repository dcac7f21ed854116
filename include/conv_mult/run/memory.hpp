#pragma once

#include "conv_mult/config.hpp"

namespace conv_mult {

/// Bytes that a run is sure to hold at once, from below: estimates, each for what its options decide.
struct MemoryNeed {
  double scenes = 0;   ///< --size: the images, the training data and a step's tensors for one seed
  double network = 0;  ///< --depth, --width: the parameters of one seed
  double records = 0;  ///< --seeds, --steps: curves, weights and errors, and their CSV files
};

MemoryNeed memory_needed(const Config& config);

/// What this process may still take: the least of free memory and swap, the cgroup's limit and ulimit -v.
double available_memory();

/// Throws UsageError that names the need and its main reason, where the one is larger than the other.
void check_memory(const Config& config);

}  // namespace conv_mult
