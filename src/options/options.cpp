#include "options/options.hpp"
#include <unistd.h>
#include <CLI/CLI.hpp>
#include "util/files.hpp"

// toml++ asserts that no "[#" comes, where its own check two lines on says what is wrong; with NDEBUG it tells the
// compiler to assume so, which would drop that check.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace conv_mult {
namespace {
/// What an option is given, and where, if not on the command line.
struct Words {
  Texts texts;
  std::string where;
};
using Settings = std::map<std::string, Words>;

/// What the files of --load-model say already.
const Texts of_models{"variant", "depth", "width", "kernel-size", "bias"};

constexpr auto unknown_key = "--config: unknown key '{}'; allowed: the long names of --help, without sections";

/// As typed on the command line.
std::string typed_text(const toml::node& value, const std::string& key) {
  if (const auto text = value.value_exact<std::string>()) { return *text; }
  if (const auto flag = value.value_exact<bool>()) { return fmt::format("{}", *flag); }
  if (const auto whole = value.value_exact<std::int64_t>()) { return fmt::format("{}", *whole); }
  if (const auto real = value.value_exact<double>()) { return fmt::format("{}", *real); }
  refuse_if(value.is_table(), unknown_key, key);
  throw UsageError("--config: '" + key + "' is a date or an empty list; allowed: numbers, strings, lists of them");
}

/// toml++ calls it unreachable that a letter such as ä stands outside of strings and comments. So it first reads the
/// text with another character in its place, of which it says what is wrong. Strings of several lines no setting needs.
toml::table parse_toml(std::string text) {
  refuse_if(text.find(R"(""")") != std::string::npos,
            R"(--config: """ begins a string of several lines; allowed: strings of one line)");
  text.erase(0, text.rfind("\xEF\xBB\xBF", 0) == 0 ? 3 : 0);  // a byte order mark
  std::string without_letters;
  for (const char c : text) {
    without_letters += (c & 0x80) == 0 ? std::string{c} : (c & 0xC0) == 0xC0 ? "\xEF\xBF\xBD" : "";
  }
  static_cast<void>(toml::parse(without_letters));
  return toml::parse(text);
}

/// The text as a value: bare if it is a number that comes back as the same text, else quoted.
std::string toml_literal(const std::string& text) {
  const auto comes_back = [&](auto number) { return parse(text, number) && text_of(number) == text; };
  const bool is_real = text.find_first_of(".e") != std::string::npos && comes_back(double{});
  if (is_real || comes_back(std::int64_t{})) { return text; }
  std::ostringstream quoted;
  const toml::table value{{"text", text}};
  quoted << toml::toml_formatter{*value.get("text"), toml::format_flags::allow_unicode_strings};
  return quoted.str();
}

/// The keys of a file of at most 1 MiB, with values as users would type them, numbers in their shortest form.
void read_toml(const std::string& path, const std::vector<Option>& table, Settings& settings) {
  constexpr std::size_t most_bytes = 1 << 20;
  std::string content(most_bytes + 1, '\0');
  std::ifstream file(path, std::ios::binary);
  content.resize(static_cast<std::size_t>(file.read(content.data(), most_bytes + 1).gcount()));
  refuse_if(!file.is_open() || file.bad(), "--config: '{}' cannot be read (missing?)", path);
  refuse_if(content.size() > most_bytes, "--config: the file is larger than a configuration can be; allowed: 1 MiB");
  try {
    for (const auto& [key, value] : parse_toml(content)) {
      const std::string name(key.str());
      const auto is_named = [&](const Option& option) { return option.name == name && option.role != Role::call; };
      refuse_if(std::none_of(table.begin(), table.end(), is_named), unknown_key, name);
      auto& given = settings[name] = {{}, fmt::format(" in '{}'", path)};
      const auto* list = value.as_array();
      const auto values = list != nullptr && !list->empty() ? *list : toml::array{value};
      for (const auto& each : values) { given.texts.push_back(typed_text(each, name)); }
    }
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("--config: line {}: {}", error.source().begin.line, error.description()));
  }
}

