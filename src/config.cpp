#include "conv_mult/config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>

namespace conv_mult {
namespace {

constexpr std::int64_t most_steps = 100'000'000;
constexpr std::int64_t largest_side = 32768;  // 2^15: pixel counts stay far from any overflow

template <typename Enum, std::size_t N>
std::map<std::string, Enum> names_of(const std::array<Enum, N>& values) {
  std::map<std::string, Enum> names;
  for (const Enum value : values) {
    names.emplace(to_string(value), value);
  }
  return names;
}

const auto variant_names = names_of(all_variants);
const auto optimizer_names = names_of(
    std::array{OptimizerKind::adam, OptimizerKind::adamw, OptimizerKind::rmsprop, OptimizerKind::sgd});
const auto data_names = names_of(std::array{DataForm::automatic, DataForm::image, DataForm::patches});
const auto dtype_names = names_of(std::array{Dtype::float32, Dtype::float64});
const auto figure_names = names_of(all_figure_formats);

template <typename Enum>
std::vector<std::string> strings_of(const std::vector<Enum>& values) {
  std::vector<std::string> strings;
  strings.reserve(values.size());
  for (const Enum value : values) {
    strings.push_back(to_string(value));
  }
  return strings;
}

/// The inverse of strings_of; a name given twice counts once. The names are already validated.
template <typename Enum>
std::vector<Enum> values_of(const std::vector<std::string>& strings,
                            const std::map<std::string, Enum>& names) {
  std::vector<Enum> values;
  for (const auto& string : strings) {
    const Enum value = names.at(string);
    if (std::find(values.begin(), values.end(), value) == values.end()) {
      values.push_back(value);
    }
  }
  return values;
}

/// What the options bind to where a Config member's own type is not what users type.
struct Raw {
  std::vector<std::string> variants, figures;
  std::string optimizer, data, dtype;
  std::vector<std::int64_t> size;
  std::vector<double> rect_a, rect_b;
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
  if (!std::isfinite(r.value)) {
    throw UsageError(fmt::format("{}: value {} is not finite", option, r.value));
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

template <typename Enum>
CLI::Validator one_of(const std::map<std::string, Enum>& names, const std::vector<std::string>& extra = {}) {
  std::vector<std::string> allowed = extra;
  for (const auto& [name, value] : names) {
    allowed.push_back(name);
  }
  return {[allowed](std::string& text) {
            const bool known = std::find(allowed.begin(), allowed.end(), text) != allowed.end();
            return known ? std::string()
                         : fmt::format("'{}' is unknown; allowed: {}", text, fmt::join(allowed, ", "));
          },
          ""};
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
std::string config_complaint(std::string message) {
  const std::string unknown = "INI was not able to parse ";
  if (message.rfind(unknown, 0) != 0) {
    return message;
  }
  std::string key = message.substr(unknown.size());
  key = key.substr(0, key.find(".++"));  // its mark for the head of a section
  return fmt::format("--config: unknown key '{}'; allowed: the long names of --help, without sections", key);
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
}

}  // namespace

std::string to_string(Variant value) { return value == Variant::baseline ? "baseline" : "exp"; }

std::string to_string(OptimizerKind value) {
  switch (value) {
    case OptimizerKind::adam:
      return "adam";
    case OptimizerKind::adamw:
      return "adamw";
    case OptimizerKind::rmsprop:
      return "rmsprop";
    case OptimizerKind::sgd:
      break;
  }
  return "sgd";
}

std::string to_string(DataForm value) {
  switch (value) {
    case DataForm::automatic:
      return "auto";
    case DataForm::image:
      return "image";
    case DataForm::patches:
      break;
  }
  return "patches";
}

std::string to_string(Dtype value) { return value == Dtype::float32 ? "float32" : "float64"; }

std::string to_string(FigureFormat value) {
  switch (value) {
    case FigureFormat::png:
      return "png";
    case FigureFormat::svg:
      return "svg";
    case FigureFormat::pdf:
      break;
  }
  return "pdf";
}

bool overlap(const Rectangle& a, const Rectangle& b) {
  return a.top < b.top + b.height && b.top < a.top + a.height && a.left < b.left + b.width &&
         b.left < a.left + a.width;
}

CommandLine parse_command_line(int argc, const char* const* argv, const std::string& version) {
  CommandLine result;
  Config& config = result.config;

  Raw raw;
  raw.variants = strings_of(config.variants);
  raw.figures = strings_of(config.output.figures);
  raw.optimizer = to_string(config.training.optimizer);
  raw.data = to_string(config.data);
  raw.dtype = to_string(config.machine.dtype);
  raw.size = {config.scene.height, config.scene.width};
  raw.rect_a = numbers_of(config.scene.a);
  raw.rect_b = numbers_of(config.scene.b);

  CLI::App app{"Can a convolutional layer multiply two of its input channels, and at what price?",
               "conv_mult"};
  app.option_defaults()->always_capture_default()->take_last();
  app.get_formatter()->column_width(36);

  std::string group;
  const auto add = [&](const std::string& name, const std::string& placeholder, auto& target,
                       const std::string& help) {
    return app.add_option(name, target, help)->type_name(placeholder)->group(group);
  };
  // Lists are replaced as a whole by the command line, never appended to what the file says.
  const auto add_list = [&](const std::string& name, const std::string& placeholder, auto& target,
                            const std::string& help) {
    return add(name, placeholder, target, help)
        ->delimiter(',')
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };

  group = "Experiment";
  auto* variant = add_list("--variant", "NAME", raw.variants, "What to train: baseline, exp; repeatable");
  variant->check(one_of(variant_names));
  add("--seed", "N", config.seed, "Seed of the initial weights")
      ->check(in_range(0, std::numeric_limits<std::int64_t>::max()));
  add("--kernel-size", "K", config.kernel_size, "Odd, 1 to 31; the padding is K/2")
      ->check(CLI::Validator(check_odd, ""))
      ->check(in_range(1, 31));
  add("--data", "FORM", raw.data,
      "auto, image (the scene itself) or patches (distinct receptive fields with counts)")
      ->check(one_of(data_names));

  group = "Scene";
  auto* size = add_list("--size", "H[,W]", raw.size, "Image size in pixels");
  size->check(in_range(1, largest_side));
  auto* rect_a = add_list("--rect-a", "T,L,H,W,V", raw.rect_a,
                          "First rectangle: top, left, height, width, value; its default scales with --size");
  auto* rect_b = add_list("--rect-b", "T,L,H,W,V", raw.rect_b, "Second rectangle, likewise");

  group = "Training";
  add("--steps", "N", config.training.steps, "Number of updates")->check(in_range(0, most_steps));
  add("--optimizer", "NAME", raw.optimizer, "adam, adamw, rmsprop or sgd")->check(one_of(optimizer_names));
  add("--lr", "X", config.training.learning_rate, "Learning rate, above 0")
      ->check(CLI::Validator(check_positive, ""));

  group = "Machine";
  add("--device", "NAME", config.machine.device, "auto, cpu, cuda or cuda:N")
      ->check(CLI::Validator(check_device, ""));
  add("--threads", "N", config.machine.threads, "CPU threads")->check(in_range(1, 1024));
  add("--dtype", "NAME", raw.dtype, "float32 or float64")->check(one_of(dtype_names));

  group = "Output";
  add("--out", "DIR", config.output.directory, "Folder of all output");
  auto* figures = add_list("--figures", "FORMAT", raw.figures, "png, svg, pdf (a list), or none");
  figures->check(one_of(figure_names, {"none"}));
  add("--log-every", "N", config.output.log_every, "Rows of loss.csv: every N-th step and the last")
      ->check(in_range(1, most_steps));
  const auto set_ratio = [&](double x) { config.output.require_ratio = x; };
  app.add_option_function<double>("--require-ratio", set_ratio,
                                  "Exit with 3 unless exp's final loss is at most X times baseline's")
      ->type_name("X")
      ->check(CLI::Validator(check_positive, ""))
      ->group(group);
  app.add_flag("--quiet", config.output.quiet, "No progress and no notes on stderr")->group(group);
  app.set_config("--config", "", "TOML file with the same names; the command line wins")->type_name("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_version_flag("--version", version);

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
  } catch (const CLI::ParseError& error) {
    std::string line = error.what();
    std::replace(line.begin(), line.end(), '\n', ' ');
    throw UsageError(line);
  }

  config.variants = values_of(raw.variants, variant_names);
  config.training.optimizer = optimizer_names.at(raw.optimizer);
  config.data = data_names.at(raw.data);
  config.machine.dtype = dtype_names.at(raw.dtype);
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
  result.resolved_toml = app.config_to_str(true, true);
  return result;
}

}  // namespace conv_mult
