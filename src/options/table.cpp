#include <nlohmann/json.hpp>
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
  bool repeats = false;  ///< whether a list has the same value twice where it is given twice
};

Rule<std::int64_t> whole(std::int64_t low, std::int64_t high) {
  return {fmt::format("a whole number from {} to {}", low, high),
          [=](std::int64_t value) { return value >= low && value <= high; }};
}

Rule<std::string> one_of(Texts names, const Texts& others = {}) {
  names.insert(names.end(), others.begin(), others.end());
  return {"one of " + join(names, ", "), [=](const std::string& name) { return contains(names, name); }};
}

// What a field holds one or several of.
template <typename T>
T element_of(T field);
template <typename T>
T element_of(std::vector<T> field);

struct Table {
  std::vector<Option> options;
  std::string group = {};

  /// A field of one value or a list, of figures perhaps none. In a list what is named twice counts once, but the n-th
  /// interval belongs to that of others. An enumeration needs no rule.
  template <typename Field, typename T = decltype(element_of(Field()))>
  void add(const char* name, const char* placeholder, Field Config::*field, const Rule<T>& rule,
           const std::string& help, Role role = Role::numbers) {
    constexpr bool is_list = !is_any<Field, T>;
    constexpr bool is_tuple = is_any<T, std::vector<Interval>> || (has_parts<T> && !is_any<T, Shard>);
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
    const auto set = [=](Config& config, const Texts& given) {
      const auto parts = split(join(given));
      const bool is_one_tuple = is_tuple && (!is_list || parts.size() == given.size());  // 1 2, or TOML's [1, 2]
      const auto& words = is_one_tuple ? Texts{join(given)} : is_list && !is_tuple ? parts : given;
      if constexpr (is_list) { (config.*field).clear(); }
      return words == none || std::all_of(words.begin(), words.end(), [&](const auto& word) {
               T value{};
               if (!parse(word, value) || !rule.holds(value)) { return false; }
               if constexpr (!is_list) {
                 config.*field = value;
               } else if (is_tuple || rule.repeats || !contains(get(config), text_of(value))) {
                 (config.*field).push_back(value);
               }
               return true;
             });
    };
    options.push_back({group, name, placeholder, help, role, is_list || is_tuple, allowed, set, get});
  }
};
}  // namespace