/// The default rectangle, drawn for the default image, in one of another size.
Rectangle scaled(const Rectangle& r, const ImageSize& size) {
  const auto row = [&](std::int64_t y) { return y * size.height / ImageSize().height; };
  const auto column = [&](std::int64_t x) { return x * size.width / ImageSize().width; };
  return {row(r.top), column(r.left), std::max<std::int64_t>(1, row(r.top + r.height) - row(r.top)),
          std::max<std::int64_t>(1, column(r.left + r.width) - column(r.left)), r.value};
}

/// Twice the range; around 0, of that what is outside of it.
std::vector<Interval> twice(const Interval& range) {
  if (range.low < 0 && range.high > 0) { return {{2 * range.low, range.low}, {range.high, 2 * range.high}}; }
  return {{2 * range.low, 2 * range.high}};
}

/// Those of the user's images, which are the same as before.
Texts checksums_of(const Config& config) {
  Texts paths{config.image_a, config.image_b, config.target};
  for (const auto& more : {config.test_a, config.test_b}) { paths.insert(paths.end(), more.begin(), more.end()); }
  Texts sums;
  for (const auto& path : paths) {
    if (path.empty()) { continue; }
    const auto before = sums.size() < config.checksums.size() ? config.checksums[sums.size()] : "";
    const bool readable = access(path.c_str(), R_OK) == 0 && std::filesystem::is_regular_file(path);
    refuse_if(!readable && before.empty(), "--scene files: '{}' is no file that can be read (missing?)", path);
    sums.push_back(readable ? checksum(read_file(path)) : before);  // where it is needed, it will be missed
    const bool changed = !config.checksums.empty() && sums.back() != before;
    refuse_if(changed, "--checksums: '{}' has changed, or was another file", path);
  }
  return sums;
}

/// What is not given and follows from other settings.
void derive(Config& config, const Settings& given, const Vocabulary& words) {
  const auto is_given = [&](const char* name) { return given.count(name) > 0; };
  if (contains(config.variants, "all")) { config.variants = words.variants; }
  if ((is_given("image-a") || is_given("image-b")) && !is_given("scene")) { config.scenes = {"files"}; }
  if (contains(config.scenes, "files")) { config.checksums = checksums_of(config); }
  if (!config.load_model.empty() && !is_given("steps")) { config.steps = 0; }
  if (!is_given("check-every")) { config.check_every = std::max<std::int64_t>(1, config.steps / 50); }
  if (!is_given("log-every") && config.seeds > 1) {  // some hundred points of a run, a million of all
    const auto rows = config.variants.size() * config.scenes.size() * config.optimizers.size() * config.rates.size();
    const auto points = std::clamp<std::int64_t>(1'000'000 / (config.seeds * static_cast<std::int64_t>(rows)), 1, 100);
    config.log_every = std::max<std::int64_t>(1, config.steps / points);
  }
  if (!is_given("nmu-sparsity") || split(join(given.at("nmu-sparsity").texts)).size() == 1) {
    config.sparsity.from = config.steps * 2 / 5;  // steps 20,000 to 35,000 of 50,000, as in the literature
    config.sparsity.to = config.steps * 7 / 10;
  }
  if (rates_of(config, "").empty()) { config.rates.emplace_back(); }
  config.rect_a = is_given("rect-a") ? config.rect_a : scaled(config.rect_a, config.size);
  config.rect_b = is_given("rect-b") ? config.rect_b : scaled(config.rect_b, config.size);
  if (!is_given("test-range")) {
    config.test_ranges.clear();
    std::transform(config.ranges.begin(), config.ranges.end(), std::back_inserter(config.test_ranges), twice);
  }
}

