#include "output/figures.hpp"
#include <fmt/ranges.h>
#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>
#include "options/options.hpp"
#include "output/images.hpp"
#include "util/files.hpp"
#include "variants/variant.hpp"

namespace conv_mult {
namespace {
using Row = VariantResult;
using Rows = std::vector<const Row*>;

// ---- Tables: fields between tabs under a line of names; a blank line ends a block, so a block is never empty.

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

/// For an empty field gnuplot takes the one before, and quotes for its own.
std::string field(const std::string& text) {
  return text.empty() ? "-" : replaced(replaced(replaced(text, "\n", "\\n"), "\t", " "), "\"", "''");
}
std::string field(std::optional<double> value) {  // infinity as a number that any axis is too short for
  return value && !std::isnan(*value) ? fmt::format("{:.6g}", std::clamp(*value, -1e300, 1e300)) : "nan";
}
template <class Integer, class = std::enable_if_t<std::is_integral_v<Integer>>>
std::string field(Integer value) {
  return std::to_string(value);
}
/// In percent.
std::string field(const SuccessRate& success) {
  return field(100 * success.rate) + "\t" + field(100 * success.low) + "\t" + field(100 * success.high);
}

/// NaN where there is nothing, infinity where a quantile lies between two infinite values.
Spread drawable(const std::optional<Spread>& spread) {
  Spread drawn = spread.value_or(Spread{NAN, NAN, NAN, NAN, NAN});
  for (double* value : {&drawn.median, &drawn.q1, &drawn.q3}) { *value = std::isnan(*value) ? drawn.max : *value; }
  return drawn;
}
std::string field(const std::optional<Spread>& spread) {
  const Spread drawn = drawable(spread);
  return field(drawn.median) + "\t" + field(drawn.q1) + "\t" + field(drawn.q3);
}

template <class... Fields>
std::string line(const Fields&... fields) {
  return fmt::format("{}\n", fmt::join({field(fields)...}, "\t"));
}

/// The files beside the scripts. A figure is drawn if there is a NAME.tsv. about.tsv holds what is no row's.
struct Tables : std::map<std::string, std::string> {
  std::string& start(const std::string& name, const std::string& columns) {
    return (*this)[name] = replaced(columns, " ", "\t") + "\n";
  }
};

// ---- What several figures show

Rows first_scene_rows(const ExperimentResult& result, bool only_best) {
  Rows rows;
  for (const Row& row : result.variants) {
    if (row.scene == 0 && (row.best || !only_best)) { rows.push_back(&row); }
  }
  return rows;
}

/// "3 diverged", "12 dead": what befell runs of this row, each after `before`.
std::string mishaps(const Row& row, const std::string& before) {
  std::string text;
  for (const auto& [runs, what] : {std::pair{row.statistics.diverged, "diverged"}, {row.statistics.dead, "dead"}}) {
    text += runs > 0 ? before + (row.runs.size() > 1 ? std::to_string(runs) + " " : "") + what : "";
  }
  return text;
}

/// The colour and gnuplot's point type of a variant, the same in every figure of every run.
std::pair<std::uint32_t, int> mark(const std::string& name) {
  const Variant* variant = find_variant(name);
  return variant == nullptr ? std::pair(0x606060U, 1) : std::pair(variant->colour, variant->point);
}

/// A line for the best row of every variant on the first scene, and what all figures may say.
void common(const ExperimentResult& result, Tables& tables) {
  const SceneResult& scene = result.header.scenes.front();
  const SplitResult& split = scene.splits.front();
  const double norm = split.target_norm;
  std::string& about = tables.start("about.tsv", "key value");
  about += line("seeds", result.header.seeds);
  about += line("steps", result.variants.front().steps);
  about += line("loss", result.header.loss);
  about += line("norm", norm);
  about += line("loss of 0", result.header.loss == "mse" ? norm * norm / split.pixels : norm);
  about += line("scene", scene.name);
  about += line("scenes", result.header.scenes.size());
  about += line("tested on", replaced(scene.test, " and ", "\nand "));
  about += line("success", scene.success_error);
  about += line("first split", split.name);
  about += line("last split", scene.splits.back().name);
  about += line("grid", result.grid());
  std::string& text =
      tables.start("rows.tsv", "row variant optimizer lr colour point loss q3 floor mishaps seed seed_loss seed_error");
  for (const Row* row : first_scene_rows(result, true)) {
    const Spread loss = drawable(row->statistics.final_loss);
    const RunRecord& run = row->runs[row->shown];
    const double error = run.split_losses.empty() ? NAN : run.split_losses.front() / norm;
    const auto& [colour, point] = mark(row->variant);
    text += line(row_name(*row, result), row->variant, row->optimizer, row->learning_rate, colour, point, loss.median,
                 loss.q3, row->floor, mishaps(*row, ", "), run.seed, run.final_loss, error);
  }
}

// ---- A function for each figure

/// A block for each row: what the losses of its runs are at each logged step, which are the same for all runs; one that
/// diverges counts for as long as it is finite.
void loss(const ExperimentResult& result, Tables& tables) {
  std::string& text = tables.start("loss.tsv", "row step median q1 q3");
  double least = 1e300;  // of those that a logarithmic axis has a place for
  double largest = 0;
  for (const Row* row : first_scene_rows(result, true)) {
    std::optional<Spread> spread;
    for (std::size_t i = 0; i == 0 || spread; ++i) {
      std::int64_t step = 0;
      std::vector<double> losses;
      for (const RunRecord& run : row->runs) {
        if (i < run.curve.size() && std::isfinite(run.curve[i].loss)) {
          step = run.curve[i].step;
          losses.push_back(run.curve[i].loss);
        }
      }
      spread = spread_of(std::move(losses));
      if (i > 0 && !spread) { break; }
      text += line(row_name(*row, result), step, spread.value_or(Spread{INFINITY, INFINITY, INFINITY, 0, 0}));
      if (spread) {
        least = std::min(least, spread->q1 > 0 ? spread->q1 : spread->q3 > 0 ? spread->q3 : 1e300);
        largest = std::max(largest, spread->q3);
      }
    }
    text += "\n";
  }
  tables["about.tsv"] += line("least loss", least);
  tables["about.tsv"] += line("largest loss", largest);
}

/// Maps of float32 one after the other, and a line for each. Large images are averaged down; gnuplot draws none of
/// fewer than two cells a side, so a lone row of pixels becomes two rows of cells.
void panel(const ExperimentResult& result, Tables& tables) {
  const SceneResult& scene = result.header.scenes.front();
  const ColourScale shared = shared_scale(scene);
  const ColourScale errors = error_scale(result);
  std::string& text = tables.start("panel.tsv", "map row width height low high");
  const auto add = [&](const char* map, const std::string& row, const Image& image, const ColourScale& scale) {
    constexpr std::int64_t most_cells = 200;  // along a side
    const Image cells = averaged(image, most_cells);
    const std::int64_t down = cells.height == 1 ? 2 : 1;
    const std::int64_t across = cells.width == 1 ? 2 : 1;
    for (std::int64_t i = 0; i < down * cells.height * across * cells.width; ++i) {
      const std::int64_t y = i / (across * cells.width) / down;
      const std::int64_t x = i % (across * cells.width) / across;
      const double value = cells.pixels[static_cast<std::size_t>(y * cells.width + x)];
      const auto shown = static_cast<float>(std::clamp(value, scale.low, scale.high));  // NaN stays NaN
      tables["panel.f32"].append(reinterpret_cast<const char*>(&shown), sizeof shown);
    }
    text += line(map, row, across * cells.width, down * cells.height, scale.low, scale.high);
  };
  add("a", "", scene.a, shared);
  add("b", "", scene.b, shared);
  add("target", "", scene.target, shared);
  for (const Row* row : first_scene_rows(result, true)) {
    Image output = row->output.pixels.empty() ? scene.target : row->output;
    if (row->output.pixels.empty()) { output.pixels.assign(output.pixels.size(), NAN); }  // diverged at once
    add("output", row_name(*row, result), output, shared);
    add("error", row_name(*row, result), error_map(output, scene.target), errors);
  }
  tables["about.tsv"] += line("width", scene.target.width);
  tables["about.tsv"] += line("height", scene.target.height);
}

/// Final losses as dots too, evenly over their ranks and so in any number true to the whole.
void distribution(const ExperimentResult& result, Tables& tables) {
  if (result.header.seeds == 1) { return; }
  const Rows rows = first_scene_rows(result, false);
  std::string& text = tables.start("distribution.tsv",
                                   "place row colour median q1 q3 min max floor rate low high successes runs mishaps");
  std::string& dots = tables.start("dots.tsv", "place row colour loss");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = *rows[i];
    const SuccessRate& success = row.statistics.success;
    const Spread loss = drawable(row.statistics.final_loss);
    const auto colour = mark(row.variant).first;
    text += line(i + 1, row_name(row, result), colour, loss, loss.min, loss.max, row.floor, success, success.count,
                 success.of, mishaps(row, "\n"));
    std::vector<double> losses;
    for (const RunRecord& run : row.runs) {
      if (run.final_loss) { losses.push_back(*run.final_loss); }
    }
    std::sort(losses.begin(), losses.end());
    losses.resize(std::max<std::size_t>(losses.size(), 1), NAN);
    const std::size_t shown = std::min({losses.size(), std::size_t{300}, 2400 / rows.size() + 2});
    for (std::size_t k = 0; k < shown; ++k) {
      const std::size_t rank = k * (losses.size() - 1) / std::max<std::size_t>(shown - 1, 1);
      dots += line(i + 1, row_name(row, result), colour, losses[rank]);
    }
  }
}

void heldout(const ExperimentResult& result, Tables& tables) {
  const SceneResult& scene = result.header.scenes.front();
  std::string& text = tables.start("heldout.tsv", "row place split scenes median q1 q3");
  for (const Row* row : first_scene_rows(result, true)) {
    for (std::size_t i = 0; i < scene.splits.size(); ++i) {
      text += line(row_name(*row, result), i + 1, scene.splits[i].name, scene.splits[i].scenes,
                   row->statistics.split_errors[i]);
    }
    text += "\n";
  }
}

/// A block for the cells of every variant and size, whose rows are neighbours.
void grid(const ExperimentResult& result, Tables& tables) {
  if (!result.grid()) { return; }
  const Rows rows = first_scene_rows(result, false);
  std::set<double> rates;
  for (const Row* row : rows) { rates.insert(row->learning_rate); }
  std::vector<std::string> optimizers;
  std::string& text = tables.start("grid.tsv", "map lr optimizer x y rate low high mishaps");
  std::string newest = sized_name(*rows.front(), result);
  for (const Row* row : rows) {
    const std::string name = sized_name(*row, result);
    text += name != newest ? "\n" : "";
    newest = name;
    auto optimizer = std::find(optimizers.begin(), optimizers.end(), row->optimizer);
    optimizer = optimizer != optimizers.end() ? optimizer : optimizers.insert(optimizer, row->optimizer);
    text += line(name, row->learning_rate, row->optimizer, std::distance(rates.begin(), rates.find(row->learning_rate)),
                 optimizer - optimizers.begin(), row->statistics.success, mishaps(*row, "\n"));
  }
}

void units(const ExperimentResult& result, Tables& tables) {
  const auto& scenes = result.header.scenes;
  if (scenes.size() == 1) { return; }
  std::string& text = tables.start("units.tsv", "variant unit scene rate low high first sparsity median q1 q3");
  const Rows best = first_scene_rows(result, true);
  for (std::size_t unit = 0; unit < best.size(); ++unit) {
    for (const Row& row : result.variants) {
      if (row.variant == best[unit]->variant && row.best) {
        const Statistics& statistics = row.statistics;
        const bool near_exact = !result.scene_of(row).success_error;
        text += line(row.variant, unit + 1, row.scene + 1, statistics.success, statistics.first_success,
                     near_exact ? statistics.sparsity_error : std::nullopt, statistics.split_errors.back());
      }
    }
    text += "\n";
  }
  std::string& texts = tables.start("scenes.tsv", "text split success");
  for (const SceneResult& scene : scenes) {  // "noise 1 to 2" and what it is tested on have lines of their own
    std::string below = scene.name;
    if (const auto space = below.find(' '); !scene.test.empty() && space != std::string::npos) { below[space] = '\n'; }
    below += scene.test.empty() ? "" : "\n→ " + replaced(scene.test, " and ", "\nand ");
    texts += line(below, scene.splits.back().name, scene.success_error);
  }
}

void outcomes(const ExperimentResult& result, Tables& tables) {
  if (!result.sizes()) { return; }
  std::string& text = tables.start("outcomes.tsv", "place row success no_success vanished diverged");
  int place = 0;
  for (const Row* row : first_scene_rows(result, false)) {
    const Statistics& statistics = row->statistics;
    const std::int64_t failed = statistics.success.of - statistics.success.count - statistics.diverged;
    // Where an error of 1 is a success, so is an output of 0.
    const bool judged = result.header.scenes.front().success_error.value_or(0) < 0.999;
    const std::int64_t vanished = judged ? std::min(statistics.dead, failed) : 0;
    text += line(++place, row_name(*row, result), statistics.success.count, failed - vanished, vanished,
                 statistics.diverged);
  }
}

/// A block for each line over depth.
void price(const ExperimentResult& result, Tables& tables) {
  // Variants are neighbours: these differ if there is anything to compare.
  if (!result.sizes() || result.variants.front().variant == result.variants.back().variant) { return; }
  std::map<std::tuple<std::string, std::optional<std::int64_t>, std::string, double>, Rows> lines;
  for (const Row* row : first_scene_rows(result, false)) {
    lines[{row->variant, row->width, row->optimizer, row->learning_rate}].push_back(row);
  }
  const auto* const columns =
      "variant size label colour point parameters seconds first first_q1 first_q3 last last_q1 last_q3";
  std::string& text = tables.start("price.tsv", columns);
  for (auto& [key, rows] : lines) {
    std::stable_sort(rows.begin(), rows.end(), [](const Row* one, const Row* two) { return one->depth < two->depth; });
    for (const Row* row : rows) {
      const auto& errors = row->statistics.split_errors;
      const auto& [colour, point] = mark(row->variant);
      const std::string size = row->depth ? fmt::format("{}×{}", *row->depth, *row->width) : "";
      text += line(row->variant, size, row == rows.back() ? size : "", colour, point, row->parameters,
                   row->seconds / static_cast<double>(row->runs.size()), errors.front(), errors.back());
    }
    text += "\n";
  }
}

/// figures/NAME.gp draws what the function writes into NAME.tsv; where it writes none, there is no such figure.
struct Figure {
  const char* name;
  void (*tables)(const ExperimentResult&, Tables&);
};
constexpr Figure kFigures[] = {{"loss", loss}, {"panel", panel}, {"distribution", distribution}, {"heldout", heldout},
                               {"grid", grid}, {"units", units}, {"outcomes", outcomes},         {"price", price}};
constexpr const char* kOtherTables[] = {"about.tsv", "rows.tsv", "panel.f32", "dots.tsv", "scenes.tsv"};
}  // namespace

