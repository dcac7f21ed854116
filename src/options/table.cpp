#include "options/options.hpp"

namespace conv_mult {
namespace {
constexpr std::int64_t most_steps = 100'000'000, most_seeds = 100'000'000;
constexpr std::int64_t largest_side = 1'000'000'000;  // its square is a number; memory is the limit
constexpr double largest_value = 1e38;                // in float32, which pictures are in, and training by default

/// Which values of its type a field takes: in words, and as a function.
template <typename T>
struct Rule {
  std::string allowed;
  std::function<bool(const T&)> holds = [](const T& /*value*/) { return true; };
};

Rule<std::int64_t> whole(std::int64_t low, std::int64_t high) {
  return {fmt::format("a whole number from {} to {}", low, high),
          [=](std::int64_t value) { return value >= low && value <= high; }};
}

Rule<std::string> one_of(Texts names, const Texts& others = {}) {
  names.insert(names.end(), others.begin(), others.end());
  return {"one of " + join(names, ", "), [=](const std::string& name) { return contains(names, name); }};
}

bool is_device(const std::string& text) {
  std::int64_t index = -1;
  return contains({"auto", "cpu", "cuda"}, text) ||
         (parse(text.substr(std::min<std::size_t>(5, text.size())), index) && index >= 0 && index < 100 &&
          text == fmt::format("cuda:{}", index));
}

// What a field holds one or several of.
template <typename T>
T element_of(T field);
template <typename T>
T element_of(std::vector<T> field);

struct Table {
  std::vector<Option> options;
  std::string group = "Options";

  /// A field of one value or a list, of figures perhaps none. In a list what is named twice counts once, but the n-th
  /// interval belongs to that of others. An enumeration needs no rule.
  template <typename Field, typename T = decltype(element_of(Field()))>
  void add(const char* name, const char* placeholder, Field Config::*field, const Rule<T>& rule,
           const std::string& help, Role role = Role::numbers) {
    constexpr bool is_list = !is_any<Field, T>;
    constexpr bool is_tuple = is_any<T, std::vector<Interval>> || (has_parts<T> && !is_any<T, Shard>);
    constexpr auto of_one = is_tuple ? Kind::tuple : is_any<T, bool> ? Kind::flag : Kind::one;
    constexpr auto kind = !is_list ? of_one : is_tuple ? Kind::tuples : Kind::list;
    const Texts none = is_any<T, FigureFormat> ? Texts{"none"} : Texts();
    auto allowed = rule.allowed;
    if constexpr (std::is_enum_v<T>) { allowed = one_of(none, names_of(T{})).allowed; }
    const auto get = [=](const Config& config) {
      Texts texts;
      if constexpr (is_list) {
        for (const auto& value : config.*field) { texts.push_back(text_of(value)); }
      } else if (const auto text = text_of(config.*field); !text.empty()) {
        texts = is_tuple ? split(text) : Texts{text};
      }
      return texts.empty() ? none : texts;
    };
    const auto set = [=](Config& config, const Texts& words) {
      if constexpr (is_list) { (config.*field).clear(); }
      return words == none || std::all_of(words.begin(), words.end(), [&](const auto& word) {
               T value{};
               if (!parse(word, value) || !rule.holds(value)) { return false; }
               if constexpr (!is_list) {
                 config.*field = value;
               } else if (is_tuple || !contains(get(config), text_of(value))) {
                 (config.*field).push_back(value);
               }
               return true;
             });
    };
    options.push_back({group, name, placeholder, help, role, kind, allowed, set, get});
  }

