// The figures about many runs: distribution.gp, heldout.gp, grid.gp.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <set>

#include "conv_mult/report/scripts.hpp"
#include "conv_mult/run/evaluation.hpp"

namespace conv_mult {
namespace {

/// Final losses as dots, evenly over their ranks and so in any number true to the whole; the jitter is
/// deterministic and spreads neighbours in rank far apart.
std::string dots(const VariantResult& row, std::size_t line, std::size_t most, std::uint32_t colour) {
  std::vector<double> losses;
  for (const RunRecord& run : row.runs) {
    if (run.final_loss) {
      losses.push_back(*run.final_loss);
    }
  }
  std::sort(losses.begin(), losses.end());
  const std::size_t shown = std::min(losses.size(), most);
  std::string text;
  for (std::size_t i = 0; i < shown; ++i) {
    const std::size_t rank = i * (losses.size() - 1) / std::max<std::size_t>(shown - 1, 1);
    const double jitter = std::fmod(0.618034 * static_cast<double>(i), 1.0);
    text += fmt::format("{} {:.3f} {}\n", datum(losses[rank]),
                        static_cast<double>(line) + 0.1 + 0.26 * jitter, 0xA0000000U | colour);
  }
  return text;
}

/// Neither a wild outlier nor a tiny floor may squeeze the boxes.
Range loss_range(const ExperimentResult& result) {
  Range boxes;
  Range others;
  boxes.include(vanished_loss(result));
  for (const VariantResult* row : first_scene_rows(result)) {
    const Spread loss = drawable(row->statistics.final_loss);
    for (const double value : {loss.q1, loss.median, loss.q3}) {
      boxes.include(value);
    }
    for (const double value : {loss.min, loss.max, row->floor.value_or(0)}) {
      others.include(value);
    }
  }
  return {std::clamp(others.low, boxes.low / 100, boxes.low),
          std::clamp(others.high, boxes.high, boxes.high * 100)};
}

}  // namespace

std::string distribution_script(const ExperimentResult& result) {
  constexpr int kTop = 44;
  constexpr int kLosses = 380;
  constexpr int kRates = 150;
  const auto rows = first_scene_rows(result);
  const int height = (rows.size() <= 8 ? 56 : 42) * static_cast<int>(rows.size());
  int left = 60;
  int right = 60;
  std::vector<std::string> names;
  std::vector<std::string> outcomes;
  std::string statistics;
  std::string scatter;
  for (const VariantResult* each : rows) {
    const VariantResult& row = *each;
    names.push_back(row_name(row, result));
    left = std::max(left, text_width(names.back()));
    const SuccessRate& success = row.statistics.success;
    const std::string rate = fmt::format("{} of {}", success.count, success.of);
    const std::string bad = fmt::format("{}", fmt::join(mishaps(row), ", "));
    outcomes.push_back(fmt::format("{}{}{}", rate, bad.empty() ? "" : "\n", bad));
    right = std::max({right, text_width(rate), text_width(bad)});
    const Spread loss = drawable(row.statistics.final_loss);
    const std::uint32_t colour = mark(result, row).first;
    for (const double value :
         {static_cast<double>(names.size()), loss.median, loss.q1, loss.q3, loss.min, loss.max,
          row.floor.value_or(0), 100 * success.rate, 100 * success.low, 100 * success.high}) {
      statistics += fmt::format("{} ", datum(value));
    }
    statistics += fmt::format("{}\n", colour);
    scatter += dots(row, names.size(), std::min<std::size_t>(300, 2400 / rows.size()), colour);
  }
  left += 20;
  const int rates_left = left + kLosses + 40;
  return preamble("distribution", rates_left + kRates + right + 24, kTop + height + 112) +
         data_block("rows", "row, median, quartiles, extremes, floor, success rate in % and interval, colour",
                    statistics) +
         data_block("dots", "loss, place, colour", scatter) + log_axis('x', loss_range(result), kLosses) +
         text_tics("y", names) + place(left, kTop, kLosses, height) +
         fmt::format(R"(set yrange [{0}.5:0.5]
set multiplot
set label 1 'Box: quartiles and median. Whiskers: extremes. Dots: seeds. Dashed: best possible loss. Dotted: output ≡ 0.' \
  at screen 14.0/width, screen 16.0/height font small textcolor rgb '#606060'
set title {4}
set xlabel {3}
plot $dots using (inside($1)):2:3 with points pt 7 ps 0.3*dot lc rgb variable, \
     $rows using ({1:.6g}):($1-0.5):(0):(1) with vectors nohead dt (2,4) lc rgb '#404040', \
     $rows using (inside($5)):($1-0.14):(inside($6)-inside($5)):(0):11 with vectors nohead lw 1.2 lc rgb variable, \
     $rows using (inside($2)):($1-0.14):(inside($3)):(inside($4)):($1-0.32):($1+0.04):11 with boxxyerror \
       fs solid 0.35 border lw 1.2 lc rgb variable, \
     $rows using (inside($2)):($1-0.32):(0):(0.36):11 with vectors nohead lw 2.4 lc rgb variable, \
     $rows using 7:($1-0.42):(0):(0.84) with vectors nohead lw 1.4 dt (4,3) lc rgb 'black'

unset label
unset logscale
set title 'Success rate'
set xlabel "% of seeds with\n{2}"
set xrange [-4:104]
set xtics 0,50,100
unset ytics
set y2range [{0}.5:0.5]
)",
                     rows.size(), vanished_loss(result), success_text(result.header.scenes.front()),
                     quote(loss_label(result)), quote("Final loss" + on_first_scene(result))) +
         text_tics("y2", outcomes) + place(rates_left, kTop, kRates, height) +
         "plot $rows using 8:1:9:10:11 with xerrorbars pt 7 ps 0.8*dot lw 1.6 lc rgb variable\n"
         "unset multiplot\n";
}

