#include "output/figures.hpp"
#include <fmt/ranges.h>
#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>
#include "options/options.hpp"
#include "run/statistics.hpp"
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

/// The files beside the scripts, by name.
using Tables = std::map<std::string, std::string>;

// ---- What several figures show

/// Of every variant on the first scene.
Rows best_rows(const ExperimentResult& result) {
  Rows rows;
  for (const Row& row : result.variants) {
    if (row.scene == 0 && row.best) { rows.push_back(&row); }
  }
  return rows;
}

/// Where the name stands in the list, whose end it becomes where it is new.
std::size_t place_in(std::vector<std::string>& names, const std::string& name) {
  const auto place = static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  if (place == names.size()) { names.push_back(name); }
  return place;
}

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
  const SceneResult& scene = result.header.scenes.front();
  const SplitResult& split = scene.splits.front();
  const double norm = split.target_norm;
  std::string& text = tables["about.tsv"] = line("key", "value");
  text += line("seeds", result.header.seeds);
  text += line("steps", result.variants.front().steps);
  text += line("loss", result.header.loss);
  text += line("norm", norm);
  text += line("loss of 0", result.header.loss == "mse" ? norm * norm / split.pixels : norm);
  text += line("scene", scene.name);
  text += line("scenes", result.header.scenes.size());
  text += line("tested on", replaced(scene.test, " and ", "\nand "));
  text += line("success", scene.success_error);
  text += line("first split", split.name);
  text += line("last split", scene.splits.back().name);
  text += line("grid", result.grid());
  text += line("width", scene.target.width);
  text += line("height", scene.target.height);
}

/// A line for every row of every scene, the scenes one after the other. `unit` is 0 but for the best row of each
/// variant, `place` the row's among all; `map`, `x` and `y` are where it stands in a grid. Rows that differ in their
/// depth alone are a block, the deepest, which is last, with a `label`.
void all_rows(const ExperimentResult& result, Tables& tables) {
  std::vector<std::string> variants;
  std::vector<std::string> maps;
  std::vector<std::string> optimizers;
  std::set<double> rates;
  Rows rows;
  for (const Row& row : result.variants) {
    place_in(variants, row.variant);
    place_in(maps, sized_name(row, result));
    place_in(optimizers, row.optimizer);
    rates.insert(row.learning_rate);
    rows.push_back(&row);
  }
  const auto block = [&](const Row* row) {
    return std::tuple(row->scene, place_in(variants, row->variant), row->width, row->optimizer, row->learning_rate);
  };
  std::stable_sort(rows.begin(), rows.end(), [&](const Row* one, const Row* two) {
    return std::pair(block(one), one->depth) < std::pair(block(two), two->depth);
  });
  std::string& text = tables["rows.tsv"] =
      line("scene", "place", "unit", "row", "variant", "colour", "point", "size", "label", "optimizer", "lr", "map",
           "sized", "x", "y", "parameters", "seconds", "loss", "q1", "q3", "min", "max", "floor", "rate", "low", "high",
           "runs", "success", "no_success", "vanished", "diverged", "mishaps", "step", "sparsity", "first", "first_q1",
           "first_q3", "last", "last_q1", "last_q3", "seed", "seed_loss", "seed_error");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = *rows[i];
    const Statistics& statistics = row.statistics;
    const SceneResult& scene = result.scene_of(row);
    const bool last = i + 1 == rows.size() || block(&row) != block(rows[i + 1]);
    const std::size_t unit = row.best ? place_in(variants, row.variant) + 1 : 0;
    const auto& [colour, point] = mark(row.variant);
    const std::string size = row.depth ? fmt::format("{}×{}", *row.depth, *row.width) : "";
    const std::string sized = sized_name(row, result);
    const Spread loss = drawable(statistics.final_loss);
    const std::int64_t failed = statistics.success.of - statistics.success.count - statistics.diverged;
    // Where an error of 1 is a success, so is an output of 0.
    const std::int64_t vanished = scene.success_error.value_or(0) < 0.999 ? std::min(statistics.dead, failed) : 0;
    const RunRecord& run = row.runs[row.shown];
    const double error = run.split_losses.empty() ? NAN : run.split_losses.front() / scene.splits.front().target_norm;
    text += line(row.scene + 1, &row - result.variants.data() + 1, unit, row_name(row, result), row.variant, colour,
                 point, size, last ? size : "", row.optimizer, row.learning_rate, place_in(maps, sized), sized,
                 std::distance(rates.begin(), rates.find(row.learning_rate)), place_in(optimizers, row.optimizer),
                 row.parameters, row.seconds / static_cast<double>(row.runs.size()), loss, loss.min, loss.max,
                 row.floor, statistics.success, statistics.success.of, statistics.success.count, failed - vanished,
                 vanished, statistics.diverged, mishaps(row), statistics.first_success,
                 scene.success_error ? std::nullopt : statistics.sparsity_error, statistics.split_errors.front(),
                 statistics.split_errors.back(), run.seed, run.final_loss, error);
    text += last ? "\n" : "";
  }
}

