#include "conv_mult/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <sstream>
#include <string_view>
#include <utility>

#include "conv_mult/manual.hpp"
#include "conv_mult/toml.hpp"

namespace conv_mult {
namespace {

constexpr std::int64_t most_steps = 100'000'000;
constexpr std::int64_t largest_side = 1'000'000'000;  // its square is a number; memory is the limit
constexpr std::int64_t most_seeds = 100'000'000;
constexpr std::int64_t rows_per_curve =
    100;  // of loss.csv for each of many seeds, unless --log-every is given

/// Of what images hold: pictures are in float32, and so is training by default.
constexpr double largest_value = 1e38;

/// The names users type, in the order of --help.
template <typename Enum>
using Names = std::vector<std::pair<std::string, Enum>>;

const Names<Variant> variant_names{{"baseline", Variant::baseline}, {"exp", Variant::exp},
                                   {"log-exp", Variant::log_exp},   {"nmu", Variant::nmu},
                                   {"nalu", Variant::nalu},         {"nac-mul", Variant::nac_mul},
                                   {"npu", Variant::npu},           {"stacked-exp", Variant::stacked_exp},
                                   {"relu", Variant::relu}};
const Names<SceneKind> scene_names{{"rectangles", SceneKind::rectangles}, {"noise", SceneKind::noise}};
const Names<LossKind> loss_names{{"l2", LossKind::l2}, {"mse", LossKind::mse}};
const Names<OptimizerKind> optimizer_names{{"adam", OptimizerKind::adam},
                                           {"adamw", OptimizerKind::adamw},
                                           {"rmsprop", OptimizerKind::rmsprop},
                                           {"sgd", OptimizerKind::sgd}};
const Names<DataForm> data_names{{"auto", DataForm::automatic},
                                 {"patches", DataForm::patches},
                                 {"image", DataForm::image},
                                 {"literal", DataForm::literal}};
const Names<Dtype> dtype_names{{"float32", Dtype::float32}, {"float64", Dtype::float64}};
const Names<FigureFormat> figure_names{
    {"png", FigureFormat::png}, {"svg", FigureFormat::svg}, {"pdf", FigureFormat::pdf}};

template <typename Enum>
std::string name_of(Enum value, const Names<Enum>& names) {
  return std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.second == value; })->first;
}

/// The name is already validated.
template <typename Enum>
Enum value_of(const std::string& name, const Names<Enum>& names) {
  return std::find_if(names.begin(), names.end(), [&](const auto& n) { return n.first == name; })->second;
}

template <typename Enum>
std::vector<std::string> strings_of(const std::vector<Enum>& values) {
  std::vector<std::string> strings;
  strings.reserve(values.size());
  for (const Enum value : values) {
    strings.push_back(to_string(value));
  }
  return strings;
}

/// What is given twice counts once.
template <typename T>
std::vector<T> distinct(const std::vector<T>& values) {
  std::vector<T> kept;
  for (const auto& value : values) {
    if (std::find(kept.begin(), kept.end(), value) == kept.end()) {
      kept.push_back(value);
    }
  }
  return kept;
}

template <typename Enum>
std::vector<Enum> values_of(const std::vector<std::string>& strings, const Names<Enum>& names) {
  std::vector<Enum> values;
  values.reserve(strings.size());
  for (const auto& string : strings) {
    values.push_back(value_of(string, names));
  }
  return distinct(values);
}

/// What the options bind to where a Config member's own type is not what users type.
struct Raw {
  std::vector<std::string> variants, figures, optimizers, rates, scenes, ranges, test_ranges;
  std::string data, dtype, shard, loss, success;
  std::vector<std::int64_t> size;
  std::vector<double> rect_a, rect_b, held_out_values, sparsity;
};

std::vector<double> numbers_of(const Rectangle& r) {
  return {static_cast<double>(r.top), static_cast<double>(r.left), static_cast<double>(r.height),
          static_cast<double>(r.width), r.value};
}

/// The default rectangle, drawn for the default image, scaled to an image of another size.
Rectangle scaled(const Rectangle& r, const SceneConfig& scene) {
  const SceneConfig defaults;
  const std::int64_t top = r.top * scene.height / defaults.height;
  const std::int64_t left = r.left * scene.width / defaults.width;
  const std::int64_t bottom = (r.top + r.height) * scene.height / defaults.height;
  const std::int64_t right = (r.left + r.width) * scene.width / defaults.width;
  return {top, left, std::max<std::int64_t>(1, bottom - top), std::max<std::int64_t>(1, right - left),
          r.value};
}

