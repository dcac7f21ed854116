#pragma once
// What one run is asked to do: plain structs, the defaults stated here and nowhere else.

#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace conv_mult {

/// The request itself is wrong (unknown option, value out of range, no such device): exit code 2.
/// what() is one line: what is wrong, the offending value, what is allowed.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What each computes: model/variants.hpp.
enum class Variant { baseline, exp, log_exp, nmu, nalu, nac_mul, npu, stacked_exp, relu };
enum class SceneKind { rectangles, noise };
enum class LossKind { l2, mse };
enum class OptimizerKind { adam, adamw, rmsprop, sgd };
enum class DataForm { automatic, image, patches, literal };
enum class Dtype { float32, float64 };
enum class FigureFormat { png, svg, pdf };

inline constexpr std::array all_variants{Variant::baseline, Variant::exp,         Variant::log_exp,
                                         Variant::nmu,      Variant::nalu,        Variant::nac_mul,
                                         Variant::npu,      Variant::stacked_exp, Variant::relu};
inline constexpr std::array all_figure_formats{FigureFormat::png, FigureFormat::svg, FigureFormat::pdf};

/// The names users type, in declaration order of the enumerators.
std::string to_string(Variant value);
std::string to_string(SceneKind value);
std::string to_string(LossKind value);
std::string to_string(OptimizerKind value);
std::string to_string(DataForm value);
std::string to_string(Dtype value);
std::string to_string(FigureFormat value);

/// A filled rectangle; lengths in pixels, row 0 at the top.
struct Rectangle {
  std::int64_t top = 0;
  std::int64_t left = 0;
  std::int64_t height = 1;
  std::int64_t width = 1;
  double value = 1.0;
};

/// Whether the two share a pixel.
bool overlap(const Rectangle& a, const Rectangle& b);

struct SceneConfig {
  std::int64_t height = 100;
  std::int64_t width = 100;
  Rectangle a{20, 15, 45, 50, 1.0};
  Rectangle b{40, 35, 40, 45, 2.0};
};

/// [low, high].
struct Interval {
  double low = 0;
  double high = 1;
};

/// Every pixel of both images drawn uniformly from `range`.
struct NoiseConfig {
  Interval range{1, 2};
  std::vector<Interval> test_range{{2, 4}};  ///< what `outside` is drawn from, uniformly on their union
};

/// A variant and its size.
struct Architecture {
  Variant variant = Variant::baseline;
  std::int64_t kernel_size = 3;
  std::int64_t depth = 1;  ///< convolutions in a row; 1 but for stacked_exp and relu
  std::int64_t width = 1;  ///< channels between them
};

/// Whether --depth and --width mean anything to it.
bool is_deep(Variant variant);

/// NMU's sparsity regulariser: strength * mean(min(w, 1 - w)), scaled from 0 at step `from` to 1 at step `to`
/// (Madsen & Johansen 2020).
struct Sparsity {
  double strength = 10;
  std::int64_t from = 1200;
  std::int64_t to = 2100;
};

struct TrainingConfig {
  OptimizerKind optimizer = OptimizerKind::adam;
  double learning_rate = 0.01;
  std::int64_t steps = 3000;
  LossKind loss = LossKind::l2;
  Sparsity sparsity;
};

/// Every optimizer is tried with every learning rate.
struct TrainingGrid {
  std::vector<OptimizerKind> optimizers{TrainingConfig().optimizer};
  std::vector<double> learning_rates{TrainingConfig().learning_rate};
  std::vector<std::pair<Variant, double>> own_rates;  ///< of a variant, in place of learning_rates
  std::int64_t steps = TrainingConfig().steps;
  LossKind loss = TrainingConfig().loss;
  Sparsity sparsity = TrainingConfig().sparsity;

  std::vector<double> rates_of(Variant variant) const;
};

/// Whether some variant is tried with more than one optimizer or learning rate.
bool is_grid(const TrainingGrid& grid);

