#include "options/options.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <map>

#include "options/table.hpp"

namespace conv_mult {
namespace {

/// The words that options are given, by their names.
struct Words : Texts {
  std::string where;  ///< else than on the command line
};
using Settings = std::map<std::string, Words>;

/// What the files of --load-model say already.
const Texts of_models{"variant", "depth", "width", "kernel-size", "bias"};

void apply(const Option& option, const Words& given, Config& config) {
  Texts words(given.begin(), given.end());
  const auto parts = split(join(given));
  if (option.kind == Kind::list) { words = parts; }
  if (option.kind == Kind::tuples && parts.size() == given.size()) { words = {join(given)}; }  // as TOML's [1, 2], too
  bool ok = given.where.empty() || option.kind > Kind::one || words.size() == 1;
  for (const auto& word : words) {  // the last counts, but all have to be right
    ok = ok && (option.kind > Kind::one || option.set(config, {word}));
  }
  if (!ok || (option.kind > Kind::one && !option.set(config, words))) {
    throw UsageError(fmt::format("--{}{}: '{}' is not {}", option.name, given.where, join(words), option.allowed));
  }
}

/// The default rectangle, drawn for the default image, in one of another size.
Rectangle scaled(const Rectangle& r, const ImageSize& size) {
  const ImageSize defaults;
  const auto row = [&](std::int64_t y) { return y * size.height / defaults.height; };
  const auto column = [&](std::int64_t x) { return x * size.width / defaults.width; };
  return {row(r.top), column(r.left), std::max<std::int64_t>(1, row(r.top + r.height) - row(r.top)),
          std::max<std::int64_t>(1, column(r.left + r.width) - column(r.left)), r.value};
}

/// Twice the range; around 0, of that what is outside of it.
std::vector<Interval> twice(const Interval& range) {
  if (range.low < 0 && range.high > 0) { return {{2 * range.low, range.low}, {range.high, 2 * range.high}}; }
  return {{2 * range.low, 2 * range.high}};
}

/// What is not given and follows from other settings.
void derive(Config& config, const Settings& given, const Vocabulary& words) {
  const auto is_given = [&](const char* name) { return given.count(name) > 0; };
  if (contains(config.variants, "all")) { config.variants = words.variants; }
  if (!config.load_model.empty() && !is_given("steps")) { config.steps = 0; }
  if (!is_given("check-every")) { config.check_every = std::max<std::int64_t>(1, config.steps / 50); }
  if (!is_given("log-every") && config.seeds > 1) {  // some hundred points of a run, a million of all
    const auto rows = config.variants.size() * config.scenes.size() * config.optimizers.size() * config.rates.size();
    const auto points = std::clamp<std::int64_t>(1'000'000 / (config.seeds * static_cast<std::int64_t>(rows)), 1, 100);
    config.log_every = std::max<std::int64_t>(1, config.steps / points);
  }
  if (!is_given("nmu-sparsity") || split(join(given.at("nmu-sparsity"))).size() == 1) {
    config.sparsity.from = config.steps * 2 / 5;  // steps 20,000 to 35,000 of 50,000, as in the literature
    config.sparsity.to = config.steps * 7 / 10;
  }
  if (std::all_of(config.rates.begin(), config.rates.end(), [](const auto& r) { return !r.variant.empty(); })) {
    config.rates.emplace_back();
  }
  config.rect_a = is_given("rect-a") ? config.rect_a : scaled(config.rect_a, config.size);
  config.rect_b = is_given("rect-b") ? config.rect_b : scaled(config.rect_b, config.size);
  if (!is_given("test-range")) {
    config.test_ranges.clear();
    std::transform(config.ranges.begin(), config.ranges.end(), std::back_inserter(config.test_ranges), twice);
  }
}

/// What options may not ask for together.
void check(const Config& config, const Settings& given) {
  const auto refuse = [](bool wrong, const std::string& text) {
    if (wrong) { throw UsageError(text); }
  };
  const bool loads = !config.load_model.empty();
  for (const auto& name : of_models) {
    refuse(loads && given.count(name) > 0,
           fmt::format("--{}: the files of --load-model say it already; allowed: one of the two", name));
  }
  refuse(loads && (config.seeds > 1 || config.require_ratio),
         "--load-model starts one run of each file; allowed: neither --seeds nor --require-ratio");
  refuse(config.seed + config.seeds - 1 > largest_seed,
         fmt::format("--seed: {} and the {} that follow go beyond {}; PyTorch takes 32 bits of a seed", config.seed,
                     config.seeds - 1, largest_seed));
  refuse(config.shard.count > config.seeds,
         fmt::format("--shard: '{}' is not I/N; allowed: 1 <= I <= N <= {}, the number of seeds", text_of(config.shard),
                     config.seeds));
  for (const auto& [name, r] : {std::pair{"--rect-a", config.rect_a}, {"--rect-b", config.rect_b}}) {
    refuse(r.top + r.height > config.size.height || r.left + r.width > config.size.width,
           fmt::format("{}: rows {}..{}, columns {}..{} do not fit into the image of {}x{}", name, r.top,
                       r.top + r.height - 1, r.left, r.left + r.width - 1, config.size.height, config.size.width));
  }
  refuse(config.test_ranges.size() != config.ranges.size(),
         fmt::format("--test-range: {} given for {} of --range; allowed: one for each, or none",
                     config.test_ranges.size(), config.ranges.size()));
  refuse(config.require_ratio && !(contains(config.variants, "baseline") && contains(config.variants, "exp")),
         fmt::format("--require-ratio compares exp with baseline, but --variant is {}; allowed: both",
                     join(config.variants)));
  refuse(config.require_ratio && (config.optimizers.size() * config.scenes.size() * config.ranges.size() > 1 ||
                                  rates_of(config, "exp").size() * rates_of(config, "baseline").size() > 1),
         "--require-ratio compares one row each; allowed: one --optimizer, one --lr, one scene");
}

/// Wraps the help of an option to the terminal, or 80 columns.
class Formatter : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    winsize terminal{};
    const bool is_terminal = ioctl(STDOUT_FILENO, TIOCGWINSZ, &terminal) == 0 && terminal.ws_col > 0;
    const std::size_t width = is_terminal ? terminal.ws_col : 80;
    const auto indent = get_column_width();
    auto text = make_option_name(option, is_positional) + make_option_opts(option);
    text = fmt::format("  {:<{}}", text, indent - 2);
    text += text.size() > indent ? "\n" + std::string(indent, ' ') : "";
    auto column = indent;
    for (const auto& word : split(make_option_desc(option), ' ')) {
      const bool fits = column == indent || column + 1 + word.size() <= width;
      text += column == indent ? word : fits ? ' ' + word : "\n" + std::string(indent, ' ') + word;
      column = !fits ? indent + word.size() : column + (column == indent ? 0 : 1) + word.size();
    }
    return text + '\n';
  }
};

