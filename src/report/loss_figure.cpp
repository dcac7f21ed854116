#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "conv_mult/report/scripts.hpp"
#include "conv_mult/run/evaluation.hpp"

namespace conv_mult {
namespace {

/// Each logged step and what the losses of a row's runs are there. All runs log the same steps; one that
/// diverges counts for as long as it is finite.
std::vector<std::pair<std::int64_t, Spread>> band(const std::vector<RunRecord>& runs) {
  std::vector<std::pair<std::int64_t, Spread>> points;
  for (std::size_t i = 0;; ++i) {
    std::int64_t step = 0;
    std::vector<double> losses;
    for (const RunRecord& run : runs) {
      if (i < run.curve.size() && std::isfinite(run.curve[i].loss)) {
        step = run.curve[i].step;
        losses.push_back(run.curve[i].loss);
      }
    }
    const auto spread = spread_of(std::move(losses));
    if (!spread) {
      return points;
    }
    points.emplace_back(step, *spread);
  }
}

}  // namespace

std::string loss_script(const ExperimentResult& result) {
  const std::int64_t seeds = result.header.seeds;
  std::string data;
  std::string bands;
  std::string lines;
  std::string floors;  // drawn last, in black: a curve that has arrived at its floor must not hide it
  std::size_t curves = 0;
  auto keys = static_cast<int>(best_rows(result).size());
  Range range;
  double start = 0;
  std::int64_t last_step = 1;
  for (const VariantResult* row : best_rows(result)) {
    std::string points;
    for (const auto& [step, loss] : band(row->runs)) {
      points += fmt::format("{} {} {} {}\n", step, datum(loss.median), datum(loss.q1), datum(loss.q3));
      for (const double value : {loss.median, loss.q1, loss.q3}) {
        range.include(value);
      }
      start = step == 0 ? std::max(start, loss.q3) : start;
      last_step = std::max(last_step, step);
    }
    const auto [colour, point] = mark(result, *row);
    const std::string name = fmt::format("curve{}", ++curves);
    data += data_block(name, "step, median, quartiles", points);
    if (seeds > 1) {
      bands += fmt::format(
          "  ${} using 1:(inside($3)):(inside($4)) with filledcurves fs transparent solid 0.25 noborder "
          "lc rgb '#{:06x}' notitle, \\\n",
          name, colour);
    }
    std::vector<std::string> key = mishaps(*row);
    if (const auto& loss = row->statistics.final_loss) {
      key.insert(key.begin(), (seeds > 1 ? "median final loss " : "final loss ") + number(loss->median));
    }
    lines += fmt::format(
        "  ${} using 1:2 with linespoints lc rgb '#{:06x}' lw 2 pt {} ps 0.8*dot pn 9 title {}, \\\n", name,
        colour, point, quote(fmt::format("{}: {}", row_name(*row, result), fmt::join(key, ", "))));
    const double floor = row->floor.value_or(0);
    range.include(floor);
    if (floor > 0) {
      ++keys;
      floors += fmt::format("  {:.9g} with lines lc rgb 'black' lw 1.4 dt (10,6) title {}, \\\n", floor,
                            quote(fmt::format("{}: best possible loss {}", row->variant, number(floor))));
    }
  }
  if (start > 0) {  // what diverges leaves through the top rather than squeezing the others
    range.high = std::min(range.high, 100 * start);
  }
  const std::string about =
      seeds > 1 ? fmt::format(": median of {} seeds, band from quartile to quartile", seeds) : "";
  return preamble("loss", 760, 426 + 20 * keys) + data + log_axis('y', range, 340) + key_below(3.5 + keys) +
         fmt::format(R"(set title {}
set xlabel 'step'
set ylabel {}
set border 3
set grid xtics
set xrange [{}:{}]

plot \
{}{}{}  NaN notitle
)",
                     quote("Training loss" + on_first_scene(result) + about), quote(loss_label(result)),
                     -0.01 * static_cast<double>(last_step), last_step, bands, lines, floors);
}

}  // namespace conv_mult