bool is_range(double low, double high, double largest = largest_value) {
  return low >= -largest && low < high && high <= largest;
}

/// "LO,HI" or, where `several` are allowed, "LO,HI,LO,HI,...".
std::vector<Interval> intervals_of(const std::string& text, bool several, const std::string& option) {
  const double largest =
      several ? 2 * largest_value : largest_value;  // the test is by default on twice a range
  std::vector<Interval> intervals;
  const auto parts = CLI::detail::split(text, ',');
  bool ok = parts.size() % 2 == 0 && (several || parts.size() == 2);
  for (std::size_t i = 0; ok && i < parts.size(); i += 2) {
    Interval interval;
    ok = CLI::detail::lexical_cast(parts[i], interval.low) &&
         CLI::detail::lexical_cast(parts[i + 1], interval.high) &&
         is_range(interval.low, interval.high, largest);
    intervals.push_back(interval);
  }
  if (!ok) {
    throw UsageError(fmt::format("{}: '{}' is not LO,HI{}; allowed: within ±{}, LO below HI", option, text,
                                 several ? "[,LO,HI...]" : "", largest));
  }
  return intervals;
}

/// TOML's [1, 2], too, is one range; several are ["1,2", "2,4"].
std::vector<std::string> joined_if_bare(const std::vector<std::string>& texts) {
  const bool bare = std::all_of(texts.begin(), texts.end(),
                                [](const auto& text) { return text.find(',') == std::string::npos; });
  return bare && !texts.empty() ? std::vector<std::string>{fmt::format("{}", fmt::join(texts, ","))} : texts;
}

/// Twice the range; around 0, of that what is outside of it.
std::vector<Interval> twice(const Interval& range) {
  if (range.low < 0 && range.high > 0) {
    return {{2 * range.low, range.low}, {range.high, 2 * range.high}};
  }
  return {{2 * range.low, 2 * range.high}};
}

/// The n-th test range is that of the n-th range.
std::vector<NoiseConfig> noise_of(const std::vector<std::string>& ranges,
                                  const std::vector<std::string>& test_ranges) {
  if (!test_ranges.empty() && test_ranges.size() != ranges.size()) {
    throw UsageError(fmt::format("--test-range: {} given for {} of --range; allowed: one for each, or none",
                                 test_ranges.size(), ranges.size()));
  }
  std::vector<NoiseConfig> noise;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const auto range = intervals_of(ranges[i], false, "--range").front();
    noise.push_back(
        {range, test_ranges.empty() ? twice(range) : intervals_of(test_ranges[i], true, "--test-range")});
  }
  return noise;
}

std::string text_of(const std::vector<Interval>& intervals) {
  std::string text;
  for (const auto& [low, high] : intervals) {
    text += fmt::format("{}{},{}", text.empty() ? "" : ",", low, high);
  }
  return text;
}

/// "X" is for all variants, "NAME=X" for one.
void set_rates(TrainingGrid& grid, const std::vector<std::string>& texts) {
  grid.learning_rates.clear();
  for (const auto& text : texts) {
    const auto equals = text.find('=');
    double rate = 0;
    CLI::detail::lexical_cast(text.substr(equals + 1), rate);  // checked by check_rate
    if (equals == std::string::npos) {
      grid.learning_rates.push_back(rate);
    } else {
      grid.own_rates.emplace_back(value_of(text.substr(0, equals), variant_names), rate);
    }
  }
  grid.learning_rates = distinct(grid.learning_rates);
  grid.own_rates = distinct(grid.own_rates);
  if (grid.learning_rates.empty()) {
    grid.learning_rates = TrainingGrid().learning_rates;
  }
}

std::vector<std::string> texts_of(const TrainingGrid& grid) {
  std::vector<std::string> texts;
  for (const double rate : grid.learning_rates) {
    texts.push_back(fmt::format("{}", rate));
  }
  for (const auto& [variant, rate] : grid.own_rates) {
    texts.push_back(fmt::format("{}={}", to_string(variant), rate));
  }
  return texts;
}

/// STRENGTH[,FROM,TO]; the schedule is by default that of the literature, steps 20,000 to 35,000 of 50,000.
Sparsity sparsity_of(const std::vector<double>& numbers, std::int64_t steps) {
  const bool scheduled = numbers.size() == 3;
  const bool ok = numbers[0] >= 0 && numbers[0] <= largest_value &&
                  (numbers.size() == 1 || (scheduled && numbers[1] >= 0 && numbers[1] <= numbers[2] &&
                                           numbers[2] <= static_cast<double>(most_steps)));
  if (!ok) {
    throw UsageError(fmt::format(
        "--nmu-sparsity: {} is not STRENGTH[,FROM,TO]; allowed: STRENGTH 0 to {}, steps 0 <= FROM <= TO",
        fmt::join(numbers, ","), largest_value));
  }
  return {numbers[0], scheduled ? static_cast<std::int64_t>(numbers[1]) : steps * 2 / 5,
          scheduled ? static_cast<std::int64_t>(numbers[2]) : steps * 7 / 10};
}