  /// What stands in no Config.
  void add(const char* name, const char* placeholder, const char* help, Kind kind, const char* allowed = "") {
    options.push_back({group, name, placeholder, help, Role::call, kind, allowed,
                       [](Config& /*config*/, const Texts& /*words*/) { return true; },
                       [](const Config& /*config*/) { return Texts(); }});
  }
};
}  // namespace

std::vector<Option> option_table(const Vocabulary& words) {
  const Rule<bool> flag{"true or false"};
  const Rule<std::string> path{"a path in UTF-8", [](const std::string& text) {
                                 return !text.empty() && text.find('\0') == std::string::npos && is_utf8(text);
                               }};
  const auto within = [](double limit) {
    return [=](const Interval& range) { return -limit <= range.low && range.low < range.high && range.high <= limit; };
  };
  const Rule<Interval> interval{fmt::format("LO,HI within ±{}, LO below HI", largest_value), within(largest_value)};
  const Rule<Rectangle> rectangle{
      fmt::format("T,L,H,W,V: whole numbers of pixels, H and W at least 1, V within ±{}", largest_value),
      [](const Rectangle& r) {
        return std::min(r.top, r.left) >= 0 && std::min(r.height, r.width) >= 1 &&
               std::max({r.top, r.left, r.height, r.width}) <= largest_side && std::abs(r.value) <= largest_value;
      }};
  auto seed = whole(0, largest_seed);
  seed.allowed += ": PyTorch takes 32 bits of a seed, so that larger ones repeat the runs of others";

  Table t;
  t.add("help", "", "Print this help message and exit", Kind::flag);
  t.add("version", "", "Display program version information and exit", Kind::flag);
  t.add("config", "FILE", "TOML file with the same names; of several the later wins, and the command line over all",
        Kind::list);

  t.group = "Experiment";
  t.add("variant", "NAME", &Config::variants, one_of({"all"}, words.variants),
        "What to train: all, or a list of " + join(words.variants, ", "));
  t.add("depth", "D", &Config::depths, whole(1, 64),
        "Convolutions in a row in " + join(words.sized, " and ") + "; several are rows of their own");
  t.add("width", "C", &Config::widths, whole(1, 1024),
        "Channels between them and in square, likewise; by default 8, in square 4");
  t.add("seed", "N", &Config::seed, seed, "First seed of the initial weights");
  t.add("seeds", "N", &Config::seeds, whole(1, most_seeds), "How many seeds to train, side by side");
  t.add("shard", "I/N", &Config::shard,
        {"I/N with 1 <= I <= N", [](const Shard& s) { return s.index >= 1 && s.index <= s.count; }},
        "Train only the I-th of N parts of the seeds; see conv_mult merge --help", Role::shard);
  t.add("success", "X", &Config::success, {"one of near-exact, near-exact=E, mse=M, auto, or a number above 0"},
        "Relative error up to which a run is a success; near-exact=E: as good, on the test range, as two factors that "
        "are off by a relative E, by default 1e-5; mse=M: a mean squared error there of at most M; auto: 0.05 for "
        "rectangles, near-exact for noise");
  t.add("kernel-size", "K", &Config::kernel_size,
        {"an odd number from 1 to 31", [](std::int64_t k) { return k >= 1 && k <= 31 && k % 2 == 1; }},
        "Odd, 1 to 31; the padding is K/2");
  t.add("bias", "", &Config::bias, flag, "Give the convolutions of bilinear and square biases");
  t.add("data", "FORM", &Config::data, {},
        "auto, patches (distinct receptive fields with counts), image (the scene itself) or literal (the same by "
        "LibTorch's conv2d)");
  t.add("load-model", "FILE", &Config::load_model, path,
        "Models to start from, as --save-model wrote them; without --steps they are only evaluated");

  t.group = "Scene";
  t.add("scene", "NAME", &Config::scenes, one_of(words.scenes), join(words.scenes, ", ") + ", or several");
  t.add("size", "H[,W]", &Config::size,
        {fmt::format("H[,W], whole numbers from 1 to {}", largest_side),
         [](const ImageSize& size) {
           return std::min(size.height, size.width) >= 1 && std::max(size.height, size.width) <= largest_side;
         }},
        "Image size in pixels");
  t.add("rect-a", "T,L,H,W,V", &Config::rect_a, rectangle,
        "First rectangle: top, left, height, width, value; its default scales with --size");
  t.add("rect-b", "T,L,H,W,V", &Config::rect_b, rectangle, "Second rectangle, likewise");
  t.add("range", "LO,HI", &Config::ranges, interval, "Noise: what pixels are drawn from, uniformly; repeatable");
  t.add("test-range", "LO,HI[,LO,HI]", &Config::test_ranges,
        {fmt::format("LO,HI[,LO,HI...] within ±{}, LO below HI", 2 * largest_value),
         [=](const auto& ranges) { return std::all_of(ranges.begin(), ranges.end(), within(2 * largest_value)); }},
        "What they are drawn from for the test outside the range, one for each --range; by default twice the "
        "range, or what of that is outside");
  t.add("scene-seed", "N", &Config::scene_seed, seed, "Seed of the noise trained on");
  t.add("resample", "", &Config::resample, flag, "Draw the noise anew at every step");

  t.group = "Held-out scenes";
  t.add("heldout-scenes", "N", &Config::heldout_scenes, whole(0, 1000), "Scenes in each split, 0 for none");
  t.add("heldout-seed", "N", &Config::heldout_seed, seed, "Seed that they are drawn from");
  t.add("heldout-values", "LO,HI", &Config::heldout_values, interval, "Range of their fill values");

  t.group = "Training";
  t.add("steps", "N", &Config::steps, whole(0, most_steps), "Number of updates");
  t.add("optimizer", "NAME", &Config::optimizers, {}, "adam, adamw, rmsprop, sgd; several are a grid");
  t.add("lr", "X", &Config::rates,
        {"a number above 0, or NAME=X with the name of a variant",
         [names = one_of(words.variants)](const LearningRate& rate) {
           return rate.variant.empty() || names.holds(rate.variant);
         }},
        "Learning rate, above 0; several are a grid with --optimizer; npu=X is for npu alone");
  t.add("lr-decay", "NAME", &Config::decay, {},
        "How the learning rate falls to 0 at the last step: none, linear or cosine");
  t.add("loss", "NAME", &Config::loss, {}, "l2 (the norm of the error) or mse");
  t.add("nmu-sparsity", "STRENGTH[,FROM,TO]", &Config::sparsity,
        {fmt::format("STRENGTH[,FROM,TO] with STRENGTH from 0 to {}, steps 0 <= FROM <= TO", largest_value),
         [](const Sparsity& s) {
           return s.strength >= 0 && s.strength <= largest_value && s.from >= 0 && s.from <= s.to && s.to <= most_steps;
         }},
        "nmu's regulariser and the steps over which it comes in; by default from 40 % to 70 % of them");
  t.add("npu-l1", "START,END,EVERY", &Config::npu_l1,
        {fmt::format("START,END,EVERY with 0 <= START <= END <= {}, EVERY at least 1", largest_value),
         [](const Lasso& l) { return l.start >= 0 && l.start <= l.end && l.end <= largest_value && l.every >= 1; }},
        "npu's L1 penalty: from START ten times as much every EVERY steps, up to END; its authors' is 1e-7,1e-5,10000");
  t.add("check-every", "N", &Config::check_every, whole(1, most_steps),
        "Steps between looks at the test range for near-exact; by default a 50th of them");

  t.group = "Machine";
  t.add("device", "NAME", &Config::device, {"one of auto, cpu, cuda, or cuda:N up to 99", is_device},
        "auto, cpu, cuda or cuda:N");
  t.add("threads", "N", &Config::threads, whole(0, 1024),
        "CPU threads, no result depends on how many; 0 for one on each core that the process may use", Role::output);
  t.add("dtype", "NAME", &Config::dtype, {}, "float32 or float64");

  t.group = "Output";
  t.add("out", "DIR", &Config::out, path, "Folder of all output", Role::output);
  t.add("figures", "FORMAT", &Config::figures, {}, "png, svg, pdf (a list), or none", Role::output);
  t.add("log-every", "N", &Config::log_every, whole(1, most_steps),
        "Rows of loss.csv: every N-th step and the last; for many seeds about a hundred, of all runs a million");
  t.add("save-model", "", &Config::save_model, flag, "Write model-VARIANT.pt, for --load-model and Python's torch.load",
        Role::output);
  t.add("no-lock", "", &Config::no_lock, flag, "Write into --out even while another run does", Role::call);
  t.add("resume", "", &Config::resume, flag, "Go on from the finished seeds in --out", Role::call);
  t.add("require-ratio", "X", &Config::require_ratio,
        {"a number above 0", [](const auto& ratio) { return *ratio > 0; }},
        "Exit with 3 unless exp's final loss is at most X times baseline's", Role::output);
  t.add("quiet", "", &Config::quiet, flag, "No progress and no notes on stderr", Role::output);
  return t.options;
}

std::vector<Option> merge_table() {
  Table t;
  t.add("help", "", "Print this help message and exit", Kind::flag);
  t.add("out", "DIR", "Folder of the joined results", Kind::one);
  t.add("figures", "FORMAT", "As for conv_mult; the shards' own unless given", Kind::one, "one of none, png, svg, pdf");
  t.add("quiet", "", "No notes on stderr", Kind::flag);
  return t.options;
}
}  // namespace conv_mult
