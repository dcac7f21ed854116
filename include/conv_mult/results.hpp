#pragma once
// What a run found out: plain records without torch, all that `run` and `report` share.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace conv_mult {

/// A grey-level image, row-major; row 0 at the top.
struct Image {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::vector<float> pixels;  // [height * width]
};

enum class RunStatus { ok, diverged, interrupted };

/// The loss after `step` updates: step 0 is the untrained loss.
struct CurvePoint {
  std::int64_t step = 0;
  double loss = 0;
};

/// One seed of one row. A diverged run ends with its first loss that is not finite.
struct RunRecord {
  std::int64_t seed = 0;
  RunStatus status = RunStatus::ok;
  std::int64_t last_step = 0;                      ///< where the run ended
  std::vector<CurvePoint> curve;                   ///< every log_every-th step and the last
  std::optional<double> final_loss;                ///< none if the run diverged or was interrupted
  std::optional<std::int64_t> first_success_step;  ///< of all steps, logged or not
  std::vector<double> weights;       ///< at the end, parameter after parameter: weight [2, K, K], bias
  std::vector<double> split_losses;  ///< one for each of RunHeader::splits; empty unless the run is ok
};

/// Five-number summary of a sample.
struct Spread {
  double median, q1, q3, min, max;
};

/// A binomial proportion with its 95 % Wilson score interval.
struct SuccessRate {
  std::int64_t count = 0;
  std::int64_t of = 0;
  double rate = 0, low = 0, high = 0;
};

/// The statistics of one row over its finished runs: those that are ok or diverged.
struct Statistics {
  std::optional<Spread> final_loss;      ///< none if no run has a final loss
  std::optional<double> relative_error;  ///< median final loss / target norm; none if that norm is 0
  SuccessRate success;                   ///< of all finished runs
  std::optional<double> first_success;   ///< median step over the runs that succeeded at some step
  std::int64_t never_succeeded = 0;      ///< the finished runs that median leaves out: censored
  std::int64_t diverged = 0;
  std::int64_t dead = 0;  ///< output vanished: loss within 0.1 % of the target's norm
  std::vector<std::optional<Spread>> split_errors;  ///< relative error for each of RunHeader::splits
};

/// A row of the result: one variant under one optimizer and learning rate, over all seeds.
struct VariantResult {
  std::string variant;
  std::string optimizer;
  double learning_rate = 0;
  std::int64_t steps = 0;
  std::int64_t parameters = 0;  ///< of one model
  std::optional<double> floor;  ///< infimum of the loss over all weights, where it is known
  double seconds = 0;           ///< wall time of training
  std::vector<RunRecord> runs;  ///< in order of their seeds
  Statistics statistics;
  std::size_t shown = 0;  ///< the run that pictures show: the one of median final loss
  bool best = true;  ///< of all rows of its variant the most successful, then the one of lowest median loss
  Image output;      ///< of the shown run of a best row, over the whole scene; else empty
};

/// Two variants over the same seeds, optimizer and learning rate. A diverged run loses against any that is
/// not.
struct Comparison {
  std::string variant, reference;
  std::string optimizer;
  double learning_rate = 0;
  SuccessRate lower;  ///< seeds whose final loss is below the reference's, of all pairs of finished runs
  std::int64_t ties = 0;
  std::optional<Spread> ratio;  ///< of final losses, variant / reference, where both exist
  std::int64_t both_succeed = 0, only_variant = 0, only_reference = 0, neither = 0;
};

/// A set of scenes that every run is evaluated on: `train` first, then those it never saw.
struct Split {
  std::string name;
  std::int64_t scenes = 1;
  double target_norm = 0;  ///< L2 norm over all scenes together
};

/// What the rows of one run have in common.
struct RunHeader {
  std::string conv_mult;
  std::string libtorch;
  std::string device;
  int threads = 1;
  std::string dtype;
  std::int64_t first_seed = 0;
  std::int64_t seeds = 1;
  double success = 0.05;  ///< a run succeeds with a loss of at most this fraction of the target's norm
  std::string data_form;  ///< image or patches, as resolved
  std::int64_t rows = 0;  ///< distinct receptive fields, or pixels for the image form
  double target_norm = 0;
  double data_seconds = 0;  ///< wall time of making the training data
  std::vector<Split> splits;
  Image a, b, target;
};

/// `incomplete` is what a run that goes on, or was killed, leaves in its files.
enum class ExperimentStatus { complete, incomplete, interrupted };

struct ExperimentResult {
  RunHeader header;
  std::vector<VariantResult> variants;
  std::vector<Comparison> comparisons;
  ExperimentStatus status = ExperimentStatus::incomplete;

  /// Whether more than one optimizer or learning rate was asked for.
  bool grid = false;
};

}  // namespace conv_mult