/// "I/N" with 1 <= I <= N <= seeds.
Shard shard_of(const std::string& text, std::int64_t seeds) {
  Shard shard{0, 0};
  const auto slash = text.find('/');
  const bool parsed = slash != std::string::npos &&
                      CLI::detail::lexical_cast(text.substr(0, slash), shard.index) &&
                      CLI::detail::lexical_cast(text.substr(slash + 1), shard.count);
  if (!parsed || shard.index < 1 || shard.index > shard.count || shard.count > seeds) {
    throw UsageError(fmt::format("--shard: '{}' is not I/N; allowed: 1 <= I <= N <= {}, the number of seeds",
                                 text, seeds));
  }
  return shard;
}

/// Checks `numbers` (T, L, H, W, V) against the image. `option` names the culprit in the message.
Rectangle rectangle_of(const std::vector<double>& numbers, const SceneConfig& scene,
                       const std::string& option) {
  if (numbers.size() != 5) {
    throw UsageError(fmt::format("{}: {} is not T,L,H,W,V: five numbers", option, fmt::join(numbers, ",")));
  }
  for (std::size_t i = 0; i < 4; ++i) {
    if (std::trunc(numbers[i]) != numbers[i] || std::abs(numbers[i]) > largest_side) {
      throw UsageError(
          fmt::format("{}: {} is not a whole number of pixels (allowed: T,L,H,W,V)", option, numbers[i]));
    }
  }
  const Rectangle r{static_cast<std::int64_t>(numbers[0]), static_cast<std::int64_t>(numbers[1]),
                    static_cast<std::int64_t>(numbers[2]), static_cast<std::int64_t>(numbers[3]), numbers[4]};
  if (r.height < 1 || r.width < 1) {
    throw UsageError(fmt::format("{}: height {} and width {} must be at least 1", option, r.height, r.width));
  }
  if (r.top < 0 || r.left < 0 || r.top + r.height > scene.height || r.left + r.width > scene.width) {
    throw UsageError(fmt::format("{}: rows {}..{}, columns {}..{} do not fit into the image of {}x{}", option,
                                 r.top, r.top + r.height - 1, r.left, r.left + r.width - 1, scene.height,
                                 scene.width));
  }
  if (!(std::abs(r.value) <= largest_value)) {
    throw UsageError(fmt::format("{}: value {} is not within ±{}", option, r.value, largest_value));
  }
  return r;
}

std::string check_odd(const std::string& text) {
  const bool odd = !text.empty() && (text.back() - '0') % 2 != 0;
  return odd ? "" : fmt::format("{} is even; allowed: odd, 1 to 31", text);
}

std::string check_device(const std::string& text) {
  const bool index_ok = text.rfind("cuda:", 0) == 0 && text.size() > 5 && text.size() <= 7 &&
                        text.find_first_not_of("0123456789", 5) == std::string::npos;
  const bool ok = text == "auto" || text == "cpu" || text == "cuda" || index_ok;
  return ok ? "" : fmt::format("'{}' is unknown; allowed: auto, cpu, cuda, cuda:N", text);
}

std::string check_positive(const std::string& text) {
  double value = 0;
  const bool ok = CLI::detail::lexical_cast(text, value) && value > 0 && std::isfinite(value);
  return ok ? "" : fmt::format("'{}' is not a number; allowed: finite and greater than 0", text);
}

/// A path that config.toml can repeat.
std::string check_path(const std::string& text) {
  return text.empty()                           ? "'' is no path; allowed: any name"
         : text.find('\0') != std::string::npos ? "a path cannot hold a NUL"
         : !is_utf8(text)                       ? fmt::format("'{}' is not UTF-8", text)
                                                : "";
}

/// X or NAME=X.
std::string check_rate(const std::string& text) {
  const auto equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const bool known =
      equals == std::string::npos || std::any_of(variant_names.begin(), variant_names.end(),
                                                 [&](const auto& entry) { return entry.first == name; });
  return known ? check_positive(text.substr(equals + 1))
               : fmt::format("'{}': no variant is called '{}'", text, name);
}

std::string check_flag(const std::string& text) {
  return text == "true" || text == "false" ? "" : fmt::format("'{}' is neither true nor false", text);
}

