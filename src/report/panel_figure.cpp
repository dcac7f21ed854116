#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "conv_mult/report/scripts.hpp"
#include "conv_mult/run/evaluation.hpp"

namespace conv_mult {
namespace {

constexpr std::int64_t kMostCells = 200;  // along a side of a map: scripts stay small

/// Cells to a pixel along a side of the image. gnuplot draws no image of fewer than two cells a side, so a
/// lone row of pixels becomes two rows of cells.
double cells_per_pixel(std::int64_t pixels) {
  const std::int64_t pixels_per_cell = (pixels + kMostCells - 1) / kMostCells;
  return pixels == 1 ? 2 : 1 / static_cast<double>(pixels_per_cell);
}

double cell_of(double pixel, std::int64_t pixels) { return (pixel + 0.5) * cells_per_pixel(pixels) - 0.5; }

/// `set xtics` or ytics at pixels 0 and, where there is room, the middle.
std::string tics(char axis, std::int64_t pixels, int room, bool labels) {
  const auto tic = [&](std::int64_t pixel) {
    return fmt::format("'{}' {}", labels ? std::to_string(pixel) : "",
                       cell_of(static_cast<double>(pixel), pixels));
  };
  const bool middle = room >= 60 && pixels > 1;
  return fmt::format("set {}tics ({}{})\n", axis, tic(0), middle ? ", " + tic(pixels / 2) : "");
}

/// gnuplot warns about 'nan' in a matrix, so 1e99 stands for it.
std::string matrix(const std::string& name, const Image& image, const ColourScale& scale) {
  const Image cells = averaged(image, kMostCells);
  std::string text;
  for (std::int64_t row = 0; row < cells.height; ++row) {
    std::string line;
    for (std::int64_t column = 0; column < cells.width; ++column) {
      const double value = cells.pixels[static_cast<std::size_t>(row * cells.width + column)];
      line += std::isnan(value) ? "1e99 " : fmt::format("{:.4g} ", std::clamp(value, scale.low, scale.high));
    }
    line += cells.width == 1 ? line : "";
    line.back() = '\n';
    text += line + (cells.height == 1 ? line : "");
  }
  return data_block(name, "rows of the image", text);
}

/// Where everything is, in CSS pixels from the top left. Below a line of outputs is the line of their errors.
struct Layout {
  int columns, lines, line_height;
  int map_width, map_height;  // shaped like the image, but never a hair
  std::int64_t pixel_rows;    // of the image
  int table_space;            // below the first line of errors, for the numbers beside it
  int left = 44, top = 51, bar_space = 60;
  int column_width = std::max(map_width, 168) + 26;  // titles and table need so much