/// What options may not ask for together.
void check_config(const Config& config, const Settings& given) {
  const bool loads = !config.load_model.empty();
  for (const auto& name : loads ? of_models : Texts()) {
    refuse_if(given.count(name) > 0, "--{}: the files of --load-model say it already; allowed: one of the two", name);
  }
  refuse_if(loads && (config.seeds > 1 || config.require_ratio),
            "--load-model starts one run of each file; allowed: neither --seeds nor --require-ratio");
  refuse_if(config.seed + config.seeds - 1 > largest_seed,
            "--seed: {} and the {} that follow go beyond {}; PyTorch takes 32 bits of a seed", config.seed,
            config.seeds - 1, largest_seed);
  refuse_if(config.shard.count > config.seeds,
            "--shard: '{}' is not I/N; allowed: 1 <= I <= N <= {}, the number of seeds", text_of(config.shard),
            config.seeds);
  for (const auto& [name, r] : {std::pair{"--rect-a", config.rect_a}, {"--rect-b", config.rect_b}}) {
    refuse_if(r.top + r.height > config.size.height || r.left + r.width > config.size.width,
              "{}: rows {}..{}, columns {}..{} do not fit into the image of {}x{}", name, r.top, r.top + r.height - 1,
              r.left, r.left + r.width - 1, config.size.height, config.size.width);
  }
  refuse_if(config.test_ranges.size() != config.ranges.size(),
            "--test-range: {} given for {} of --range; allowed: one for each, or none", config.test_ranges.size(),
            config.ranges.size());
  if (!config.require_ratio) { return; }
  refuse_if(!contains(config.variants, "baseline") || !contains(config.variants, "exp"),
            "--require-ratio compares exp with baseline, but --variant is {}; allowed: both", join(config.variants));
  refuse_if(config.optimizers.size() * config.scenes.size() * config.ranges.size() * rates_of(config, "exp").size() *
                    rates_of(config, "baseline").size() >
                1,
            "--require-ratio compares one row each; allowed: one --optimizer, one --lr, one scene");
}

/// In groups, a line of at most 80 columns for each option, with its default in brackets.
std::string help_text(const std::vector<Option>& table) {
  std::string text;
  std::string group;
  for (const auto& option : table) {
    if (option.group != group) { text += fmt::format("\n{}:\n", group = option.group); }
    const auto name = (option.name == "help" ? "-h, --" : "--") + option.name + ' ' + option.placeholder;
    const auto standard = option.placeholder.empty() ? "" : join(option.get({}));
    text += fmt::format("  {:<28}{}{}\n", name, option.help, standard.empty() ? "" : " [" + standard + ']');
  }
  return text;
}

/// The commands that people start with, and the options.
std::string help_of_program(const std::vector<Option>& table, const Vocabulary& words) {
  std::string text = R"(Can a convolutional layer multiply two of its input channels, at what price?

  conv_mult                               trains baseline and exp, for results/
  conv_mult --variant all --seeds 100     which layer does it, and how often
  conv_mult merge DIR... --out DIR        joins the results of shards
  conv_mult report DIR                    tells its results again)";
  text += '\n' + help_text(table) + "\nVariants:";
  for (std::size_t i = 0; i < words.variants.size(); ++i) { text += (i % 6 == 0 ? "\n  " : ", ") + words.variants[i]; }
  return text;
}

/// A line for each option, of which packaging/manual.awk makes man page and completion: command, group, name,
/// placeholder, what is allowed, help, default, with tabs between them.
std::string listing(const std::string& command, const std::vector<Option>& table) {
  std::string lines;
  for (const auto& [group, name, placeholder, help, role, takes_many, allowed, set, get] : table) {
    lines += join({command, group, name, placeholder, allowed, help, join(get({}))}, "\t") + '\n';
  }
  return lines;
}
}  // namespace