std::string check_success(const std::string& text) {
  return text == "auto" || text == "near-exact" || check_positive(text).empty()
             ? ""
             : fmt::format("'{}' is unknown; allowed: a number above 0, near-exact, auto", text);
}

/// Its name lists the values, for the completion of the shell.
template <typename Enum>
CLI::Validator one_of(const Names<Enum>& names, const std::vector<std::string>& extra = {}) {
  std::vector<std::string> allowed = extra;
  for (const auto& [name, value] : names) {
    allowed.push_back(name);
  }
  return {[allowed](std::string& text) {
            const bool known = std::find(allowed.begin(), allowed.end(), text) != allowed.end();
            return known ? std::string()
                         : fmt::format("'{}' is unknown; allowed: {}", text, fmt::join(allowed, ", "));
          },
          "", fmt::format("{}", fmt::join(allowed, ","))};
}

CLI::Validator in_range(std::int64_t low, std::int64_t high) {
  return CLI::Validator(CLI::Range(low, high)).description("");
}

/// Gives an option that the user left out the values that it took.
template <typename T>
void state(CLI::Option* option, const std::vector<T>& values) {
  if (option->count() == 0) {
    for (const auto& value : values) {
      option->add_result(fmt::format("{}", value));
    }
  }
}

/// CLI11 says of any key it does not know that "INI was not able to parse" it.
std::string config_complaint(const std::string& message) {
  const std::string unknown = "INI was not able to parse ";
  return message.rfind(unknown, 0) != 0
             ? message
             : fmt::format("--config: unknown key '{}'; allowed: the long names of --help, without sections",
                           message.substr(unknown.size()));
}

void validate(const Config& config) {
  const auto has = [&](Variant v) {
    return std::find(config.variants.begin(), config.variants.end(), v) != config.variants.end();
  };
  if (config.output.require_ratio && !(has(Variant::baseline) && has(Variant::exp))) {
    throw UsageError(
        fmt::format("--require-ratio compares exp with baseline, but --variant is {}; allowed: both",
                    fmt::join(strings_of(config.variants), ",")));
  }
  if (config.output.require_ratio && (is_grid(config.training) || scene_count(config) > 1)) {
    throw UsageError("--require-ratio compares one row each; allowed: one --optimizer, one --lr, one scene");
  }
  if (!config.load_model.empty() && (config.seeds.count > 1 || config.output.require_ratio)) {
    throw UsageError(
        "--load-model starts one run of each file; allowed: neither --seeds nor --require-ratio");
  }
  if (config.resample && config.scenes != std::vector{SceneKind::noise}) {
    throw UsageError("--resample draws noise anew; allowed: only with --scene noise");
  }
  const auto& held_out = config.held_out;
  if (has_scene(config, SceneKind::noise) && held_out.scenes == 0) {
    throw UsageError("--heldout-scenes: 0 leaves nothing to judge noise by; allowed: at least 1 with it");
  }
  if (!is_range(held_out.low, held_out.high)) {
    throw UsageError(fmt::format("--heldout-values: {},{} is not LO,HI; allowed: within ±{}, LO below HI",
                                 held_out.low, held_out.high, largest_value));
  }
}

}  // namespace

std::string to_string(Variant value) { return name_of(value, variant_names); }
std::string to_string(SceneKind value) { return name_of(value, scene_names); }
std::string to_string(LossKind value) { return name_of(value, loss_names); }
std::string to_string(OptimizerKind value) { return name_of(value, optimizer_names); }
std::string to_string(DataForm value) { return name_of(value, data_names); }
std::string to_string(Dtype value) { return name_of(value, dtype_names); }
std::string to_string(FigureFormat value) { return name_of(value, figure_names); }

bool is_deep(Variant variant) { return variant == Variant::stacked_exp || variant == Variant::relu; }

std::vector<double> TrainingGrid::rates_of(Variant variant) const {
  std::vector<double> rates;
  for (const auto& [owner, rate] : own_rates) {
    if (owner == variant) {
      rates.push_back(rate);
    }
  }
  return rates.empty() ? learning_rates : rates;
}

bool is_grid(const TrainingGrid& grid) {
  return grid.optimizers.size() > 1 ||
         std::any_of(all_variants.begin(), all_variants.end(),
                     [&](Variant variant) { return grid.rates_of(variant).size() > 1; });
}

bool has_scene(const Config& config, SceneKind kind) {
  return std::find(config.scenes.begin(), config.scenes.end(), kind) != config.scenes.end();
}

