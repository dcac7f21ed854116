#pragma once
// What one run is asked to do: a plain struct, the defaults stated here and nowhere else.

#include "util/standard.hpp"

namespace conv_mult {
/// The request itself is wrong (unknown option, value out of range, no such device): exit code 2. what() is one line:
/// what is wrong, the offending value, what is allowed.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class LossKind { l2, mse };
enum class OptimizerKind { adam, adamw, rmsprop, sgd };
enum class Decay { none, linear, cosine };
enum class DataForm { automatic, patches, image, literal };
enum class Dtype { float32, float64 };
enum class FigureFormat { png, svg, pdf };

/// A filled rectangle; lengths in pixels, row 0 at the top.
struct Rectangle {
  std::int64_t top = 0, left = 0, height = 1, width = 1;
  double value = 1;
};

/// [low, high].
struct Interval {
  double low = 0, high = 1;
};

/// In pixels.
struct ImageSize {
  std::int64_t height = 100, width = 100;
};

/// A part of an image, in pixels; a height or width of 0 reaches to its edge.
struct Crop {
  std::int64_t top = 0, left = 0, height = 0, width = 0;
};

/// How good a run has to be: a relative error of at most `error`; or, where it is judged on other data, a mean squared
/// error of at most `mse`; else near-exact, see Task. Not `given`: what the scene asks for.
struct Success {
  bool given = false;
  std::optional<double> error;
  double near_exact = 1e-5;
  std::optional<double> mse = {};
};

/// NMU's regulariser (Madsen & Johansen 2020): strength * mean(min(w, 1 - w)), from 0 at step `from` to all at `to`.
struct Sparsity {
  double strength = 10;
  std::int64_t from = 1200, to = 2100;
};

/// NPU's L1 penalty: its factor is `start`, ten times that every `every` steps, and at most `end` (Heim et al. 2020).
struct Lasso {
  double start = 0, end = 0;
  std::int64_t every = 10000;
};

/// Of one variant, or of all that have none of their own.
struct LearningRate {
  std::string variant;  ///< empty: all
  double rate = 0.01;
};

/// The part `index` of `count`, from 1 on.
struct Shard {
  std::int64_t index = 1, count = 1;
};

struct Config {
  std::vector<std::string> variants{"baseline", "exp"};  ///< names, each once
  std::vector<std::int64_t> depths{2}, widths;           ///< of those that have a size; no width: the variant's own
  std::int64_t seed = 0, seeds = 1;                      ///< the first, and how many, of all shards together
  Shard shard;
  Success success;
  std::int64_t kernel_size = 3;
  bool bias = false;  ///< where convolutions may be without
  DataForm data = DataForm::automatic;
  std::vector<std::string> load_model;  ///< files of models to start from, in place of variants and sizes

  std::vector<std::string> scenes{"rectangles"};
  ImageSize size;
  Rectangle rect_a{20, 15, 45, 50, 1}, rect_b{40, 35, 40, 45, 2};
  std::vector<Interval> ranges{{1, 2}};                      ///< noise: each is a scene
  std::vector<std::vector<Interval>> test_ranges{{{2, 4}}};  ///< of each; drawn uniformly from their union
  std::int64_t scene_seed = 0;
  bool resample = false;
  std::string image_a, image_b, target;     ///< files; no target: a b
  std::vector<std::string> test_a, test_b;  ///< of the pairs that a run is judged by
  std::vector<std::string> checksums;       ///< of all these
  Interval scale;                           ///< what black and white of a picture are
  Crop crop;
  std::int64_t shrink = 1;  ///< means of so many pixels a side

  std::int64_t heldout_scenes = 10;  ///< in each split; 0: none
  std::int64_t heldout_seed = 1;
  Interval heldout_values{0.5, 4};

  std::int64_t steps = 3000;
  std::vector<OptimizerKind> optimizers{OptimizerKind::adam};
  std::vector<LearningRate> rates{{"", 0.01}};
  Decay decay = Decay::none;  ///< of the learning rate, to 0 at the last step
  LossKind loss = LossKind::l2;
  Sparsity sparsity;
  Lasso npu_l1;
  std::int64_t check_every = 60;  ///< steps between looks at held-out scenes, where they decide on success

  std::string device = "auto";  ///< auto, cpu, cuda or cuda:N
  std::int64_t threads = 0;     ///< 0: as many as the process may use cores
  Dtype dtype = Dtype::float32;

  std::string out = "results";
  std::vector<FigureFormat> figures{FigureFormat::png, FigureFormat::svg};  ///< empty: none
  std::int64_t log_every = 1;                                               ///< rows of loss.csv, in steps
  bool save_model = false;
  bool no_lock = false;  ///< even while another run writes there
  bool resume = false;   ///< go on from the files in `out`
  bool no_report = false;
  bool report_only = false;  ///< nothing is trained: the results in `out` are told again
  std::optional<double> require_ratio;
  bool quiet = false;
};
}  // namespace conv_mult