CommandLine parse_command_line(const Texts& arguments, const Vocabulary& words, const std::string& version) {
  const auto command = arguments.empty() ? "" : arguments.front();
  if (command == "report") {
    refuse_if(arguments.size() != 2, "report: takes one folder of results");
    const auto& folder = arguments[1];
    auto report = parse_command_line(
        {"--config=" + folder + "/config.toml", "--out=" + folder, "--resume", "--no-report=false"}, words, version);
    report.config.report_only = true;
    return report;
  }
  const bool merging = command == "merge";
  const auto table = option_table(words);
  const auto named = merging ? merge_table() : table;
  Settings given;
  CLI::App app;
  app.set_help_flag();  // it is in the table
  app.allow_extras();
  for (const auto& option : named) {
    const auto name = (option.name == "help" ? "-h,--" : "--") + option.name;
    auto* added = option.placeholder.empty() ? app.add_flag(name) : app.add_option(name);
    added->take_all()->each([&](const std::string& text) { given[option.name].texts.push_back(text); });
    if (option.takes_many) { added->expected(1, 1 << 20); }
  }
  try {
    app.parse(Texts(arguments.rbegin(), arguments.rend() - (merging ? 1 : 0)));  // CLI11 takes them from the end
  } catch (const CLI::ParseError& error) { throw UsageError(join(split(error.what(), '\n'), " ")); }
  const auto others = app.remaining();
  if (given.count("help") > 0) {
    const auto* merge_help = "conv_mult merge DIR... --out DIR: the results of shards as those of one run\n";
    return {{}, merging ? merge_help + help_text(named) : help_of_program(named, words), {}};
  }
  if (!merging && others == Texts{"--listing"}) {  // for packaging
    return {{}, listing("", table) + listing("merge", merge_table()), {}};
  }
  if (given.count("version") > 0) { return {{}, version, {}}; }
  Texts unknown;
  std::copy_if(others.begin(), others.end(), std::back_inserter(unknown),
               [&](const auto& word) { return !merging || word.rfind('-', 0) == 0; });
  refuse_if(!unknown.empty(), "not expected: {}; allowed: what --help lists", join(unknown, " "));
  if (merging) {  // the settings of the first folder, as one run of all shards
    refuse_if(others.empty() || given.count("out") == 0, "merge: the folders of the shards and --out DIR are required");
    given["config"].texts = {others.front() + "/config.toml"};
    given["shard"].texts = {"1/1"};
  }
  Settings from_files;
  for (const auto& path : given["config"].texts) { read_toml(path, table, from_files); }
  given.merge(from_files);  // what stands there already stays
  if (given.count("resume") > 0 && given["resume"].texts.back() == "true") {
    const auto earlier = (given.count("out") > 0 ? given["out"].texts.back() : Config().out) + "/config.toml";
    Settings its;
    if (std::ifstream(earlier)) { read_toml(earlier, table, its); }
    given.insert(its.extract("log-every"));  // as it was, also where more seeds would ask for fewer lines
  }
  Config config;
  for (const auto& option : table) {
    if (given.count(option.name) == 0) { continue; }
    const auto& [texts, where] = given.at(option.name);
    const bool fits = where.empty() || option.takes_many || texts.size() == 1;
    refuse_if(!fits || !option.set(config, texts), "--{}{}: '{}' is not {}", option.name, where, join(texts),
              option.allowed);
  }
  derive(config, given, words);
  check_config(config, given);
  for (const auto& folder : others) {  // shards, or neighbouring ranges of seeds
    const auto file = std::filesystem::path(folder) / "config.toml";
    const auto its = parse_command_line({"--config", file}, words, version).config;
    const auto end = std::max(config.seed + config.seeds, its.seed + its.seeds);
    config.seed = std::min(config.seed, its.seed);
    config.seeds = end - config.seed;
  }
  return {config, {}, others};
}

std::vector<double> rates_of(const Config& config, const std::string& variant) {
  std::vector<double> rates;
  for (const auto& [name, rate] : config.rates) {
    if (name == variant) { rates.push_back(rate); }
  }
  return rates.empty() && !variant.empty() ? rates_of(config, "") : rates;
}

std::string toml_of(const Config& config) {
  std::string lines;
  for (const auto& option : option_table({})) {
    const bool unsaid = option.role == Role::call || (!config.load_model.empty() && contains(of_models, option.name));
    auto values = unsaid ? Texts() : option.get(config);
    if (values.empty()) { continue; }
    if (!option.placeholder.empty()) { std::transform(values.begin(), values.end(), values.begin(), toml_literal); }
    lines += fmt::format(values.size() == 1 ? "{}={}\n" : "{}=[{}]\n", option.name, join(values, ", "));
  }
  return lines;
}

std::optional<std::string> difference(const Config& config, const Config& other) {
  for (const auto& option : option_table({})) {
    if (option.role != Role::numbers) { continue; }
    const auto ours = join(option.get(config));
    const auto theirs = join(option.get(other));
    const auto shown = [](const std::string& text) { return text.empty() ? "none" : text; };
    if (ours != theirs) { return fmt::format("--{}: {}, not {}", option.name, shown(ours), shown(theirs)); }
  }
  return std::nullopt;
}
}  // namespace conv_mult