std::size_t scene_count(const Config& config) {
  std::size_t count = 0;
  for (const auto kind : config.scenes) {
    count += kind == SceneKind::noise ? config.noise.size() : 1;
  }
  return count;
}

namespace {

std::vector<SavedModel> models_of(const Config& config) {
  if (!config.models.empty()) {
    return config.models;
  }
  std::vector<SavedModel> models;
  const std::vector<std::int64_t> one{1};
  for (const auto variant : config.variants) {
    for (const auto depth : is_deep(variant) ? config.depths : one) {
      for (const auto width : is_deep(variant) ? config.widths : one) {
        models.push_back({{variant, config.kernel_size, depth, width}, {}});
      }
    }
  }
  return models;
}

}  // namespace

std::vector<RowConfig> rows_of(const Config& config) {
  std::vector<RowConfig> rows;
  const TrainingGrid& grid = config.training;
  for (std::size_t scene = 0; scene < scene_count(config); ++scene) {
    for (const auto& [architecture, weights] : models_of(config)) {
      for (const auto optimizer : grid.optimizers) {
        for (const double rate : grid.rates_of(architecture.variant)) {
          rows.push_back(
              {scene, architecture, {optimizer, rate, grid.steps, grid.loss, grid.sparsity}, weights});
        }
      }
    }
  }
  return rows;
}

SeedRange seeds_of_shard(const Config& config) {
  const std::int64_t count = config.seeds.count;
  const std::int64_t shards = config.shard.count;
  const auto begin_of = [&](std::int64_t i) { return count / shards * i + std::min(i, count % shards); };
  const std::int64_t begin = begin_of(config.shard.index - 1);
  return {config.seeds.first + begin, begin_of(config.shard.index) - begin};
}

std::string deciding_settings(const std::string& resolved_toml, bool with_shard) {
  std::string kept;
  std::istringstream lines(resolved_toml);
  for (std::string line; std::getline(lines, line);) {
    const auto is = [&](const char* key) { return line.rfind(key, 0) == 0; };
    const bool output =
        is("out=") || is("figures=") || is("require-ratio=") || is("quiet=") || is("save-model=");
    if (!output && (with_shard || !is("shard="))) {
      kept += line + '\n';
    }
  }
  return kept;
}

bool overlap(const Rectangle& a, const Rectangle& b) {
  return a.top < b.top + b.height && b.top < a.top + a.height && a.left < b.left + b.width &&
         b.left < a.left + a.width;
}