const std::vector<std::string> figure_names = [] {
  std::vector<std::string> names;
  for (const Figure& figure : kFigures) { names.emplace_back(figure.name); }
  return names;
}();

void remove_figures(const std::filesystem::path& directory) {
  const auto tables = directory / "figures";
  for (const char* name : kOtherTables) { std::filesystem::remove(tables / name); }
  for (const auto& [name, text] : figure_scripts) { std::filesystem::remove(tables / name); }
  for (const std::string& name : figure_names) {
    std::filesystem::remove(tables / (name + ".tsv"));
    for (const auto format : {FigureFormat::png, FigureFormat::svg, FigureFormat::pdf}) {
      std::filesystem::remove(directory / fmt::format("{}.{}", name, text_of(format)));
    }
  }
}

std::vector<std::string> write_figures(const ExperimentResult& result, const std::vector<FigureFormat>& formats,
                                       const std::filesystem::path& directory) {
  if (formats.empty()) { return {}; }
  remove_figures(directory);
  std::filesystem::create_directories(directory / "figures");
  Tables files;
  common(result, files);
  std::vector<std::string> drawn;
  files["common.gp"] = figure_scripts.at("common.gp");
  for (const Figure& figure : kFigures) {
    const std::string name = figure.name;
    figure.tables(result, files);
    if (files.count(name + ".tsv") > 0) {
      files[name + ".gp"] = figure_scripts.at(name + ".gp");
      drawn.push_back(name);
    }
  }
  for (const auto& [name, text] : files) { write_file(directory / "figures" / name, text); }
  return draw(drawn, formats, directory);
}
}  // namespace conv_mult