std::vector<Option> option_table(const Vocabulary& words) {
  const Rule<bool> flag{"true or false"};
  const auto is_path = [](const std::string& text) {
    using Json = nlohmann::json;  // which leaves out what is not UTF-8
    return !text.empty() && text.find('\0') == std::string::npos &&
           Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::ignore)) == text;
  };
  const Rule<std::string> path{"a path in UTF-8", is_path};
  const Rule<std::string> paths{path.allowed, is_path, true};
  const auto within = [](double limit) {
    return [=](const Interval& range) { return -limit <= range.low && range.low < range.high && range.high <= limit; };
  };
  const Rule<Interval> interval{fmt::format("LO,HI within ±{}, LO below HI", largest_value), within(largest_value)};
  const auto sides = [](std::int64_t least, auto... n) { return ((n >= least && n <= largest_side) && ...); };
  const Rule<Rectangle> rectangle{
      fmt::format("T,L,H,W,V: whole numbers of pixels, H and W at least 1, V within ±{}", largest_value),
      [=](const Rectangle& r) {
        return sides(0, r.top, r.left) && sides(1, r.height, r.width) && std::abs(r.value) <= largest_value;
      }};
  Texts devices{"auto", "cpu", "cuda"};
  for (int n = 0; n < 100; ++n) { devices.push_back(fmt::format("cuda:{}", n)); }
  auto seed = whole(0, largest_seed);
  seed.allowed += ": PyTorch takes 32 bits of a seed, so that larger ones repeat the runs of others";

  Table t{{
      {"Options", "help", "", "this text", Role::call},
      {"Options", "version", "", "the versions of the program and of LibTorch", Role::call},
      {"Options", "config", "FILE", "options in a TOML file; of several the later win", Role::call, true},
  }};
  t.group = "Experiment";
  t.add("variant", "NAME,...", &Config::variants, one_of({"all"}, words.variants), "what to train, or all");
  t.add("depth", "D,...", &Config::depths, whole(1, 64), "convolutions in a row, in stacked-exp and relu");
  t.add("width", "C,...", &Config::widths, whole(1, 1024), "channels between them, and in square");
  t.add("seed", "N", &Config::seed, seed, "first seed of the initial weights");
  t.add("seeds", "N", &Config::seeds, whole(1, most_seeds), "how many seeds to train, side by side");
  t.add("shard", "I/N", &Config::shard,
        {"I/N with 1 <= I <= N", [](const Shard& s) { return s.index >= 1 && s.index <= s.count; }},
        "train only the I-th of N parts of the seeds");
  t.add("success", "X", &Config::success, {"one of near-exact, near-exact=E, mse=M, auto, or a number above 0"},
        "relative error up to which a run succeeds");
  t.add("kernel-size", "K", &Config::kernel_size,
        {"an odd number from 1 to 31", [](std::int64_t k) { return k >= 1 && k <= 31 && k % 2 == 1; }},
        "odd, 1 to 31; the padding is K/2");
  t.add("bias", "", &Config::bias, flag, "biases in bilinear and square");
  t.add("data", "FORM", &Config::data, {}, "auto, patches, image or literal");
  t.add("load-model", "FILE,...", &Config::load_model, path, "saved models: evaluate, with --steps train on");

  t.group = "Scene";
  t.add("scene", "NAME,...", &Config::scenes, one_of(words.scenes), join(words.scenes, ", "));
  t.add("size", "H[,W]", &Config::size,
        {fmt::format("H[,W], whole numbers from 1 to {}", largest_side),
         [=](const ImageSize& size) { return sides(1, size.height, size.width); }},
        "pixels of the images");
  t.add("rect-a", "T,L,H,W,V", &Config::rect_a, rectangle, "top, left, height, width, value");
  t.add("rect-b", "T,L,H,W,V", &Config::rect_b, rectangle, "likewise; both scale with --size");
  t.add("range", "LO,HI", &Config::ranges, interval, "what noise is drawn from; repeatable");
  t.add("test-range", "LO,HI[,LO,HI]", &Config::test_ranges,
        {fmt::format("LO,HI[,LO,HI...] within ±{}, LO below HI", 2 * largest_value),
         [=](const auto& ranges) { return std::all_of(ranges.begin(), ranges.end(), within(2 * largest_value)); }},
        "the same of its test, for each --range");
  t.add("scene-seed", "N", &Config::scene_seed, seed, "of the noise that is trained on");
  t.add("resample", "", &Config::resample, flag, "draw the noise anew at every step");
  t.add("image-a", "FILE", &Config::image_a, path, "files: PNG, JPEG, BMP, PGM, .npy, .pt", Role::output);
  t.add("image-b", "FILE", &Config::image_b, path, "likewise, of the same size", Role::output);
  t.add("target", "FILE", &Config::target, path, "what shall come out of them, if not a·b", Role::output);
  t.add("test-a", "FILE,...", &Config::test_a, paths, "a of the pairs that decide on success", Role::output);
  t.add("test-b", "FILE,...", &Config::test_b, paths, "their b", Role::output);
  t.add("checksums", "SUM,...", &Config::checksums,
        {"16 digits", [=](const std::string& sum) { return sum.size() == 16 && is_path(sum); }, true},
        "of these files, in config.toml");
  t.add("scale", "LO,HI", &Config::scale, interval, "what black and white of a picture are");
  t.add("crop", "T,L,H,W", &Config::crop,
        {"T,L,H,W: whole numbers of pixels", [=](const Crop& c) { return sides(0, c.top, c.left, c.height, c.width); }},
        "a part of them; H, W 0: to the edge");
  t.add("shrink", "N", &Config::shrink, whole(1, 10000), "N x N of their pixels as one, their mean");

  t.group = "Held-out scenes";
  t.add("heldout-scenes", "N", &Config::heldout_scenes, whole(0, 1000), "scenes in each split, 0 for none");
  t.add("heldout-seed", "N", &Config::heldout_seed, seed, "seed that they are drawn from");
  t.add("heldout-values", "LO,HI", &Config::heldout_values, interval, "range of their fill values");

  t.group = "Training";
  t.add("steps", "N", &Config::steps, whole(0, most_steps), "number of updates");
  t.add("optimizer", "NAME,...", &Config::optimizers, {}, "adam, adamw, rmsprop, sgd");
  t.add("lr", "X,...", &Config::rates,
        {"a number above 0, or NAME=X with the name of a variant",
         [names = words.variants](const auto& rate) { return rate.variant.empty() || contains(names, rate.variant); }},
        "learning rate; npu=X is for npu alone");
  t.add("lr-decay", "NAME", &Config::decay, {}, "how it falls to 0: none, linear, cosine");
  t.add("loss", "NAME", &Config::loss, {}, "l2 (the norm of the error) or mse");
  t.add("nmu-sparsity", "S[,FROM,TO]", &Config::sparsity,
        {fmt::format("STRENGTH[,FROM,TO] with STRENGTH from 0 to {}, steps 0 <= FROM <= TO", largest_value),
         [](const Sparsity& s) {
           return s.strength >= 0 && s.strength <= largest_value && s.from >= 0 && s.from <= s.to && s.to <= most_steps;
         }},
        "its regulariser, and the steps");
  t.add("npu-l1", "START,END,EVERY", &Config::npu_l1,
        {fmt::format("START,END,EVERY with 0 <= START <= END <= {}, EVERY at least 1", largest_value),
         [](const Lasso& l) { return l.start >= 0 && l.start <= l.end && l.end <= largest_value && l.every >= 1; }},
        "its L1 penalty, times 10 EVERY steps");
  t.add("check-every", "N", &Config::check_every, whole(1, most_steps), "steps between looks at the test range");

  t.group = "Machine";
  t.add("device", "NAME", &Config::device, {"one of auto, cpu, cuda, or cuda:N up to 99", one_of(devices).holds},
        "auto, cpu, cuda or cuda:N");
  t.add("threads", "N", &Config::threads, whole(0, 1024), "CPU threads, 0 for one on each core", Role::output);
  t.add("dtype", "NAME", &Config::dtype, {}, "float32 or float64");

  t.group = "Output";
  t.add("out", "DIR", &Config::out, path, "folder of all output", Role::output);
  t.add("figures", "FORMAT,...", &Config::figures, {}, "png, svg, pdf, or none", Role::output);
  t.add("no-report", "", &Config::no_report, flag, "no page, report.html", Role::output);
  t.add("log-every", "N", &Config::log_every, whole(1, most_steps), "steps between the rows of loss.csv");
  t.add("save-model", "", &Config::save_model, flag, "write model-VARIANT.pt, for Python, too", Role::output);
  t.add("no-lock", "", &Config::no_lock, flag, "write into --out even while another run does", Role::call);
  t.add("resume", "", &Config::resume, flag, "train only the seeds that --out lacks", Role::call);
  t.add("require-ratio", "X", &Config::require_ratio,
        {"a number above 0", [](const auto& ratio) { return *ratio > 0; }},
        "exit with 3 if exp's loss > X times baseline's", Role::output);
  t.add("quiet", "", &Config::quiet, flag, "no progress, notes and verdicts", Role::output);
  return t.options;
}

std::vector<Option> merge_table() {
  constexpr auto figures = "png, svg, pdf or none; as the shards had them";
  return {
      {"Options", "help", "", "this text", Role::call},
      {"Options", "out", "DIR", "folder of the joined results", Role::call},
      {"Options", "figures", "FORMAT,...", figures, Role::call, false, "one of none, png, svg, pdf"},
      {"Options", "quiet", "", "no notes on stderr", Role::call},
  };
}
}  // namespace conv_mult
