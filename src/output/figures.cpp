#include "output/figures.hpp"
#include <ATen/Functions.h>
#include <regex>
#include "options/text.hpp"
#include "util/files.hpp"
#include "util/pool.hpp"
#include "variants/variant.hpp"

namespace conv_mult {
namespace {
namespace fs = std::filesystem;
using Row = VariantResult;

// ---- Tables: fields between tabs under a line of names; a blank line ends a block, so a block is never empty.

std::string replaced(const std::string& text, char from, const char* to) { return join(split(text, from), to); }

/// For an empty field gnuplot takes the one before, and quotes for its own.
std::string field(const std::string& text) {
  return text.empty() ? "-" : replaced(replaced(replaced(text, '\n', "\\n"), '\t', " "), '"', "''");
}
std::string field(std::optional<double> value) {  // infinity as a number that any axis is too short for
  return value && !std::isnan(*value) ? fmt::format("{:.6g}", std::clamp(*value, -1e300, 1e300)) : "nan";
}
template <class Integer, class = std::enable_if_t<std::is_integral_v<Integer>>>
std::string field(Integer value) {
  return std::to_string(value);
}

/// NaN where there is nothing, infinity where a quantile lies between two infinite values.
std::string field(const std::optional<Spread>& spread) {
  Spread drawn = spread.value_or(Spread{NAN, NAN, NAN, NAN, NAN});
  for (double* value : {&drawn.median, &drawn.q1, &drawn.q3}) { *value = std::isnan(*value) ? drawn.max : *value; }
  return field(drawn.median) + "\t" + field(drawn.q1) + "\t" + field(drawn.q3);
}

template <class... Fields>
std::string line(const Fields&... fields) {
  return fmt::format("{}\n", fmt::join({field(fields)...}, "\t"));
}

/// The files beside the scripts, by name.
using Tables = std::map<std::string, std::string>;

/// "3 diverged", "12 dead": what befell runs of this row, each on a line of its own below another text.
std::string mishaps(const Row& row) {
  std::string text;
  for (const auto& [runs, what] : {std::pair{row.statistics.diverged, "diverged"}, {row.statistics.dead, "dead"}}) {
    text += runs > 0 ? "\n" + (row.runs.size() > 1 ? std::to_string(runs) + " " : "") + what : "";
  }
  return text;
}

/// The colour and gnuplot's point type of a variant, the same in every figure of every run.
std::pair<std::uint32_t, int> mark(const std::string& name) {
  const Variant* variant = find_variant(name);
  return variant == nullptr ? std::pair(0x606060U, 1) : std::pair(variant->colour, variant->point);
}

/// What is no row's.
void about(const ExperimentResult& result, Tables& tables) {
  const SceneResult& scene = result.scenes.front();
  const SplitResult& split = scene.splits.front();
  const double norm = split.target_norm;
  std::string& text = tables["about.tsv"] = line("key", "value");
  text += line("seeds", result.seeds);
  text += line("steps", result.variants.front().steps);
  text += line("loss", result.loss);
  text += line("norm", norm);
  text += line("loss of 0", result.loss == "mse" ? norm * norm / split.pixels : norm);
  text += line("scene", scene.name);
  text += line("product", scene.own_target ? "" : "a × b");
  text += line("scenes", result.scenes.size());
  text += line("tested on", std::regex_replace(scene.test, std::regex(" and "), "\nand "));
  text += line("success", scene.success_error);
  text += line("first split", split.name);
  text += line("last split", scene.splits.back().name);
  text += line("grid", result.grid());
  text += line("width", scene.target.size(1));
  text += line("height", scene.target.size(0));
}

/// A line for every row. `unit` is 0 but for the best of each variant, `place` its place among all, `map`, `x`, `y`
/// that in a grid. Rows that differ in depth alone are a block, whose last, the deepest, has a `label`.
void all_rows(const ExperimentResult& result, Tables& tables) {
  using Places = std::map<std::string, std::size_t>;
  Places variants;
  Places maps;
  Places optimizers;
  std::set<double> rates;
  using ByDepth = std::map<std::optional<std::int64_t>, const Row*>;
  std::map<std::tuple<std::size_t, std::size_t, std::optional<std::int64_t>, std::string, double>, ByDepth> blocks;
  for (const Row& row : result.variants) {
    variants.emplace(row.variant, variants.size());
    maps.emplace(sized_name(row, result), maps.size());
    optimizers.emplace(row.optimizer, optimizers.size());
    rates.insert(row.learning_rate);
    blocks[{row.scene, variants.at(row.variant), row.width, row.optimizer, row.learning_rate}][row.depth] = &row;
  }
  std::string& text = tables["rows.tsv"] =
      line("scene", "place", "unit", "row", "variant", "colour", "point", "size", "label", "optimizer", "lr", "map",
           "sized", "x", "y", "parameters", "seconds", "loss", "q1", "q3", "min", "max", "floor", "rate", "low", "high",
           "runs", "success", "no_success", "vanished", "diverged", "mishaps", "step", "sparsity", "first", "first_q1",
           "first_q3", "last", "last_q1", "last_q3", "seed", "seed_loss", "seed_error");
  for (const auto& [key, depths] : blocks) {
    for (const auto& [depth, row] : depths) {
      const Statistics& statistics = row->statistics;
      const auto& [success, loss] = std::tie(statistics.success, statistics.final_loss);
      const SceneResult& scene = result.scene_of(*row);
      const std::size_t unit = row->best ? variants.at(row->variant) + 1 : 0;
      const auto& [colour, point] = mark(row->variant);
      const std::string size = depth ? fmt::format("{}×{}", *depth, *row->width) : "";
      const std::string sized = sized_name(*row, result);
      const std::int64_t failed = success.of - success.count - statistics.diverged;
      // Where an error of 1 is a success, so is an output of 0.
      const std::int64_t vanished = scene.success_error.value_or(0) < 0.999 ? std::min(statistics.dead, failed) : 0;
      const RunRecord& run = row->runs[row->shown];
      const double error = run.split_losses.empty() ? NAN : run.split_losses.front() / scene.splits.front().target_norm;
      text +=
          line(row->scene + 1, row - result.variants.data() + 1, unit, row_name(*row, result), row->variant, colour,
               point, size, depth == depths.rbegin()->first ? size : "", row->optimizer, row->learning_rate,
               maps.at(sized), sized, std::distance(rates.begin(), rates.find(row->learning_rate)),
               optimizers.at(row->optimizer), row->parameters, row->seconds / static_cast<double>(row->runs.size()),
               loss, loss ? loss->min : NAN, loss ? loss->max : NAN, row->floor, 100 * success.rate, 100 * success.low,
               100 * success.high, success.of, success.count, failed - vanished, vanished, statistics.diverged,
               mishaps(*row), statistics.first_success, scene.success_error ? std::nullopt : statistics.sparsity_error,
               statistics.split_errors.front(), statistics.split_errors.back(), run.seed, run.final_loss, error);
    }
    text += "\n";
  }
}

// ---- What is shown beside the rows: of those on the first scene the best of every variant.

/// A block for each row: the losses of its runs at the logged steps, or, of many, a thousand of them with the first and
/// the last; a run that diverges counts while it is finite.
void loss(const ExperimentResult& result, Tables& tables) {
  std::string& text = tables["loss.tsv"] = line("row", "step", "median", "q1", "q3");
  for (const Row& row : result.variants) {
    if (row.scene > 0 || !row.best) { continue; }
    std::size_t count = 1;
    for (const RunRecord& run : row.runs) {
      count = std::max(count, run.curve.size() - (run.status == RunStatus::diverged ? 1 : 0));
    }
    const std::size_t stride = 1 + (count - 1) / 1000;
    for (std::size_t i = 0; i < count; i += i + 1 == count ? 1 : std::min(stride, count - 1 - i)) {
      std::int64_t step = 0;
      std::vector<double> losses;
      for (const RunRecord& run : row.runs) {
        if (i < run.curve.size() && std::isfinite(run.curve[i].loss)) {
          step = run.curve[i].step;
          losses.push_back(run.curve[i].loss);
        }
      }
      const auto spread = spread_of(std::move(losses));
      text += line(row_name(row, result), step, spread.value_or(Spread{INFINITY, INFINITY, INFINITY, 0, 0}));
    }
    text += "\n";
  }
}

/// Maps of float32, and a line for each. A lone row of pixels becomes two: gnuplot draws none of fewer cells a side.
void panel(const ExperimentResult& result, Tables& tables) {
  const SceneResult& scene = result.scenes.front();
  const Interval shared = shared_scale(scene);
  const Interval errors = error_scale(result);
  std::string& text = tables["panel.tsv"] = line("width", "height", "low", "high");
  const auto add = [&](const at::Tensor& image, const Interval& scale) {
    auto cells = averaged(image, 200).clamp(scale.low, scale.high);  // so many along a side; NaN stays NaN
    for (const auto side : {0, 1}) { cells = cells.size(side) == 1 ? cells.repeat_interleave(2, side) : cells; }
    tables["panel.f32"].append(static_cast<const char*>(cells.contiguous().data_ptr()), cells.nbytes());
    text += line(cells.size(1), cells.size(0), scale.low, scale.high);
  };
  for (const auto& image : {scene.a, scene.b, scene.target}) { add(image, shared); }
  for (const Row& row : result.variants) {
    if (row.scene > 0 || !row.best) { continue; }
    add(row.output, shared);
    add(row.output - scene.target, errors);
  }
}

/// The final losses of every row on the first scene, evenly over their ranks and so in any number true to the whole.
void dots(const ExperimentResult& result, Tables& tables) {
  std::string& text = tables["dots.tsv"] = line("place", "colour", "loss");
  const std::size_t most = 2400 * result.scenes.size() / result.variants.size() + 2;  // a row
  for (const Row& row : result.variants) {
    if (row.scene > 0) { continue; }
    std::vector<double> losses;
    for (const RunRecord& run : row.runs) {
      if (run.final_loss) { losses.push_back(*run.final_loss); }
    }
    std::sort(losses.begin(), losses.end());
    losses.resize(std::max<std::size_t>(losses.size(), 1), NAN);
    const std::size_t shown = std::min({losses.size(), std::size_t{300}, most});
    for (std::size_t k = 0; k < shown; ++k) {
      const std::size_t rank = k * (losses.size() - 1) / std::max<std::size_t>(shown - 1, 1);
      text += line(&row - result.variants.data() + 1, mark(row.variant).first, losses[rank]);
    }
  }
}

void heldout(const ExperimentResult& result, Tables& tables) {
  const SceneResult& scene = result.scenes.front();
  std::string& text = tables["heldout.tsv"] = line("row", "place", "split", "scenes", "median", "q1", "q3");
  for (const Row& row : result.variants) {
    if (row.scene > 0 || !row.best) { continue; }
    for (std::size_t i = 0; i < scene.splits.size(); ++i) {
      text += line(row_name(row, result), i + 1, scene.splits[i].name, scene.splits[i].scenes,
                   row.statistics.split_errors[i]);
    }
    text += "\n";
  }
}

/// A block for each row: the numbers of its shown run, in nine tiles at most, of the kernel's size where they are one.
void kernels(const ExperimentResult& result, Tables& tables) {
  std::string& text = tables["kernels.tsv"] = line("place", "set", "tile", "x", "y", "title", "value");
  std::int64_t place = 0;
  std::int64_t set = 0;
  for (const Row& row : result.variants) {
    if (row.scene > 0 || !row.best) { continue; }
    auto weight = row.runs[row.shown].weights.begin();
    std::int64_t tiles = 0;
    ++place;
    for (const auto& [name, shape] : row.shapes) {
      const auto count = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
      const bool of_both = shape.size() == 4 ? shape[1] == 2 && (!row.width || name[0] == '0')
                                             : !row.width && count == 2 * row.kernel_size * row.kernel_size;
      const std::int64_t side = shape.size() == 4 ? shape[2] : of_both ? row.kernel_size : 1;
      for (std::int64_t i = 0; i < count; ++i, ++weight) {
        const auto tile = tiles + i / side / side;
        const std::string channel = !of_both ? "" : i / side / side % 2 == 0 ? ", a" : ", b";
        if (tile < 9) { text += line(place, set, tile, i % side, i / side % side, name + channel, *weight); }
      }
      tiles += count / side / side;
      ++set;
    }
    text += "\n";
  }
}

void scenes(const ExperimentResult& result, Tables& tables) {
  std::string& text = tables["scenes.tsv"] = line("text", "split", "success");
  for (const SceneResult& scene : result.scenes) {
    std::string below = scene.name;  // "noise 1 to 2" and what it is tested on have lines of their own
    if (const auto space = below.find(' '); !scene.test.empty() && space != std::string::npos) { below[space] = '\n'; }
    below += scene.test.empty() ? "" : "\n→ " + std::regex_replace(scene.test, std::regex(" and "), "\nand ");
    text += line(below, scene.splits.back().name, scene.success_error);
  }
}

// ---- gnuplot

constexpr int kPatience = 60;  // in seconds

// In the foreground, where Ctrl-C reaches gnuplot. GNUTERM or, without -d, a ~/.gnuplot would change the scripts'
// meaning. In plain C's locale it cannot convert a degree sign. Fontconfig's cache is the usual or a writable one.
constexpr auto shell_script = R"(exec 2>&1 </dev/null
unset GNUTERM LD_PRELOAD CDPATH; export LC_ALL=C.UTF-8 XDG_CACHE_HOME="${{XDG_CACHE_HOME-${{HOME:+$HOME/}}.cache}}"
case $XDG_CACHE_HOME in /*) [ -d "$XDG_CACHE_HOME" ] || mkdir -p "$XDG_CACHE_HOME" 2>/dev/null;; esac
[ -w "$XDG_CACHE_HOME" ] || XDG_CACHE_HOME=${{TMPDIR-/tmp}}
cd -P -- '{}' && exec timeout --foreground -s KILL {} gnuplot -d)";

// For each picture. Without a font it draws without a word and exits with 0; then its letters have no width.
constexpr auto arguments = R"( -e 'format="{}"; drawing="../{}"' {}.gp -e '
  if (GPVAL_TERM_HCHAR < 100) {{ printerr "no font found; install fonts-dejavu-core"; exit status 1 }};
  unset multiplot; unset output; reset session')";

/// Gives a picture its name. On a full disk gnuplot exits with 0 and without a word.
void publish_picture(const fs::path& path, FigureFormat format) {
  const auto part = unfinished(path);
  const std::string content = fs::exists(part) ? read_file(part) : "";
  const auto end = content.rfind(std::array{"IEND", "</svg>", "%%EOF"}.at(static_cast<std::size_t>(format)));
  check(end != std::string::npos && content.size() - end <= 16,
        "the file that gnuplot wrote is not complete; is the disk full?");
  const auto* tooltips = "<title>gnuplot_plot_\\w+</title>\n?";
  write_file(path, format == FigureFormat::svg ? std::regex_replace(content, std::regex(tooltips), "") : content);
}

/// Has a gnuplot draw a figure in these formats, each whole or not at all. Tells the user why one is not there, or what
/// gnuplot said, if anything.
Notes draw(const fs::path& directory, const std::string& figure, const std::vector<FigureFormat>& formats) {
  const auto path_in = [&](FigureFormat format) { return directory / fmt::format("{}.{}", figure, text_of(format)); };
  const auto folder = replaced(directory / "figures", '\'', "'\\''");  // a word of a shell command
  auto command = fmt::format(shell_script, folder, kPatience);
  for (const auto format : formats) {
    command += fmt::format(arguments, text_of(format), unfinished(path_in(format)).filename().string(), figure);
  }
  std::FILE* const said = stop_signal == 0 ? popen(command.c_str(), "re") : nullptr;
  std::string words = said == nullptr ? last_error().message() : "";
  for (char line[4096]; said != nullptr && std::fgets(line, sizeof line, said) != nullptr;) {
    const auto end = std::string_view(line).find_last_not_of(" \t\r\n");
    if (end != std::string::npos) { words.assign(line, end + 1); }  // the last line: before it the script's is repeated
  }
  const int status = said == nullptr ? -1 : pclose(said);
  if (WEXITSTATUS(status) == 127) {
    return {"gnuplot not found: the scripts and tables in figures/ are written, no figure drawn"};
  }
  Notes notes;
  if (status == 0 && !words.empty()) { notes = {"the figures are drawn, but gnuplot said: " + words}; }
  for (const auto format : formats) {
    const auto path = path_in(format);
    try {
      check(WEXITSTATUS(status) != 128 + SIGKILL, fmt::format("gnuplot took longer than {} s", kPatience));
      check(status == 0, "gnuplot failed: " + (words.empty() ? fmt::format("status {}", status) : words));
      publish_picture(path, format);
    } catch (const std::exception& error) {
      std::remove(unfinished(path).c_str());
      const auto* reason = stop_signal != 0 ? "interrupted" : error.what();
      notes.insert(fmt::format("{} not drawn: {}", path.filename().string(), reason));
    }
  }
  return notes;
}
}  // namespace

const std::vector<std::string> figure_names{"panel", "loss",  "distribution", "heldout", "kernels",
                                            "grid",  "units", "outcomes",     "price"};

void remove_figures(const fs::path& directory) {
  for (const char* name : {"about.tsv", "rows.tsv", "loss.tsv", "panel.tsv", "panel.f32", "dots.tsv", "heldout.tsv",
                           "kernels.tsv", "scenes.tsv"}) {
    fs::remove(directory / "figures" / name);
  }
  for (const auto& [name, text] : figure_scripts) { fs::remove(directory / "figures" / name); }
  for (const std::string& name : figure_names) {
    for (const auto& format : names_of(FigureFormat())) { fs::remove(directory / fmt::format("{}.{}", name, format)); }
  }
}

Notes write_pictures(const ExperimentResult& result, const std::vector<FigureFormat>& formats,
                     const fs::path& directory) {
  if (formats.empty()) { return write_heat_maps(result, directory), Notes(); }
  Tables files{{"common.gp", figure_scripts.at("common.gp")}};
  for (const auto write : {about, all_rows, loss, panel, heldout, kernels}) { write(result, files); }
  if (result.seeds > 1) { dots(result, files); }
  if (result.scenes.size() > 1) { scenes(result, files); }
  const bool several = result.variants.front().variant != result.variants.back().variant;  // the same are neighbours
  std::vector<std::string> drawn{"loss", "panel", "heldout", "kernels"};
  if (result.seeds > 1) { drawn.emplace_back("distribution"); }
  if (result.grid()) { drawn.emplace_back("grid"); }
  if (result.scenes.size() > 1) { drawn.emplace_back("units"); }
  if (result.sizes()) { drawn.emplace_back("outcomes"); }
  if (result.sizes() && several) { drawn.emplace_back("price"); }
  for (const std::string& name : drawn) { files[name + ".gp"] = figure_scripts.at(name + ".gp"); }
  fs::create_directories(directory / "figures");
  for (const auto& [name, text] : files) { write_file(directory / "figures" / name, text); }
  std::signal(SIGCHLD, SIG_DFL);             // or pclose has nothing to wait for
  std::vector<std::future<Notes>> drawings;  // all at once: each takes a second or so
  drawings.reserve(drawn.size());
  for (const std::string& name : drawn) { drawings.push_back(std::async(draw, directory, name, formats)); }
  write_heat_maps(result, directory);  // meanwhile
  Notes notes;
  for (auto& drawing : drawings) { notes.merge(drawing.get()); }
  return notes;
}
}  // namespace conv_mult