/// What the words of the command line give the options of `table`, and the words of none of them.
struct Typed {
  Settings settings;
  Texts others;
  std::optional<std::string> help;
};

Typed typed_words(int argc, const char* const* argv, const std::vector<Option>& table, const char* name,
                  const char* purpose, const char* footer) {
  CLI::App app(purpose, name);
  app.formatter(std::make_shared<Formatter>());
  app.get_formatter()->column_width(28);
  app.allow_extras();
  app.footer(footer);
  for (const auto& option : table) {
    auto* added = option.kind == Kind::flag ? app.add_flag("--" + option.name) : app.add_option("--" + option.name);
    const auto policy = option.kind >= Kind::list ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::TakeLast;
    added->description(option.help)->group(option.group)->multi_option_policy(policy);
    if (option.kind != Kind::flag) {
      added->type_name(option.placeholder);
      if (option.kind >= Kind::tuple) { added->expected(1, 1 << 20); }
      if (option.get && !option.get({}).empty()) { added->default_str(join(option.get({}))); }
    }
  }
  Typed typed;
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    typed.help = app.help();
    return typed;
  } catch (const CLI::ParseError& error) { throw UsageError(join(split(error.what(), '\n'), " ")); }
  typed.others = app.remaining();
  for (const auto& option : table) {
    const auto* given = app.get_option("--" + option.name);
    if (given->count() > 0) { typed.settings[option.name] = {given->results(), ""}; }
  }
  return typed;
}

/// A line for each option, of which packaging/manual.awk makes man page and completion: command, group, name,
/// placeholder, what the shell may offer, help, default, with tabs between them.
std::string listing(const std::string& command, const std::vector<Option>& table) {
  std::string lines;
  for (const auto& option : table) {
    Texts offers;  // "one of a, b, or what is no word"
    for (const auto& part : option.allowed.rfind("one of ", 0) == 0 ? split(option.allowed.substr(7)) : Texts()) {
      const auto word = part.substr(part.find_first_not_of(' '));
      if (word.find(' ') == std::string::npos) { offers.push_back(word); }
    }
    lines += join({command, option.group, option.name, option.placeholder, join(offers, " "), option.help,
                   option.get ? join(option.get(Config())) + '\n' : "\n"},
                  "\t");
  }
  return lines;
}

void expect_none(const Texts& others) {
  if (!others.empty()) {
    throw UsageError(fmt::format("The following argument{} not expected: {}", others.size() == 1 ? " was" : "s were",
                                 join(others, " ")));
  }
}

Option call_option(const char* name, const char* placeholder, const char* help, Kind kind, const char* allowed = "") {
  return {"Options", name, placeholder, help, Role::call, kind, allowed, nullptr, nullptr};
}

std::vector<Option> merge_table() {
  return {call_option("out", "DIR", "Folder of the joined results", Kind::one),
          call_option("figures", "FORMAT", "As for conv_mult; the shards' own unless given", Kind::one,
                      "one of none, png, svg, pdf"),
          call_option("quiet", "", "No notes on stderr", Kind::flag)};
}