// ---- heldout.gp

std::string heldout_script(const ExperimentResult& result) {
  const auto rows = best_rows(result);
  const SceneResult& scene = result.header.scenes.front();
  const auto& splits = scene.splits;
  const double success = scene.success_error.value_or(0);
  const bool several = result.header.seeds > 1;
  const auto count = static_cast<double>(rows.size());
  const double step = std::min(0.3, 0.75 / count);
  Range range;
  range.include(2);  // leaves room for the line at 1
  range.include(success / 3);
  std::string data;
  std::vector<std::string> plots;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    double place = 1 + step * (static_cast<double>(i) - (count - 1) / 2);
    std::string lines;
    for (const auto& split : rows[i]->statistics.split_errors) {
      const Spread error = drawable(split);
      for (const double value : {error.q1, 2 * error.q1, 2 * error.median, 2 * error.q3}) {
        range.include(value);
      }
      const bool marked = rows.size() <= 3 || !std::isfinite(error.median);  // more numbers would touch
      const double rounded = std::strtod(fmt::format("{:.1e}", error.median).c_str(), nullptr);
      lines += fmt::format("{:.3f} {} {} {} {} \"{}\"\n", place, datum(error.median), datum(error.q1),
                           datum(error.q3), datum(std::isnan(error.q3) ? 0 : error.q3),
                           !marked               ? ""
                           : std::isinf(rounded) ? "∞"
                           : rounded < 1e7       ? fmt::format("{}", rounded)
                                                 : number(rounded));
      ++place;
    }
    const auto [colour, point] = mark(result, *rows[i]);
    data += data_block(fmt::format("errors{}", i + 1), "place, median, quartiles, text and its place", lines);
    plots.push_back(
        fmt::format("$errors{} using 1:(inside($2)){} pt {} ps 1.1*dot lw 1.6 lc rgb '#{:06x}' title {}",
                    i + 1, several ? ":(inside($3)):(inside($4)) with yerrorbars" : " with points", point,
                    colour, quote(row_name(*rows[i], result))));
    plots.push_back(fmt::format(
        "$errors{} using 1:(inside($5)):6 with labels boxed offset 0,0.7 font small notitle", i + 1));
  }
  std::vector<std::string> names;
  int most_lines = 4;
  for (const Split& split : splits) {
    names.push_back(split.name + "\n" + split_text(scene, split) +
                    (split.scenes > 1 ? fmt::format("\n{} scenes", split.scenes) : ""));
    most_lines = std::max(most_lines, text_lines(names.back()));
  }
  std::string about = result.header.scenes.size() > 1 ? "\n" + scene.name : "";
  if (several) {
    about +=
        fmt::format("{}median and quartiles of {} seeds", about.empty() ? "\n" : ": ", result.header.seeds);
  }
  const double lines = most_lines + 1 + count;
  return preamble("heldout", 760, 334 + static_cast<int>(20 * lines)) + data + log_axis('y', range, 300) +
         text_tics("x", names) + key_below(lines) +
         fmt::format(R"(set title {}
set style textbox opaque noborder margins 0.3,0.3  # else a line would cross the numbers
set ylabel 'relative error  ‖output − a × b‖₂ / ‖a × b‖₂'
set border 3
set xrange [0.5:{}.5]
set rmargin 12
set arrow from graph 0, first 1 to graph 1, first 1 nohead dt (2,4) lc rgb '#404040'
success = {:.6g}
close = success > 0 && log(1/success) < 0.1*log(high/low)  # one label would hide the other
set label 'output ≡ 0' at graph 1.01, first 1 offset 0, (close ? 0.9 : 0) font small
if (success > 0) set arrow from graph 0, first success to graph 1, first success nohead dt (10,6)
if (success > 0) set label sprintf("success\n≤ %.3g", success) at graph 1.01, first success font small

plot {}
)",
                     quote("Is it multiplication?  Relative error on scenes never trained on" + about),
                     splits.size(), success, fmt::join(plots, ", \\\n     "));
}