namespace {

/// What CLI11 says, in one line.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

struct MergeOptions {
  std::vector<std::string> folders;
  std::string out;
  std::string figures;
  bool quiet = false;
};

std::unique_ptr<CLI::App> merge_app(MergeOptions& options) {
  auto app = std::make_unique<CLI::App>("Joins the results of shards: the tables of the unsharded run.",
                                        "conv_mult merge");
  app->add_option("DIR", options.folders, "Result folders, one for each shard")->required();
  app->add_option("--out", options.out, "Folder of the joined results")->required()->type_name("DIR");
  app->add_option("--figures", options.figures, "As for conv_mult; the shards' own unless given")
      ->type_name("FORMAT");
  app->add_flag("--quiet", options.quiet, "No notes on stderr");
  return app;
}

/// conv_mult merge: the settings of the first folder, as one run of all shards.
CommandLine parse_merge(int argc, const char* const* argv, const std::string& version) {
  MergeOptions options;
  const auto& [folders, out, figures, quiet] = options;
  const auto app_owner = merge_app(options);
  auto& app = *app_owner;
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    CommandLine help;
    help.message = app.help();
    return help;
  } catch (const CLI::ParseError& error) {
    throw UsageError("merge: " + one_line(error.what()));
  }
  const std::string config_file = folders.front() + "/config.toml";
  std::vector<const char*> words{"conv_mult", "--shard",          "1/1", "--out", out.c_str(),
                                 "--config",  config_file.c_str()};
  if (!figures.empty()) {
    words.insert(words.end(), {"--figures", figures.c_str()});
  }
  if (quiet) {
    words.push_back("--quiet");
  }
  auto result = parse_command_line(static_cast<int>(words.size()), words.data(), version);
  result.merge = folders;
  return result;
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv, const std::string& version) {
  if (argc > 1 && argv[1] == std::string_view("merge")) {
    return parse_merge(argc - 1, argv + 1, version);
  }
  CommandLine result;
  Config& config = result.config;

  Raw raw;
  raw.variants = strings_of(config.variants);
  raw.figures = strings_of(config.output.figures);
  raw.optimizers = strings_of(config.training.optimizers);
  raw.data = to_string(config.data);
  raw.dtype = to_string(config.machine.dtype);
  raw.size = {config.scene.height, config.scene.width};
  raw.rect_a = numbers_of(config.scene.a);
  raw.rect_b = numbers_of(config.scene.b);
  raw.held_out_values = {config.held_out.low, config.held_out.high};
  raw.shard = "1/1";
  raw.rates = texts_of(config.training);
  raw.scenes = strings_of(config.scenes);
  raw.ranges = {text_of({config.noise.front().range})};
  raw.loss = to_string(config.training.loss);
  raw.success = "auto";
  raw.sparsity = {config.training.sparsity.strength};

  CLI::App app{"Can a convolutional layer multiply two of its input channels, and at what price?",
               "conv_mult"};
  app.option_defaults()->always_capture_default()->take_last();
  app.get_formatter()->column_width(36);

  std::string group;
  const auto add = [&](const std::string& name, const std::string& placeholder, auto& target,
                       const std::string& help) {
    return app.add_option(name, target, help)->type_name(placeholder)->group(group);
  };
  const auto add_flag = [&](const std::string& name, bool& target, const std::string& help) {
    return app.add_flag(name, target, help)->check(CLI::Validator(check_flag, ""))->group(group);
  };
  // Lists are replaced as a whole by the command line, never appended to what the file says.
  const auto add_list = [&](const std::string& name, const std::string& placeholder, auto& target,
                            const std::string& help) {
    return add(name, placeholder, target, help)
        ->delimiter(',')
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };

  group = "Experiment";
  auto* variant =
      add_list("--variant", "NAME", raw.variants,
               "What to train: all, or a list of baseline, exp, log-exp, nmu, nalu, nac-mul, npu, "
               "stacked-exp, relu");
  variant->check(one_of(variant_names, {"all"}));
  auto* depth = add_list("--depth", "D", config.depths,
                         "Convolutions in a row in stacked-exp and relu; several are rows of their own");
  depth->check(in_range(1, 64));
  auto* width = add_list("--width", "C", config.widths, "Channels between them, likewise");
  width->check(in_range(1, 1024));
  add("--seed", "N", config.seeds.first, "First seed of the initial weights")
      ->check(in_range(0, std::numeric_limits<std::int64_t>::max() - most_seeds));
  add("--seeds", "N", config.seeds.count, "How many seeds to train, side by side")
      ->check(in_range(1, most_seeds));
  add("--shard", "I/N", raw.shard, "Train only the I-th of N parts of the seeds; see conv_mult merge --help");
  add("--success", "X", raw.success,
      "Relative error up to which a run is a success; near-exact: as good, outside the range trained on, as "
      "weights that are off by a relative 1e-5; auto: 0.05 for rectangles, near-exact for noise")
      ->check(CLI::Validator(check_success, "", "auto,near-exact"));
  auto* kernel_size = add("--kernel-size", "K", config.kernel_size, "Odd, 1 to 31; the padding is K/2");
  kernel_size->check(CLI::Validator(check_odd, ""))->check(in_range(1, 31));
  add("--data", "FORM", raw.data,
      "auto, patches (distinct receptive fields with counts), image (the scene itself) or literal (the same "
      "by "
      "LibTorch's conv2d)")
      ->check(one_of(data_names));

  add_list("--load-model", "FILE", config.load_model,
           "Models to start from, as --save-model wrote them; without --steps they are only evaluated")
      ->default_str("")  // CLI11 2.4 says {} of an empty list, 2.1 says []
      ->check(CLI::Validator(check_path, ""));

  group = "Scene";
  auto* scene = add_list("--scene", "NAME", raw.scenes, "rectangles, noise, or both");
  scene->check(one_of(scene_names));
  auto* size = add_list("--size", "H[,W]", raw.size, "Image size in pixels");
  size->check(in_range(1, largest_side));
  auto* rect_a = add_list("--rect-a", "T,L,H,W,V", raw.rect_a,
                          "First rectangle: top, left, height, width, value; its default scales with --size");
  auto* rect_b = add_list("--rect-b", "T,L,H,W,V", raw.rect_b, "Second rectangle, likewise");

  // Without a delimiter: a list is of ranges, each with a comma of its own.
  const auto add_ranges = [&](const std::string& name, const std::string& placeholder, auto& target,
                              const std::string& help) {
    return add(name, placeholder, target, help)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  auto* range =
      add_ranges("--range", "LO,HI", raw.ranges, "Noise: what pixels are drawn from, uniformly; repeatable");
  auto* test_range = add_ranges("--test-range", "LO,HI[,LO,HI]", raw.test_ranges,
                                "What they are drawn from for the test outside the range, one for each "
                                "--range; by default twice the range, or what of that is outside");
  add("--scene-seed", "N", config.scene_seed, "Seed of the noise trained on")
      ->check(in_range(0, std::numeric_limits<std::uint32_t>::max()));
  add_flag("--resample", config.resample, "Draw the noise anew at every step");

  group = "Held-out scenes";
  add("--heldout-scenes", "N", config.held_out.scenes, "Scenes in each split, 0 for none")
      ->check(in_range(0, 1000));
  add("--heldout-seed", "N", config.held_out.seed, "Seed that they are drawn from")
      ->check(in_range(0, std::numeric_limits<std::uint32_t>::max()));
  auto* held_out_values =
      add_list("--heldout-values", "LO,HI", raw.held_out_values, "Range of their fill values");

  group = "Training";
  auto* steps = add("--steps", "N", config.training.steps, "Number of updates");
  steps->check(in_range(0, most_steps));
  auto* optimizer =
      add_list("--optimizer", "NAME", raw.optimizers, "adam, adamw, rmsprop, sgd; several are a grid");
  optimizer->check(one_of(optimizer_names));
  auto* rate =
      add_list("--lr", "X", raw.rates,
               "Learning rate, above 0; several are a grid with --optimizer; npu=X is for npu alone");
  rate->check(CLI::Validator(check_rate, ""));
  add("--loss", "NAME", raw.loss, "l2 (the norm of the error) or mse")->check(one_of(loss_names));
  auto* sparsity = add_list("--nmu-sparsity", "STRENGTH[,FROM,TO]", raw.sparsity,
                            "nmu's regulariser and the steps over which it comes in; by default from 40 % to "
                            "70 % of them");
  auto* check_every = add("--check-every", "N", config.check_every,
                          "Steps between looks at the test range for near-exact; by default a 50th of them");
  check_every->check(in_range(1, most_steps));

  group = "Machine";
  add("--device", "NAME", config.machine.device, "auto, cpu, cuda or cuda:N")
      ->check(CLI::Validator(check_device, "", "auto,cpu,cuda"));
  add("--threads", "N", config.machine.threads, "CPU threads")->check(in_range(1, 1024));
  add("--dtype", "NAME", raw.dtype, "float32 or float64")->check(one_of(dtype_names));

  group = "Output";
  add("--out", "DIR", config.output.directory, "Folder of all output")->check(CLI::Validator(check_path, ""));
  auto* figures = add_list("--figures", "FORMAT", raw.figures, "png, svg, pdf (a list), or none");
  figures->check(one_of(figure_names, {"none"}));
  auto* log_every = add("--log-every", "N", config.output.log_every,
                        "Rows of loss.csv: every N-th step and the last; for many seeds about a hundred");
  log_every->check(in_range(1, most_steps));
  add_flag("--save-model", config.output.save_model,
           "Write model-VARIANT.pt, for --load-model and Python's torch.load");
  add_flag("--no-lock", config.output.no_lock, "Write into --out even while another run does")
      ->configurable(false);
  add_flag("--resume", config.output.resume, "Go on from the finished seeds in --out")->configurable(false);
  const auto set_ratio = [&](double x) { config.output.require_ratio = x; };
  app.add_option_function<double>("--require-ratio", set_ratio,
                                  "Exit with 3 unless exp's final loss is at most X times baseline's")
      ->type_name("X")
      ->check(CLI::Validator(check_positive, ""))
      ->group(group);
  add_flag("--quiet", config.output.quiet, "No progress and no notes on stderr");
  app.config_formatter(std::make_shared<TomlFormat>());
  app.set_config("--config", "", "TOML file with the same names; the command line wins")->type_name("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_version_flag("--version", version);
  std::string manual;  // for the build, which installs both; of no use to those who run the program
  app.add_option("--manual", manual)->check(CLI::IsMember({"man", "bash"}))->configurable(false)->group("");
  app.footer("conv_mult merge DIR... --out DIR joins the results of shards.");

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    result.message = app.help();
    return result;
  } catch (const CLI::CallForVersion&) {
    result.message = version;
    return result;
  } catch (const CLI::ConfigError& error) {
    throw UsageError(config_complaint(error.what()));
  } catch (const CLI::FileError& error) {
    throw UsageError("--config: " + one_line(error.what()));
  } catch (const CLI::ParseError& error) {
    throw UsageError(one_line(error.what()));
  }
  if (!manual.empty()) {
    MergeOptions unused;
    const auto merge = merge_app(unused);
    result.message = manual == "man" ? man_page(app, *merge) : bash_completion(app, *merge);
    return result;
  }

  if (!config.load_model.empty()) {
    for (auto* option : {variant, depth, width, kernel_size}) {
      if (option->count() > 0) {
        throw UsageError(fmt::format("{}: the files of --load-model say it already; allowed: one of the two",
                                     option->get_name()));
      }
      option->configurable(false);
    }
    if (steps->count() == 0) {
      config.training.steps = 0;
      state(steps, std::vector{0});
    }
  }
  const bool all = std::find(raw.variants.begin(), raw.variants.end(), "all") != raw.variants.end();
  config.variants = all ? std::vector<Variant>(all_variants.begin(), all_variants.end())
                        : values_of(raw.variants, variant_names);
  config.depths = distinct(config.depths);
  config.widths = distinct(config.widths);
  config.scenes = values_of(raw.scenes, scene_names);
  config.noise = noise_of(joined_if_bare(raw.ranges), joined_if_bare(raw.test_ranges));
  set_rates(config.training, raw.rates);
  config.training.loss = value_of(raw.loss, loss_names);
  config.training.sparsity = sparsity_of(raw.sparsity, config.training.steps);
  if (raw.success != "auto") {
    double error = 0;
    const bool number = CLI::detail::lexical_cast(raw.success, error);
    config.success.rectangles = config.success.noise = number ? std::optional(error) : std::nullopt;
  }
  if (check_every->count() == 0) {
    config.check_every = std::max<std::int64_t>(1, config.training.steps / 50);
  }
  config.training.optimizers = values_of(raw.optimizers, optimizer_names);
  config.shard = shard_of(raw.shard, config.seeds.count);
  if (raw.held_out_values.size() != 2) {
    throw UsageError(
        fmt::format("--heldout-values: {} is not LO,HI: two numbers", fmt::join(raw.held_out_values, ",")));
  }
  config.held_out.low = raw.held_out_values[0];
  config.held_out.high = raw.held_out_values[1];
  if (log_every->count() == 0 && config.seeds.count > 1) {
    config.output.log_every = std::max<std::int64_t>(1, config.training.steps / rows_per_curve);
  }
  config.data = value_of(raw.data, data_names);
  config.machine.dtype = value_of(raw.dtype, dtype_names);
  const bool no_figures = std::find(raw.figures.begin(), raw.figures.end(), "none") != raw.figures.end();
  if (no_figures && raw.figures.size() > 1) {
    throw UsageError(fmt::format("--figures: {}: none excludes every format", fmt::join(raw.figures, ",")));
  }
  config.output.figures = no_figures ? std::vector<FigureFormat>{} : values_of(raw.figures, figure_names);
  if (raw.size.size() > 2) {
    throw UsageError(fmt::format("--size: {} is not H[,W]: one or two numbers", fmt::join(raw.size, ",")));
  }
  config.scene.height = raw.size.front();
  config.scene.width = raw.size.back();
  const auto rectangle = [&](CLI::Option* option, const std::vector<double>& numbers,
                             const Rectangle& by_default) {
    return option->count() > 0 ? rectangle_of(numbers, config.scene, option->get_name())
                               : scaled(by_default, config.scene);
  };
  config.scene.a = rectangle(rect_a, raw.rect_a, config.scene.a);
  config.scene.b = rectangle(rect_b, raw.rect_b, config.scene.b);
  validate(config);

  // CLI11 would write the default of a list as one string; as a result it becomes a TOML array.
  state(variant, strings_of(config.variants));
  state(size, std::vector{config.scene.height, config.scene.width});
  state(rect_a, numbers_of(config.scene.a));
  state(rect_b, numbers_of(config.scene.b));
  state(figures, raw.figures);
  state(optimizer, strings_of(config.training.optimizers));
  state(rate, texts_of(config.training));
  state(depth, config.depths);
  state(width, config.widths);
  state(scene, strings_of(config.scenes));
  const auto& [strength, from, to] = config.training.sparsity;
  state(sparsity, std::vector{strength, static_cast<double>(from), static_cast<double>(to)});
  state(check_every, std::vector{config.check_every});
  std::vector<std::string> ranges;
  std::vector<std::string> test_ranges;
  for (const auto& noise : config.noise) {
    ranges.push_back(text_of({noise.range}));
    test_ranges.push_back(text_of(noise.test_range));
  }
  state(range, ranges);
  state(test_range, test_ranges);
  state(held_out_values, raw.held_out_values);
  state(log_every, std::vector{config.output.log_every});
  result.resolved_toml = app.config_to_str(true, true);
  return result;
}

}  // namespace conv_mult
