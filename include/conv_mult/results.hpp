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

/// One seed of one variant. losses[k] is the loss after k updates, so losses[0] is the untrained loss.
/// A diverged run ends with its first loss that is not finite.
struct RunRecord {
  std::int64_t seed = 0;
  RunStatus status = RunStatus::ok;
  std::vector<double> losses;
  std::optional<double> final_loss;  ///< the last loss; none if the run diverged
  std::optional<std::int64_t> first_success_step;
};

/// Five-number summary of the final losses of the runs that have one.
struct Spread {
  double median, q1, q3, min, max;
};

/// A binomial proportion with its 95 % Wilson score interval.
struct SuccessRate {
  std::int64_t count = 0;
  std::int64_t of = 0;
  double rate = 0, low = 0, high = 0;
};

/// The statistics of one variant over its runs.
struct Statistics {
  std::optional<Spread> final_loss;      ///< none if no run has a final loss
  std::optional<double> relative_error;  ///< median final loss / target norm; none if that norm is 0
  SuccessRate success;
  std::int64_t diverged = 0;
  std::int64_t dead = 0;  ///< output vanished: loss within 0.1 % of the target's norm
};

struct VariantResult {
  std::string variant;
  std::string optimizer;
  double learning_rate = 0;
  std::int64_t steps = 0;
  std::int64_t parameters = 0;  ///< of one model
  std::optional<double> floor;  ///< infimum of the loss over all weights, where it is known
  double seconds = 0;           ///< wall time of training
  std::vector<RunRecord> runs;
  Statistics statistics;
  Image output;  ///< of the shown run (the first), over the whole scene
};

/// What the variants of one run have in common.
struct RunHeader {
  std::string conv_mult;
  std::string libtorch;
  std::string device;
  int threads = 1;
  std::string dtype;
  std::string data_form;  ///< image or patches, as resolved
  std::int64_t rows = 0;  ///< distinct receptive fields, or pixels for the image form
  double target_norm = 0;
  Image a, b, target;
};

struct ExperimentResult {
  RunHeader header;
  std::vector<VariantResult> variants;
  bool interrupted = false;
};

}  // namespace conv_mult