  int x(int column) const { return left + column * column_width; }
  int y(int line) const { return top + line * line_height + (line > 1 ? table_space : 0); }
};

Layout lay_out(const ExperimentResult& result) {
  const int maps = 3 + static_cast<int>(best_rows(result).size());
  const int columns = std::min(maps, 6);
  const int table_height = 20 * (maps + 3) - 24;  // the lines of an SVG are so high
  const Image& image = result.header.scenes.front().a;
  const auto side = [&](std::int64_t pixels) {
    return std::max(12, static_cast<int>(210 * pixels / std::max(image.height, image.width)));
  };
  const int box_height = std::max(side(image.height), 105);  // of the colour bar at least
  return {columns,
          2 * ((maps + columns - 1) / columns),
          box_height + 81,
          side(image.width),
          side(image.height),
          image.height,
          std::max(0, table_height - box_height)};
}

/// "exp: loss 1.98", and below it "adam, lr 0.01, seed 417".
std::string title(const ExperimentResult& result, const VariantResult& row) {
  const RunRecord& run = row.runs[row.shown];
  return fmt::format(
      "{}: {}\n{}seed {}", row.variant, run.final_loss ? "loss " + number(run.final_loss) : "diverged",
      result.grid ? fmt::format("{}, lr {}, ", row.optimizer, row.learning_rate) : "", run.seed);
}

/// One map; the colour bar of its line stands at the right. An expression in `using` costs gnuplot two system
/// calls a cell, so there is none where every cell is a number.
std::string map(const Layout& layout, int column, int line, const std::string& name,
                const std::string& heading, bool all_numbers) {
  const int x = layout.x(column) + (layout.column_width - 26 - layout.map_width) / 2;
  return place(x, layout.y(line), layout.map_width, layout.map_height) +
         (column == layout.columns - 1
              ? colour_bar(layout.x(layout.columns) - 14, layout.y(line), std::max(layout.map_height, 105))
              : "unset colorbox\n") +
         tics('y', layout.pixel_rows, layout.map_height, column == 0) +
         fmt::format("set title {}\nplot ${} matrix{} with image notitle\n\n", quote(heading), name,
                     all_numbers ? "" : " using 1:2:($3 > 1e98 ? NaN : $3)");
}

/// The numbers behind the maps, in the empty space below a, b and target.
std::string number_table(const ExperimentResult& result, const Layout& layout) {
  std::string columns[] = {"variant\n", "loss\n", "best possible\n", "relative error\n"};
  const double norm = result.header.scenes.front().splits.front().target_norm;
  for (const VariantResult* row : best_rows(result)) {
    const RunRecord& run = row->runs[row->shown];
    const double error = run.split_losses.empty() ? NAN : run.split_losses.front() / norm;
    columns[0] += "\n" + row_name(*row, result);
    columns[1] += "\n" + number(run.final_loss);
    columns[2] += "\n" + number(row->floor);
    columns[3] += "\n" + (std::isfinite(error) ? fmt::format("{:.1f} %", 100 * error) : "–");
  }
  columns[0] += "\n\nnorm of a × b: " + number(norm);
  columns[0] += result.header.seeds > 1 ? "\nshown: the seed of median final loss" : "";
  columns[0] += result.header.scenes.size() > 1 ? "\nscene: " + result.header.scenes.front().name : "";
  std::string text;
  constexpr double kRightEnds[] = {0, 1.4, 2.15, 2.85};  // in columns of maps; the first is flush left
  for (std::size_t i = 0; i < std::size(columns); ++i) {
    text += fmt::format("set label {} at screen {:.1f}/width, screen 1 - {}.0/height {}\n", quote(columns[i]),
                        layout.left + kRightEnds[i] * layout.column_width, layout.y(1) + 8,
                        i == 0 ? "left" : "right");
  }
  return text;
}

std::string settings(const Image& image, const Layout& layout) {
  const auto end = [](std::int64_t pixels) { return cell_of(static_cast<double>(pixels) - 0.5, pixels); };
  return fmt::format("\n# Of cells; row 0 is at the top.\nset xrange [-0.5:{}]\nset yrange [{}:-0.5]\n",
                     end(image.width), end(image.height)) +
         tics('x', image.width, layout.map_width, true) + R"(set xtics offset 0,0.3
set ytics offset 0.5,0
set cbtics scale 0.4 offset -0.5,0
set border lw 0.7
set title offset 0,-0.5
# Shows through where a pixel is not a number.
set object 1 rectangle from graph 0,0 to graph 1,1 behind fc rgb '#808080' fs solid noborder

set multiplot
)";
}

}  // namespace

std::string panel_script(const ExperimentResult& result) {
  const SceneResult& scene = result.header.scenes.front();
  const Layout layout = lay_out(result);
  const ColourScale shared = shared_scale(scene);
  const ColourScale errors = error_scale(result);
  std::string data =
      matrix("a", scene.a, shared) + matrix("b", scene.b, shared) + matrix("target", scene.target, shared);
  std::string output_maps;
  std::string error_maps;
  int i = 0;
  for (const VariantResult* row : best_rows(result)) {
    Image output = row->output;
    if (output.pixels.empty()) {  // diverged at once
      output = scene.target;
      std::fill(output.pixels.begin(), output.pixels.end(), NAN);
    }
    const int column = (3 + i) % layout.columns;
    const int line = 2 * ((3 + i) / layout.columns);
    const std::string number = std::to_string(++i);
    data += matrix("output" + number, output, shared);
    data += matrix("error" + number, error_map(output, scene.target), errors);
    const bool all_numbers = std::none_of(output.pixels.begin(), output.pixels.end(),
                                          [](float value) { return std::isnan(value); });
    output_maps += map(layout, column, line, "output" + number, title(result, *row), all_numbers);
    error_maps +=
        map(layout, column, line + 1, "error" + number, row->variant + ": output − target", all_numbers);
  }
  return preamble("panel", layout.x(layout.columns) + layout.bar_space,
                  layout.y(layout.lines) - layout.top + 4) +
         data + settings(scene.a, layout) + number_table(result, layout) +
         palette(sequential_colours, shared) + map(layout, 0, 0, "a", "a", true) + "unset label\n" +
         map(layout, 1, 0, "b", "b", true) + map(layout, 2, 0, "target", "target a × b", true) + output_maps +
         palette(diverging_colours, errors) + error_maps + "unset multiplot\n";
}

}  // namespace conv_mult