// ---- grid.gp

std::string grid_script(const ExperimentResult& result) {
  const auto rows = first_scene_rows(result);
  ExperimentResult without_grid;  // for the names of variants and their sizes
  without_grid.sizes = result.sizes;
  std::vector<std::string> variants;
  const auto optimizers = distinct(result, &VariantResult::optimizer);
  std::set<double> rates;
  for (const VariantResult* row : rows) {
    rates.insert(row->learning_rate);
    const std::string name = row_name(*row, without_grid);
    if (std::find(variants.begin(), variants.end(), name) == variants.end()) {
      variants.push_back(name);
    }
  }
  std::vector<std::string> rate_texts;
  std::transform(rates.begin(), rates.end(), std::back_inserter(rate_texts),
                 [](double rate) { return fmt::format("{}", rate); });
  constexpr int kTop = 80;
  constexpr int kGap = 74;
  constexpr int kLeft = 78;
  const int maps = static_cast<int>(variants.size());
  const int width = 100 * static_cast<int>(rates.size());
  const int height = 82 * static_cast<int>(optimizers.size());
  const int across = std::clamp(800 / (width + kLeft), 1, maps);
  const int down = (maps + across - 1) / across * (height + kGap);
  const int right = across * (width + kLeft);
  std::string text = preamble("grid", std::max(right + 90, 480), kTop + down - 10) +
                     palette(sequential_colours, {0, 100}) + text_tics("x", rate_texts) +
                     text_tics("y", optimizers);
  text += fmt::format(R"(set palette maxcolors 0
set cbtics 0,50,100 scale 0.4 offset -0.5,0
set format cb '%g %%'
set xrange [0.5:{}.5]
set yrange [{}.5:0.5]
set xlabel 'learning rate' offset 0,0.4
set title offset 0,-0.4
set label {} at screen 14.0/width, screen 1 - 18.0/height
set label '{} after {} steps; seeds a cell: {}' \
  at screen 14.0/width, screen 1 - 37.0/height font small textcolor rgb '#606060'
ink(rate) = rate > 42 ? 0x000000 : 0xffffff  # whichever stands out more, by WCAG's contrast
set multiplot
)",
                      rates.size(), optimizers.size(), quote("Success rate" + on_first_scene(result)),
                      success_text(result.header.scenes.front()), result.variants.front().steps,
                      result.header.seeds);
  for (int i = 0; i < maps; ++i) {
    const std::string& variant = variants[static_cast<std::size_t>(i)];
    std::string cells;
    for (const VariantResult* row : rows) {
      if (row_name(*row, without_grid) == variant) {
        const SuccessRate& success = row->statistics.success;
        const auto optimizer = std::find(optimizers.begin(), optimizers.end(), row->optimizer);
        cells += fmt::format("{} {} {} \"{} %\" \"{:.0f}–{:.0f} %\\n{}\"\n",
                             std::distance(rates.begin(), rates.find(row->learning_rate)) + 1,
                             std::distance(optimizers.begin(), optimizer) + 1, datum(100 * success.rate),
                             number(100 * success.rate), 100 * success.low, 100 * success.high,
                             fmt::join(mishaps(*row), "\\n"));
      }
    }
    text += data_block("cells", "learning rate, optimizer, success rate in %, texts", cells);
    text += place(kLeft + i % across * (width + kLeft), kTop + i / across * (height + kGap), width, height);
    text += i == 0 ? colour_bar(right + 14, kTop, height) : "unset colorbox\n";
    text += fmt::format(R"(set title {}
plot $cells using 1:2:($1-0.5):($1+0.5):($2-0.5):($2+0.5):3 with boxxyerror \
       fs solid border lc rgb 'white' fc palette, \
     $cells using 1:2:4:(ink($3)) with labels textcolor rgb variable offset 0,1, \
     $cells using 1:2:5:(ink($3)) with labels textcolor rgb variable offset 0,-0.1 font small
unset label

)",
                        quote(variant));
  }
  return text + "unset multiplot\n";
}

}  // namespace conv_mult
