// The figures that compare variants over scenes and over sizes: units.gp, outcomes.gp, price.gp.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

#include "conv_mult/report/scripts.hpp"
#include "conv_mult/run/evaluation.hpp"

namespace conv_mult {
namespace {

/// Values for a logarithmic y axis, at whose ends stands what is 0 or beyond it.
struct LogValues {
  Range range;
  bool zero = false, beyond = false;

  void include(double value, double most = INFINITY) {
    zero = zero || value == 0;
    beyond = beyond || value > most;
    range.include(std::min(value, most));
  }

  Range drawn() const { return {zero ? range.low / 3 : range.low, range.high}; }

  std::string axis(int height, bool named = true) const {
    return log_axis('y', drawn(), height) +
           (named && zero ? "set label '0' at graph 1.01, graph 0 font small\n" : "") +
           (named && beyond ? "set label 'beyond' at graph 1.01, graph 1 font small\n" : "");
  }
};

/// Relative errors, with a line at that of an output of 0.
struct Errors : LogValues {
  double most;  ///< whatever is even more wrong would squeeze the others

  explicit Errors(double most_shown) : most(most_shown) { include(1); }

  void include_quartiles(const Spread& error) {
    for (const double value : {error.median, error.q1, error.q3}) {
      include(value, most);
    }
  }

  std::string axis(int height, bool named = true) const {
    return LogValues::axis(height, named) +
           "set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead dt (2,4) lc rgb '#404040'\n" +
           (named ? "set label 'output ≡ 0' at graph 1.01, first 1 font small\n" : "");
  }
};

/// A title at the top left, and below it in small the effort and `about`.
std::string heading(const ExperimentResult& result, const std::string& title, const std::string& about) {
  const std::int64_t seeds = result.header.seeds;
  return fmt::format("set label {} at screen 14.0/width, screen 1 - 18.0/height\n", quote(title)) +
         fmt::format(
             "set label {} at screen 14.0/width, screen 1 - 38.0/height font small "
             "textcolor rgb '#606060'\n",
             quote(fmt::format("{} seed{}, {} steps; {}", seeds, seeds > 1 ? "s" : "",
                               result.variants.front().steps, about)));
}

/// "pt 7 lc rgb '#0072b2'".
std::string style(const ExperimentResult& result, const VariantResult& row) {
  const auto [colour, point] = mark(result, row);
  return fmt::format("pt {} lc rgb '#{:06x}'", point, colour);
}

/// A key of all variants below a plot of some width.
struct Key {
  int columns = 1, lines = 0;
  std::string entries;  ///< lines of a plot command
};

Key key_of(const ExperimentResult& result, int width) {
  Key key;
  int widest = 0;
  for (const VariantResult* row : best_rows(result)) {
    widest = std::max(widest, text_width(row->variant));
    key.entries += fmt::format("  NaN with points {} ps 1.1*dot lw 1.6 title {}, \\\n", style(result, *row),
                               quote(row->variant));
    ++key.lines;
  }
  key.columns = std::clamp(width / (widest + 40), 1, key.lines);
  key.lines = (key.lines + key.columns - 1) / key.columns;
  return key;
}

/// A split on one line, without the range of `outside`, which differs from scene to scene.
std::string split_line(const SceneResult& scene, const Split& split) {
  return split.name == "outside" ? "the test range" : replaced(split_text(scene, split), "\n", " ");
}

}  // namespace

// ---- units.gp

std::string units_script(const ExperimentResult& result) {
  constexpr int kLeft = 70;
  constexpr int kTop = 84;
  constexpr int kHeight = 130;
  constexpr int kStride = kHeight + 42;
  const auto& scenes = result.header.scenes;
  const auto units = best_rows(result);
  const double step = std::min(0.16, 0.84 / static_cast<double>(units.size()));
  LogValues first_success;
  LogValues sparsity;
  Errors errors(1e4);
  std::string data;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const double place = 1 + step * (static_cast<double>(i) - static_cast<double>(units.size() - 1) / 2);
    std::string lines;
    for (const VariantResult& row : result.variants) {
      if (row.variant != units[i]->variant || !row.best) {
        continue;
      }
      const SuccessRate& success = row.statistics.success;
      const double at_step = row.statistics.first_success.value_or(NAN);
      const bool near_exact = !result.scene_of(row).success_error;
      const double unsparse = near_exact ? row.statistics.sparsity_error.value_or(NAN) : NAN;
      const Spread error = drawable(row.statistics.split_errors.back());
      first_success.include(at_step);
      sparsity.include(unsparse);
      errors.include_quartiles(error);
      lines += fmt::format("{:.3f}", place + static_cast<double>(row.scene));
      for (const double value : {100 * success.rate, 100 * success.low, 100 * success.high, at_step, unsparse,
                                 error.median, error.q1, error.q3}) {
        lines += " " + datum(value);
      }
      lines += "\n";
    }
    data +=
        data_block(fmt::format("unit{}", i + 1),
                   "place, success rate in %, its interval, first success, sparsity error, relative error, "
                   "its quartiles",
                   lines);
  }