/// Consecutive seeds.
struct SeedRange {
  std::int64_t first = 0;
  std::int64_t count = 1;
};

/// The part `index` of `count`, from 1 on.
struct Shard {
  std::int64_t index = 1;
  std::int64_t count = 1;
};

/// Scenes for evaluation only; see data/heldout.hpp.
struct HeldOutConfig {
  std::int64_t scenes = 10;  ///< in each split; 0: none
  std::int64_t seed = 1;
  double low = 0.5;  ///< fill values are drawn from [low, high]
  double high = 4;
};

struct MachineConfig {
  std::string device = "auto";  ///< auto, cpu, cuda or cuda:N
  int threads = 1;
  Dtype dtype = Dtype::float32;
};

struct OutputConfig {
  std::string directory = "results";
  std::vector<FigureFormat> figures{FigureFormat::png, FigureFormat::svg};  ///< empty: no figures
  std::int64_t log_every = 1;                                               ///< rows of loss.csv, in steps
  std::optional<double> require_ratio;
  bool resume = false;   ///< go on from the files in `directory`
  bool no_lock = false;  ///< even while another run writes there
  bool save_model = false;
  bool quiet = false;
};

/// What a model file holds; see model/model_file.hpp.
struct SavedModel {
  Architecture architecture;
  std::vector<double> weights;
};

/// A run succeeds with a relative error of at most so much on the scene it is trained on; none: `near-exact`,
/// see Task.
struct SuccessConfig {
  std::optional<double> rectangles = 0.05;
  std::optional<double> noise;
};

struct Config {
  std::vector<Variant> variants{Variant::baseline, Variant::exp};
  std::vector<std::int64_t> depths{2};
  std::vector<std::int64_t> widths{8};
  SeedRange seeds;  ///< of all shards together
  Shard shard;
  SuccessConfig success;
  std::int64_t kernel_size = 3;
  std::vector<std::string> load_model;  ///< files of models to start from
  std::vector<SavedModel> models;       ///< what they hold: where there are some, they are the variants
  DataForm data = DataForm::automatic;
  std::vector<SceneKind> scenes{SceneKind::rectangles};
  SceneConfig scene;  ///< the rectangles, and the size of every image
  std::vector<NoiseConfig> noise{NoiseConfig()};
  std::int64_t scene_seed = 0;    ///< of the noise that is trained on
  bool resample = false;          ///< noise: drawn anew at every step
  std::int64_t check_every = 60;  ///< steps between looks at `outside`, where it decides on success
  HeldOutConfig held_out;
  TrainingGrid training;
  MachineConfig machine;
  OutputConfig output;
};

/// What is trained together, all its seeds side by side.
struct RowConfig {
  std::size_t scene = 0;  ///< rectangles, if asked for, then each noise
  Architecture architecture;
  TrainingConfig training;
  std::vector<double> start;  ///< weights; none: what the seeds draw
};

/// Scenes x variants (x depths x widths) x optimizers x learning rates, the last running fastest.
std::vector<RowConfig> rows_of(const Config& config);

bool has_scene(const Config& config, SceneKind kind);

/// Rectangles and each noise.
std::size_t scene_count(const Config& config);

/// The seeds of config.shard: contiguous parts, whose sizes differ by one at most.
SeedRange seeds_of_shard(const Config& config);

/// What the command line (and the TOML file it may name) asks for.
struct CommandLine {
  Config config;
  std::string resolved_toml;           ///< every setting of this run, readable by --config
  std::optional<std::string> message;  ///< --help or --version: print this and stop
  std::vector<std::string> merge;  ///< `merge`: the folders to join; config is theirs, of all shards together
};

/// The lines of a resolved_toml that decide the numbers of a run. Without the shard they are those of the
/// whole: all shards of one sweep share them.
std::string deciding_settings(const std::string& resolved_toml, bool with_shard);

/// Parses and validates. `version` is the text of --version. Throws UsageError.
CommandLine parse_command_line(int argc, const char* const* argv, const std::string& version);

}  // namespace conv_mult