// ---- What is shown beside the rows

/// A block for each row: what the losses of its runs are at each logged step, which are the same for all runs; one that
/// diverges counts for as long as it is finite.
void loss(const ExperimentResult& result, Tables& tables) {
  std::string& text = tables["loss.tsv"] = line("row", "step", "median", "q1", "q3");
  for (const Row* row : best_rows(result)) {
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
    }
    text += "\n";
  }
}

/// Maps of float32 one after the other, and a line for each. Large images are averaged down; gnuplot draws none of
/// fewer than two cells a side, so a lone row of pixels becomes two rows of cells.
void panel(const ExperimentResult& result, Tables& tables) {
  const SceneResult& scene = result.header.scenes.front();
  const ColourScale shared = shared_scale(scene);
  const ColourScale errors = error_scale(result);
  std::string& text = tables["panel.tsv"] = line("width", "height", "low", "high");
  const auto add = [&](const Image& image, const ColourScale& scale) {
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
    text += line(across * cells.width, down * cells.height, scale.low, scale.high);
  };
  add(scene.a, shared);
  add(scene.b, shared);
  add(scene.target, shared);
  for (const Row* row : best_rows(result)) {
    Image output = row->output.pixels.empty() ? scene.target : row->output;
    if (row->output.pixels.empty()) { output.pixels.assign(output.pixels.size(), NAN); }  // diverged at once
    add(output, shared);
    add(error_map(output, scene.target), errors);
  }
}

/// The final losses of every row on the first scene, evenly over their ranks and so in any number true to the whole.
void dots(const ExperimentResult& result, Tables& tables) {
  std::string& text = tables["dots.tsv"] = line("place", "colour", "loss");
  const std::size_t most = 2400 * result.header.scenes.size() / result.variants.size() + 2;  // a row
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
  const SceneResult& scene = result.header.scenes.front();
  std::string& text = tables["heldout.tsv"] = line("row", "place", "split", "scenes", "median", "q1", "q3");
  for (const Row* row : best_rows(result)) {
    for (std::size_t i = 0; i < scene.splits.size(); ++i) {
      text += line(row_name(*row, result), i + 1, scene.splits[i].name, scene.splits[i].scenes,
                   row->statistics.split_errors[i]);
    }
    text += "\n";
  }
}

void scenes(const ExperimentResult& result, Tables& tables) {
  std::string& text = tables["scenes.tsv"] = line("text", "split", "success");
  for (const SceneResult& scene : result.header.scenes) {
    std::string below = scene.name;  // "noise 1 to 2" and what it is tested on have lines of their own
    if (const auto space = below.find(' '); !scene.test.empty() && space != std::string::npos) { below[space] = '\n'; }
    below += scene.test.empty() ? "" : "\n→ " + replaced(scene.test, " and ", "\nand ");
    text += line(below, scene.splits.back().name, scene.success_error);
  }
}
}  // namespace

const std::vector<std::string> figure_names{"loss", "panel", "distribution", "heldout",
                                            "grid", "units", "outcomes",     "price"};

void remove_figures(const std::filesystem::path& directory) {
  const auto tables = directory / "figures";
  for (const char* name :
       {"about.tsv", "rows.tsv", "loss.tsv", "panel.tsv", "panel.f32", "dots.tsv", "heldout.tsv", "scenes.tsv"}) {
    std::filesystem::remove(tables / name);
  }
  for (const auto& [name, text] : figure_scripts) { std::filesystem::remove(tables / name); }
  for (const std::string& name : figure_names) {
    for (const auto format : {FigureFormat::png, FigureFormat::svg, FigureFormat::pdf}) {
      std::filesystem::remove(directory / fmt::format("{}.{}", name, text_of(format)));
    }
  }
}

std::vector<std::string> write_figures(const ExperimentResult& result, const std::vector<FigureFormat>& formats,
                                       const std::filesystem::path& directory) {
  if (formats.empty()) { return {}; }
  remove_figures(directory);
  Tables files;
  for (const auto write : {about, all_rows, loss, panel, heldout}) { write(result, files); }
  std::vector<std::string> drawn{"loss", "panel", "heldout"};
  if (result.header.seeds > 1) {
    dots(result, files);
    drawn.emplace_back("distribution");
  }
  if (result.grid()) { drawn.emplace_back("grid"); }
  if (result.header.scenes.size() > 1) {
    scenes(result, files);
    drawn.emplace_back("units");
  }
  if (result.sizes()) { drawn.emplace_back("outcomes"); }
  // Variants are neighbours: these differ if there is anything to compare.
  const bool several = result.variants.front().variant != result.variants.back().variant;
  if (result.sizes() && several) { drawn.emplace_back("price"); }
  files["common.gp"] = figure_scripts.at("common.gp");
  for (const std::string& name : drawn) { files[name + ".gp"] = figure_scripts.at(name + ".gp"); }
  std::filesystem::create_directories(directory / "figures");
  for (const auto& [name, text] : files) { write_file(directory / "figures" / name, text); }
  return draw(drawn, formats, directory);
}
}  // namespace conv_mult