  const auto is_noise = [](const SceneResult& scene) { return scene.name.rfind("noise ", 0) == 0; };
  const bool all_noise = std::all_of(scenes.begin(), scenes.end(), is_noise);
  std::vector<std::string> names;
  std::set<std::string> splits;
  int lines = 1;
  int column = 64;
  for (const SceneResult& scene : scenes) {
    const std::string name = replaced(scene.name, "noise ", all_noise ? "" : "noise\n");
    names.push_back(name + (scene.test.empty() ? "" : "\n→ " + replaced(scene.test, " and ", "\nand ")));
    splits.insert(split_line(scene, scene.splits.back()));
    lines = std::max(lines, text_lines(names.back()));
    column = std::max(column, text_width(names.back()) + 4);
  }
  const int width = std::max(600, column * static_cast<int>(scenes.size()));

  struct Panel {
    std::string title, axis, columns;
  };
  std::vector<Panel> panels{{"Success rate in % and its 95 % interval",
                             "set yrange [-5:105]\nset ytics 0,50,100\n"
                             "set grid ytics lc rgb '#e0e0e0' lt 1 lw 0.5\n",
                             "1:2:3:4 with yerrorbars"}};
  if (first_success.range.high > 0) {
    panels.push_back({"Step of first success, median over the seeds that had one",
                      first_success.axis(kHeight), "1:(inside($5)) with points"});
  }
  if (sparsity.range.high > 0) {
    panels.push_back({"Sparsity error, median over the seeds that succeeded", sparsity.axis(kHeight),
                      "1:(inside($6)) with points"});
  }
  panels.push_back({fmt::format("Relative error on {}: median and quartiles", fmt::join(splits, " / ")),
                    errors.axis(kHeight), "1:(inside($7)):(inside($8)):(inside($9)) with yerrorbars"});

  const Key key = key_of(result, width);
  const std::string first = success_text(scenes.front());
  const std::string last = success_text(scenes.back());  // all noise has the same
  std::string text =
      preamble("units", kLeft + width + 84,
               kTop + static_cast<int>(panels.size()) * kStride + 20 * (lines + key.lines)) +
      data + key_below(0, key.columns) + fmt::format("set xrange [0.5:{}.5]\n", scenes.size()) +
      heading(result, "What each variant makes of each scene: range trained on → range tested on",
              fmt::format("success: {}", first == last ? first
                                                       : fmt::format("{} on {}, {} on noise", first,
                                                                     scenes.front().name, last)));
  for (std::size_t i = 1; i < scenes.size(); ++i) {
    text += fmt::format(
        "set arrow {1} from {0}.5, graph 0 to {0}.5, graph 1 nohead lw 0.7 lc rgb '#a0a0a0'\n", i, i + 1);
  }
  text += "set multiplot\nunset xtics\n";
  int top = kTop;
  for (const Panel& panel : panels) {
    const bool at_bottom = &panel == &panels.back();
    text += place(kLeft, top, width, kHeight) + panel.axis +
            fmt::format("set label {} at graph 0, graph 1.11\n", quote(panel.title));
    text += at_bottom ? text_tics("x", names) : "";
    text += "plot \\\n";
    for (std::size_t i = 0; i < units.size(); ++i) {
      text += fmt::format("  $unit{} using {} {} ps 1.2*dot lw 1.4 notitle, \\\n", i + 1, panel.columns,
                          style(result, *units[i]));
    }
    text += (at_bottom ? key.entries : "") + "  NaN notitle\nunset label\n\n";
    top += kStride;
  }
  return text + "unset multiplot\n";
}

// ---- outcomes.gp

