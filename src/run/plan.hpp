#pragma once
// What an experiment is made of: rows, their seeds in blocks, and what they need.

#include "run/results.hpp"
#include "train/model_file.hpp"
#include "train/trainer.hpp"

namespace conv_mult {
/// What is trained together, all its seeds side by side.
struct RowPlan {
  RowKey key;
  Architecture architecture;
  TrainingConfig training;
  std::vector<double> start;  ///< weights; none: what the seeds draw
};

struct Plan {
  Config config;
  std::vector<SceneSource> sources;
  std::vector<RowPlan> rows;  ///< scenes x models x optimizers x learning rates, the last running fastest
};

/// Loads the models that the configuration names; else they are variants (x depths x widths). Throws UsageError for
/// what cannot be, std::runtime_error for a file that is no model.
Plan make_plan(const Config& config);

/// The seeds of config.shard: contiguous parts, whose sizes differ by one at most.
SeedRange seeds_of_shard(const Config& config);

/// Seeds of a row trained side by side on such data: as many as keep the tensors of a step small. Of a fused pass, in
/// which a seed does not see the others, fewer where threads would be idle.
std::int64_t block_size(const Plan& plan, std::size_t row, const Dataset& data);

/// Throws UsageError where its images or its records alone, estimated from below, take more bytes than are available.
void check_memory(const Plan& plan, double available);
}  // namespace conv_mult