/// The settings of the first folder, as one run of all shards.
CommandLine parse_merge(int argc, const char* const* argv, const Vocabulary& words) {
  const auto typed = typed_words(argc, argv, merge_table(), "conv_mult merge DIR...",
                                 "Joins the results of shards: the tables of the unsharded run.", "");
  if (typed.help) { return {{}, typed.help, {}}; }
  for (const auto& word : typed.others) {
    if (word.rfind('-', 0) == 0) { expect_none({word}); }
  }
  if (typed.others.empty() || typed.settings.count("out") == 0) {
    throw UsageError("merge: the folders of the shards and --out DIR are required");
  }
  Texts arguments{"conv_mult", "--config=" + typed.others.front() + "/config.toml", "--shard=1/1"};
  for (const auto& [name, given] : typed.settings) { arguments.push_back("--" + name + '=' + given.back()); }
  std::vector<const char*> pointers;
  for (const auto& argument : arguments) { pointers.push_back(argument.c_str()); }
  auto result = parse_command_line(static_cast<int>(pointers.size()), pointers.data(), words, "");
  result.merge = typed.others;
  return result;
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv, const Vocabulary& words, const std::string& version) {
  if (argc > 1 && argv[1] == std::string_view("merge")) { return parse_merge(argc - 1, argv + 1, words); }
  const auto table = option_table(words);
  auto with_calls = table;
  with_calls.insert(
      with_calls.begin(),
      {call_option("version", "", "Display program version information and exit", Kind::flag),
       call_option("config", "FILE",
                   "TOML file with the same names; of several the later wins, and the command line over all",
                   Kind::list)});
  auto typed = typed_words(argc, argv, with_calls, "conv_mult",
                           "Can a convolutional layer multiply two of its input channels, and at what price?",
                           "conv_mult merge DIR... --out DIR joins the results of shards.");
  if (typed.others == Texts{"--listing"}) {  // for packaging
    const std::vector help{call_option("help", "", "Print this help message and exit", Kind::flag)};
    typed.help = listing("", help) + listing("", with_calls) + listing("merge", help) + listing("merge", merge_table());
  } else if (typed.settings.count("version") > 0) {
    typed.help = version;
  }
  if (typed.help) { return {{}, typed.help, {}}; }
  expect_none(typed.others);
  Settings settings;
  for (const auto& path : typed.settings["config"]) {
    for (const auto& [key, values] : read_toml(path)) {
      const auto is_named = [&key = key](const Option& o) { return o.name == key && o.role != Role::call; };
      if (std::none_of(table.begin(), table.end(), is_named)) {
        throw UsageError(
            fmt::format("--config: unknown key '{}'; allowed: the long names of --help, without sections", key));
      }
      settings[key] = {values, fmt::format(" in '{}'", path)};
    }
  }
  for (const auto& [name, values] : typed.settings) { settings[name] = values; }
  CommandLine result;
  for (const auto& option : table) {
    if (const auto given = settings.find(option.name); given != settings.end()) {
      apply(option, given->second, result.config);
    }
  }
  derive(result.config, settings, words);
  check(result.config, settings);
  return result;
}

std::vector<double> rates_of(const Config& config, const std::string& variant) {
  std::vector<double> own;
  std::vector<double> general;
  for (const auto& [owner, rate] : config.rates) {
    if (owner == variant) { own.push_back(rate); }
    if (owner.empty()) { general.push_back(rate); }
  }
  return own.empty() ? general : own;
}

std::string toml_of(const Config& config) {
  std::string lines;
  for (const auto& option : option_table({})) {
    const bool unsaid = option.role == Role::call || (!config.load_model.empty() && contains(of_models, option.name));
    auto values = unsaid ? Texts() : option.get(config);
    if (option.kind != Kind::flag) { std::transform(values.begin(), values.end(), values.begin(), toml_literal); }
    if (!values.empty()) {
      lines += fmt::format(values.size() == 1 ? "{}={}\n" : "{}=[{}]\n", option.name, join(values, ", "));
    }
  }
  return lines;
}

std::optional<std::string> difference(const Config& config, const Config& other, bool with_shard) {
  for (const auto& option : option_table({})) {
    const auto ours = join(option.get(config));
    const auto theirs = join(option.get(other));
    if (ours != theirs && (option.role == Role::numbers || (with_shard && option.role == Role::shard))) {
      return fmt::format("--{}: {}, not {}", option.name, ours.empty() ? "none" : ours,
                         theirs.empty() ? "none" : theirs);
    }
  }
  return std::nullopt;
}

std::string to_string(LossKind value) { return text_of(value); }
std::string to_string(OptimizerKind value) { return text_of(value); }
std::string to_string(DataForm value) { return text_of(value); }
std::string to_string(Dtype value) { return text_of(value); }
std::string to_string(FigureFormat value) { return text_of(value); }

}  // namespace conv_mult