std::string outcomes_script(const ExperimentResult& result) {
  constexpr int kTop = 62;
  constexpr int kWidth = 520;
  struct Outcome {
    const char* name;
    std::uint32_t colour;
    const char* ink;
    std::string lines;
  };
  Outcome outcomes[] = {{"success", 0x007A5A, "white", {}},  // as different in grey as in colour
                        {"no success", 0xDDDDDD, "black", {}},
                        {"output vanished", 0xE69F00, "black", {}},
                        {"diverged", 0x5C1A1A, "white", {}}};
  const SceneResult& scene = result.header.scenes.front();
  std::vector<std::string> names;
  int left = 60;
  for (const VariantResult* row : first_scene_rows(result)) {
    names.push_back(row_name(*row, result));
    left = std::max(left, text_width(names.back()) + 14);
    const Statistics& statistics = row->statistics;
    const std::int64_t successes = statistics.success.count;
    const std::int64_t failed = statistics.success.of - successes - statistics.diverged;
    // Where an error of 1 is a success, so is an output of 0.
    const std::int64_t dead = scene.success_error.value_or(0) < 0.999 ? std::min(statistics.dead, failed) : 0;
    const double one = 100 / static_cast<double>(std::max<std::int64_t>(statistics.success.of, 1));
    double end = 0;
    auto* outcome = outcomes;
    for (const std::int64_t runs : {successes, failed - dead, dead, statistics.diverged}) {
      const double share = one * static_cast<double>(runs);
      const std::string number = std::to_string(runs);
      const bool fits = runs > 0 && share / 100 * kWidth > text_width(number);
      outcome++->lines += fmt::format("{} {} {} {} \"{}\"\n", names.size(), datum(end), datum(end + share),
                                      runs, fits ? number : "");
      end += share;
    }
  }
  const int height = 28 * static_cast<int>(names.size());
  std::string text = preamble("outcomes", left + kWidth + 40, kTop + height + 80);
  std::string plots;
  for (const auto& [name, colour, ink, lines] : outcomes) {
    const std::string block = replaced(name, " ", "_");
    text += data_block(block, "row, from and to in %, runs, text", lines);
    plots += fmt::format(
        "  ${0} using (($2+$3)/2):1:2:3:($1-0.38):($1+0.38) with boxxyerror fs solid border lc rgb 'white' "
        "fc rgb '#{1:06x}' title '{2}', \\\n"
        "  ${0} using (($2+$3)/2):1:5 with labels font small textcolor rgb '{3}' notitle, \\\n",
        block, colour, name, ink);
  }
  return text + key_below(0, 4) + place(left, kTop, kWidth, height) + text_tics("y", names) +
         heading(result, "What became of the runs" + on_first_scene(result),
                 "success: " + success_text(scene)) +
         fmt::format(R"(set border 1
set xrange [0:100]
set yrange [{}.5:0.5]
set xtics 0,25,100
set format x '%g %%'
plot \
{}  NaN notitle
)",
                     names.size(), plots);
}

// ---- price.gp

namespace {

/// In CSS pixels from a panel's bottom left.
struct Box {
  double left, bottom, right, top;

  bool meets(const Box& other) const {
    return left < other.right && other.left < right && bottom < other.top && other.bottom < top;
  }
};

/// Along a log axis of so many pixels.
double pixel_of(double value, const Range& range, int length) {
  const auto [low, high] = range.widened();
  return length * std::log(std::clamp(value, low, high) / low) / std::log(high / low);
}

/// The sizes of networks beside their marks: those that find room there.
std::string size_labels(const std::vector<const VariantResult*>& rows, std::size_t split,
                        const Range& parameters, const Range& errors, int width, int height) {
  struct Mark {
    double x;
    Box point, bar;
    std::string text;
  };
  std::vector<Mark> marks;
  std::vector<Box> taken;
  for (const VariantResult* row : rows) {
    if (const auto& spread = row->statistics.split_errors[split]) {
      const Spread error = drawable(spread);
      const double x = pixel_of(static_cast<double>(row->parameters), parameters, width);
      const double y = pixel_of(error.median, errors, height);
      marks.push_back({x,
                       {x - 5, y - 5, x + 5, y + 5},
                       {x - 4, pixel_of(error.q1, errors, height), x + 4, pixel_of(error.q3, errors, height)},
                       row->depth ? fmt::format("{}×{}", *row->depth, *row->width) : ""});
      taken.insert(taken.end(), {marks.back().point, marks.back().bar});
    }
  }
  std::string labels;
  for (const Mark& mark : marks) {
    const double half = 3.3 * static_cast<double>(mark.text.size());
    const double y = mark.point.bottom + 5;
    for (const auto& [at_x, at_y] : {std::pair{mark.point.right + half, y},
                                     {mark.point.left - half, y},
                                     {mark.x, mark.bar.top + 8},
                                     {mark.x, mark.bar.bottom - 8}}) {
      const Box box{at_x - half, at_y - 6, at_x + half, at_y + 6};
      const bool outside = box.left < 0 || box.right > width || box.bottom < 0 || box.top > height;
      const bool hit = std::any_of(taken.begin(), taken.end(), [&](const Box& b) { return b.meets(box); });
      if (!mark.text.empty() && !outside && !hit) {
        taken.push_back(box);
        labels += fmt::format("set label '{}' at graph {:.4f}, graph {:.4f} center boxed font small\n",
                              mark.text, at_x / width, at_y / height);
        break;
      }
    }
  }
  return labels;
}

}  // namespace

