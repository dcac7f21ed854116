#pragma once
// What a run found out: plain records, pure functions on them. Images: float32 on the CPU, [H, W], row 0 at the top.

#include <ATen/TensorOperators.h>
#include "options/text.hpp"

namespace conv_mult {
enum class RunStatus { ok, diverged, interrupted };
inline Texts names_of(RunStatus /*type*/) { return {"ok", "diverged", "interrupted"}; }

/// The loss after `step` updates: step 0 is the untrained loss.
struct CurvePoint {
  std::int64_t step = 0;
  double loss = 0;
};

/// One seed of one row. A diverged run ends with its first loss that is not finite.
struct RunRecord {
  std::int64_t seed = 0;
  RunStatus status = RunStatus::ok;
  std::int64_t last_step = 0;        ///< where the run ended
  std::vector<CurvePoint> curve;     ///< every log_every-th step and the last
  std::optional<double> final_loss;  ///< none if the run diverged or was interrupted; resampled: on `inside`
  std::optional<std::int64_t> first_success_step;  ///< of all steps that were looked at, logged or not
  std::optional<bool> success_at_best;             ///< at the look with the smallest error on `inside`
  std::vector<double> weights;                     ///< at the end, parameter after parameter
  std::optional<double> sparsity_error;            ///< of the weights, where the variant knows it
  std::vector<double> split_losses;  ///< L2 norm on each of SceneResult::splits; empty unless the run is ok
};

/// Five-number summary of a sample.
struct Spread {
  double median, q1, q3, min, max;
};

/// A binomial proportion with its 95 % Wilson score interval.
struct SuccessRate {
  std::int64_t count = 0, of = 0;
  double rate = 0, low = 0, high = 0;
};

/// The statistics of one row over its finished runs: those that are ok or diverged.
struct Statistics {
  std::optional<Spread> final_loss;      ///< none if no run has a final loss
  SuccessRate success;                   ///< of all finished runs, at the last step
  SuccessRate everywhere;                ///< with that relative error on every split
  SuccessRate best_look;                 ///< of those with looks, at their best
  std::optional<double> first_success;   ///< median step over the runs that succeeded at some step
  std::int64_t never_succeeded = 0;      ///< the finished runs that median leaves out: censored
  std::int64_t diverged = 0, dead = 0;   ///< dead: output vanished: error on split 0 within 0.1 % of its target's norm
  std::optional<double> sparsity_error;  ///< median over the runs that succeeded
  std::vector<std::optional<Spread>> split_errors;  ///< relative error for each of SceneResult::splits
};

/// What tells a row from the others of an experiment.
struct RowKey {
  std::size_t scene = 0;  ///< of ExperimentResult::scenes
  std::string variant;
  std::optional<std::int64_t> depth, width;  ///< of variants that are sized
  std::string optimizer;
  double learning_rate = 0;

  auto parts() const { return std::tie(scene, variant, depth, width, optimizer, learning_rate); }
  bool operator==(const RowKey& other) const { return parts() == other.parts(); }
};

/// A row of the result: all seeds of a RowKey. What follows the key is unknown before its data are made.
struct VariantResult : RowKey {
  std::int64_t steps = 0, parameters = 0, kernel_size = 1;                ///< parameters: numbers of one model
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> shapes;  ///< of each parameter, with its name
  std::string form;                                                       ///< image, patches or literal, as resolved
  std::int64_t rows = 0;                                                  ///< distinct receptive fields, or pixels
  std::optional<double> floor;  ///< infimum of the loss over all weights, where it is known
  double seconds = 0;           ///< wall time of training
  std::vector<RunRecord> runs;  ///< in order of their seeds
  Statistics statistics;
  std::size_t shown = 0;    ///< the run that pictures show: the one of median final loss
  bool best = true;         ///< of its variant's rows on the scene the most successful, then of lowest median loss
  at::Tensor output;        ///< of the shown run of a best row, over the whole first scene; else undefined
  std::string saved_model;  ///< its file, if asked for
};

/// Scenes that every run is evaluated on: `train` first, unless drawn anew at every step, then those it never saw.
struct SplitResult {
  std::string name, text;  ///< text: what is in it, for readers
  std::int64_t scenes = 1;
  double target_norm = 0, pixels = 0;  ///< target_norm: L2; both over all scenes together
};

/// What is trained on, and what its runs are judged by.
struct SceneResult {
  std::string name;  ///< "rectangles", "noise 1 to 2"
  std::string test;  ///< noise: what `outside` is drawn from, "2 to 4"
  std::vector<SplitResult> splits;
  std::size_t judged = 0;               ///< the split that decides on success
  double success_norm = 0;              ///< a run succeeds with an error of at most this L2 norm on it
  std::optional<double> success_error;  ///< the relative error that this is, if one was asked for
  at::Tensor a, b, target;
  bool own_images = false, own_target = false;  ///< the user's; a target that is not a b
};

/// `incomplete` is what a run that goes on, or was killed, leaves in its files.
enum class ExperimentStatus { complete, incomplete, interrupted };
inline Texts names_of(ExperimentStatus /*type*/) { return {"complete", "incomplete", "interrupted"}; }

struct ExperimentResult {
  std::string conv_mult, libtorch, device, dtype;
  int threads = 1;
  std::int64_t first_seed = 0, seeds = 1;
  std::string loss = "l2";  ///< or mse
  std::vector<SceneResult> scenes;
  std::vector<VariantResult> variants;  ///< all rows, also those that are not begun
  ExperimentStatus status = ExperimentStatus::incomplete;

  /// Whether a variant has rows of several optimizers or learning rates, and of several depths or widths.
  bool grid() const;
  bool sizes() const;

  const SceneResult& scene_of(const VariantResult& row) const { return scenes[row.scene]; }
};

/// Quantiles as numpy's (Hyndman & Fan 1996, type 7). Infinite values are values. None for an empty sample.
std::optional<Spread> spread_of(std::vector<double> values);

/// The Wilson score interval at 95 % (Wilson 1927): the p with |rate - p| <= z sqrt(p (1 - p) / of), z = 1.959964.
SuccessRate wilson(std::int64_t count, std::int64_t of);

/// Makes the records of runs that are trained side by side out of their losses, step after step.
class Recorder {
 public:
  /// A run has succeeded at a loss of at most this; 0: losses do not tell.
  Recorder(std::int64_t first_seed, std::int64_t count, const Config& config, double success_loss);

  /// `losses` holds one loss for each run, after `step` updates; steps come in order, from 0. What a run does after it
  /// has diverged is ignored. Returns whether a run is left that could still go anywhere.
  bool take(std::int64_t step, const double* losses);

  /// What a look at other data than that trained on found out after `step` updates: an error for each run, on the split
  /// that is judged, and on that by which the best look is chosen.
  void check(std::int64_t step, const double* errors, double success, const double* chosen_by);

  /// The records without weights and split losses; where one did not get to the last step all are interrupted, those
  /// that had diverged, too: a block is done as a whole or not at all.
  std::vector<RunRecord> finish();

 private:
  std::int64_t steps_, log_every_;
  double success_loss_;
  std::vector<RunRecord> runs_;
  std::vector<double> lowest_;  ///< error of each run at its best look
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
