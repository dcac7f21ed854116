#pragma once
// What an experiment is made of: rows, their seeds in blocks, what they are trained on and judged by; and running it.

#include "run/results.hpp"
#include "train/trainer.hpp"

namespace conv_mult {
/// What is trained together, all its seeds side by side.
struct RowPlan {
  RowKey key;
  Architecture architecture;
  TrainingConfig training;
  Weights start;  ///< parameters of one replica; none: what the seeds draw
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

/// One source of scenes: what is trained on it, and what its runs are judged by: a relative error of at most so much,
/// or to be near-exact, which is a mean squared error of at most mean(((1 - e)^2 a b - a b)^2), the criterion of Mistry
/// et al. 2022, or of a given number, on the split that the source names.
class Task {
 public:
  /// The source must outlive it.
  Task(const Config& config, const SceneSource& source);

  const SceneResult& record() const { return record_; }

  /// Whether every step is trained on a scene of its own.
  bool resampled() const { return static_cast<bool>(source_.stream); }

  /// In the form that the variant takes: distinct patches or an image for one layer, all patches for a unit on an
  /// image, an image (of runs a shortened one) for networks of K > 1.
  TrainingData training_data(const Architecture& architecture, at::ScalarType dtype, at::Device device) const;

  /// L2 norm of the error of every replica over all scenes of a split together, [N]; infinite where an output is NaN.
  /// The model and it are float64 on the CPU, because exp of weights that fit 1 and 2 overflows float32 on 4.
  at::Tensor errors(const Model& model, std::size_t split) const;

  /// The infimum of the loss over all weights, where it is known.
  std::optional<double> floor(const Architecture& architecture) const;

  /// The image that a model of one replica, in float64 on the CPU, makes of the scene.
  at::Tensor render(const Model& model) const;

 private:
  DataForm form_;
  LossKind loss_;
  const SceneSource& source_;
  SceneResult record_;
};

struct Progress {
  std::string row;            ///< in training: row_name, after the scene's name where there are several
  std::size_t rows_done = 0;  ///< of the plan's
  double done = 0, of = 0;    ///< steps of seeds, of those that were missing at the start
  double seconds = 0;         ///< since then
  std::int64_t step = 0;      ///< of the block that tells
  double loss = 0;            ///< of its first seed
};

/// Called by whichever thread, each one call at a time, and on_progress and on_row never both.
struct ExperimentCallbacks {
  std::function<void(const Progress&)> on_progress;                    ///< several times a second
  std::function<void(const std::string& row, double seconds)> on_row;  ///< all its seeds are trained; its blocks' time

  /// All that is known: after half a second, then in at most a twentieth of the time, and at the end. Training goes on.
  std::function<void(const ExperimentResult& so_far)> on_results;
};

/// The rows of the plan, none of them begun, and what is known before: version, seeds, names of scenes.
ExperimentResult start_of(const Plan& plan);

/// Trains every row of the plan, the seeds in blocks, as many at once as there are threads; how many does not change a
/// bit. `result` is start_of(plan), or has beside it runs of the same plan, which are not trained again. A stop_signal
/// interrupts it: the blocks then in training are the last of the result. Throws c10::Error where LibTorch fails.
ExperimentResult run_experiment(const Plan& plan, ExperimentResult result, const ExperimentCallbacks& callbacks);
}  // namespace conv_mult