std::string price_script(const ExperimentResult& result) {
  constexpr int kLeft = 84;
  constexpr int kTop = 88;
  constexpr int kWidth = 340;
  constexpr int kHeight = 250;
  constexpr int kStrideX = kWidth + 64;
  constexpr int kStrideY = kHeight + 72;
  const SceneResult& scene = result.header.scenes.front();
  const std::size_t last = scene.splits.size() - 1;
  auto rows = first_scene_rows(result);
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto* row, const auto* other) { return row->depth < other->depth; });
  Range parameters;
  Range seconds;
  Errors errors[] = {Errors(100), Errors(100)};
  struct Line {  // over depth
    const VariantResult* row = nullptr;
    std::string points, block;
  };
  std::map<std::tuple<std::string, std::optional<std::int64_t>, std::string, double>, Line> lines;
  for (const VariantResult* row : rows) {
    const double time = row->seconds / static_cast<double>(row->runs.size());
    parameters.include(static_cast<double>(row->parameters));
    seconds.include(time);
    Line& line = lines[{row->variant, row->width, row->optimizer, row->learning_rate}];
    line.row = row;
    line.points += fmt::format("{} {}", row->parameters, datum(time));
    for (const std::size_t i : {0U, 1U}) {
      const Spread error = drawable(row->statistics.split_errors[i * last]);
      errors[i].include_quartiles(error);
      line.points += fmt::format(" {} {} {}", datum(error.median), datum(error.q1), datum(error.q3));
    }
    line.points += "\n";
  }
  const int panel_rows = last > 0 ? 2 : 1;
  const Key key = key_of(result, kWidth);
  std::string text =
      preamble("price", kLeft + kStrideX + kWidth + 84, kTop + panel_rows * kStrideY + 10 + 20 * key.lines) +
      key_below(0, key.columns) + fmt::format("set key at screen {}.0/width, screen 10.0/height\n", kLeft) +
      "set style textbox opaque noborder margins 0.2,0.2\nset multiplot\n" +
      heading(result, "The price of multiplication" + on_first_scene(result),
              "median and quartiles; labels: depth × width; a line joins networks of one width");
  std::size_t blocks = 0;
  for (auto& [name, line] : lines) {
    line.block = fmt::format("line{}", ++blocks);
    text += data_block(line.block, "parameters, seconds, relative error and its quartiles on both splits",
                       line.points);
  }
  for (int i = 0; i < 2 * panel_rows; ++i) {
    const int down = i / 2;
    const int across = i % 2;
    const bool at_bottom = down + 1 == panel_rows;
    const Errors& error = errors[down];
    const auto split = static_cast<std::size_t>(down) * last;
    text += place(kLeft + across * kStrideX, kTop + down * kStrideY, kWidth, kHeight) +
            log_axis('x', across == 0 ? parameters : seconds, kWidth) + error.axis(kHeight, across == 1) +
            (across == 0 ? size_labels(rows, split, parameters, error.drawn(), kWidth, kHeight) : "") +
            fmt::format("set title {}\nset xlabel '{}'\nset ylabel '{}'\nplot \\\n",
                        quote("Error on " + replaced(split_text(scene, scene.splits[split]), "\n", " ")),
                        !at_bottom    ? ""
                        : across == 0 ? "parameters"
                                      : "training time of a seed in seconds",
                        across == 0 ? "relative error" : "");
    for (const auto& [name, line] : lines) {
      const std::string place =
          fmt::format("  ${} using {}:(inside(${}))", line.block, across + 1, 3 + 3 * down);
      text += place;
      text += fmt::format(" with lines lw 0.7 lc rgb '#{:06x}' notitle, \\\n", mark(result, *line.row).first);
      text += place;
      text += fmt::format(":(inside(${})):(inside(${})) with yerrorbars {} ps {}*dot lw 1.2 notitle, \\\n",
                          4 + 3 * down, 5 + 3 * down, style(result, *line.row), line.row->depth ? 0.8 : 1.5);
    }
    text += (i + 1 == 2 * panel_rows ? key.entries : "") + "  NaN notitle\nunset label\n\n";
  }
  return text + "unset multiplot\n";
}

}  // namespace conv_mult
