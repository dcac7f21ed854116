#include "conv_mult/report/figures.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "conv_mult/report/files.hpp"
#include "conv_mult/report/gnuplot.hpp"
#include "conv_mult/report/images.hpp"

namespace conv_mult {
namespace {

// ---- text shared by both scripts

/// A single-quoted gnuplot string: nothing but the quote itself is special in it.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    result += c == '\'' ? "''" : std::string(1, c);
  }
  return result + "'";
}

std::string number(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? fmt::format("{:.4g}", *value) : "–";
}

/// The shown run is the first one.
std::optional<double> shown_loss(const VariantResult& variant) {
  return variant.runs.empty() ? std::nullopt : variant.runs.front().final_loss;
}

std::string ending(const VariantResult& variant, const std::string& what) {
  const bool diverged = !variant.runs.empty() && variant.runs.front().status == RunStatus::diverged;
  return diverged ? "diverged" : what + number(shown_loss(variant));
}

bool drawable(double loss) { return std::isfinite(loss) && loss > 0; }  // on a log axis

/// Opening lines: `format` and `drawing` may be set from outside; otherwise a PNG is drawn. Width and height
/// are in CSS pixels: the PNG has twice as many, the PDF 72 to the inch. All text is 'noenhanced': '_' is
/// just '_'.
std::string preamble(const std::string& name, int width, int height) {
  return fmt::format(R"(# Drawn by conv_mult. By hand, in this folder: gnuplot {0}.gp
# or in another format: gnuplot -e "format='pdf'" {0}.gp
if (!exists("format")) format = 'png'
if (!exists("drawing")) drawing = '../{0}.' . format
width = {1}
height = {2}
font = 'DejaVu Sans'
set encoding utf8
if (format eq 'png') set terminal pngcairo noenhanced size 2*width,2*height font font.',10' fontscale 2 linewidth 2 background rgb 'white'
if (format eq 'svg') set terminal svg noenhanced size width,height font font.',13' linewidth 1 background rgb 'white'
if (format eq 'pdf') set terminal pdfcairo noenhanced size width/72.0,height/72.0 font font.',12' fontscale 1 linewidth 1 background rgb 'white'
set output drawing

)",
                     name, width, height);
}

// ---- loss.gp

// Okabe & Ito's colours, darkest first; yellow is left out, it is too pale for a line on white.
constexpr const char* kLineColours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                        "#E69F00", "#56B4E9", "#000000", "#7F7F7F"};
constexpr int kPointTypes[] = {7, 5, 9, 13, 6, 4, 8, 12};  // ● ■ ▲ ◆, then hollow: tells them apart in grey
constexpr int kMarks = 9;                                  // a curve

/// Labels at 1, 2 and 5 of each decade while few decades are shown, else gnuplot's own choice.
std::string loss_tics(double low, double high) {
  const double decades = std::log10(high / low);
  if (decades > 3.5) {
    return "set ytics\n";
  }
  const std::vector<double> mantissas =
      decades < 1 ? std::vector<double>{1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9} : std::vector<double>{1, 2, 5};
  std::vector<std::string> tics;
  const auto first = static_cast<int>(std::floor(std::log10(low)));
  const auto last = static_cast<int>(std::floor(std::log10(high)));
  for (int exponent = first; exponent <= last; ++exponent) {
    for (const double mantissa : mantissas) {
      tics.push_back(fmt::format("{:.6g}", mantissa * std::pow(10, exponent)));
    }
  }
  return fmt::format("set ytics ({})\n", fmt::join(tics, ", "));
}

/// Both ranges are set here: gnuplot cannot find its own when no value is drawable. A run that diverges
/// leaves through the top rather than squeezing the others.
std::string loss_ranges(const ExperimentResult& result) {
  double low = INFINITY;
  double high = 0;
  double start = 0;
  std::size_t steps = 1;
  const auto include = [&](double loss) {
    if (!drawable(loss)) {
      return;
    }
    low = std::min(low, loss);
    high = std::max(high, loss);
  };
  for (const VariantResult& variant : result.variants) {
    include(variant.floor.value_or(0));
    if (variant.runs.empty()) {
      continue;
    }
    const std::vector<double>& losses = variant.runs.front().losses;
    for (const double loss : losses) {
      include(loss);
    }
    if (losses.empty()) {
      continue;
    }
    steps = std::max(steps, losses.size() - 1);
    if (drawable(losses.front())) {
      start = std::max(start, losses.front());
    }
  }
  if (high == 0) {
    low = high = 1;
  }
  if (start > 0) {
    high = std::min(high, 100 * start);
  }
  low = std::min(low, high) / 1.4;
  high *= 1.4;
  return fmt::format("set xrange [{}:{}]\nset yrange [{:.6g}:{:.6g}]\n{}", -0.01 * static_cast<double>(steps),
                     steps, low, high, loss_tics(low, high));
}

/// The curves of the shown runs, then the floors.
std::vector<std::string> loss_curves(const ExperimentResult& result) {
  std::vector<std::string> curves;
  for (std::size_t i = 0; i < result.variants.size(); ++i) {
    const VariantResult& variant = result.variants[i];
    const std::string colour = kLineColours[i % std::size(kLineColours)];
    if (!variant.runs.empty()) {
      const RunRecord& run = variant.runs.front();
      if (std::any_of(run.losses.begin(), run.losses.end(), drawable)) {
        curves.push_back(
            fmt::format("'../loss.csv' using (strcol(1) eq {} && strcol(2) eq '{}' ? column(3) : "
                        "NaN):(drawable(column(4))) "
                        "with linespoints lc rgb '{}' lw curve_width pt {} ps mark_size pn {} title {}",
                        quoted(variant.variant), run.seed, colour, kPointTypes[i % std::size(kPointTypes)],
                        kMarks, quoted(variant.variant + ": " + ending(variant, "final loss "))));
      }
    }
  }
  // Last, in black: a curve that has arrived at its floor must not hide it.
  for (const VariantResult& variant : result.variants) {
    if (drawable(variant.floor.value_or(0))) {
      curves.push_back(
          fmt::format("{:.9g} with lines lc rgb 'black' lw floor_width dt (10,6) title {}", *variant.floor,
                      quoted(variant.variant + ": best possible loss " + number(variant.floor))));
    }
  }
  if (curves.empty()) {
    curves.emplace_back("NaN notitle");
  }
  return curves;
}

std::string loss_script(const ExperimentResult& result) {
  const auto curves = loss_curves(result);
  const int key_height = 20 * static_cast<int>(curves.size());
  return preamble("loss", 760, 440 + key_height) + R"(curve_width = 2
floor_width = 1.4
mark_size = 0.8
# Neither a log axis nor gnuplot's ranges have a place for 0, infinity or NaN.
drawable(x) = (x > 0 && x < 1e300) ? x : NaN

set datafile separator ','
set title 'Training loss'
set xlabel 'step'
set ylabel 'loss  ‖output − a × b‖₂'
set logscale y
set format y '%g'
set border 3 lc rgb '#404040'
set tics nomirror out
set grid xtics ytics lc rgb '#d8d8d8' lt 1 lw 0.5
set key below left vertical maxcols 1 Left reverse samplen 4 noenhanced
set rmargin 4
)" + loss_ranges(result) +
         fmt::format("\nplot {}\n", fmt::join(curves, ", \\\n     "));
}

// ---- panel.gp

constexpr std::int64_t kMostCells = 200;   // per side: larger images are averaged down, so scripts stay small
constexpr const char* kNoNumber = "1e99";  // gnuplot warns about 'nan' in a matrix, so it is told by this

struct Reduction {
  std::int64_t stride, cells;
  double pitch;  // distance between cells in pixels of the image
};

/// gnuplot draws no image of fewer than 2 × 2 cells: a single row or column is drawn as two halves.
Reduction reduction(std::int64_t pixels) {
  const std::int64_t stride = (pixels + kMostCells - 1) / kMostCells;
  if (pixels == 1) {
    return {1, 2, 0.5};
  }
  return {stride, (pixels + stride - 1) / stride, static_cast<double>(stride)};
}

/// Mean of a block of pixels, clamped to the scale; kNoNumber if any of them is NaN.
std::string cell(const Image& image, std::int64_t row, std::int64_t column, const ColourScale& scale) {
  const std::int64_t tall = reduction(image.height).stride;
  const std::int64_t wide = reduction(image.width).stride;
  const std::int64_t top = std::min(row * tall, image.height - 1);
  const std::int64_t left = std::min(column * wide, image.width - 1);
  double sum = 0;
  std::int64_t count = 0;
  for (std::int64_t y = top; y < std::min(top + tall, image.height); ++y) {
    for (std::int64_t x = left; x < std::min(left + wide, image.width); ++x, ++count) {
      sum += static_cast<double>(image.pixels[static_cast<std::size_t>(y * image.width + x)]);
    }
  }
  const double mean = sum / static_cast<double>(count);
  return std::isnan(mean) ? kNoNumber : fmt::format("{:.4g}", std::clamp(mean, scale.low, scale.high));
}

std::string data_block(const std::string& name, const Image& image, const ColourScale& scale) {
  std::string text = fmt::format("${} << EOD\n", name);
  for (std::int64_t row = 0; row < reduction(image.height).cells; ++row) {
    for (std::int64_t column = 0; column < reduction(image.width).cells; ++column) {
      if (column > 0) {
        text += ' ';
      }
      text += cell(image, row, column, scale);
    }
    text += '\n';
  }
  return text + "EOD\n";
}

std::string palette(const std::vector<Rgb>& colours) {
  std::vector<std::string> stops;
  for (std::size_t i = 0; i < colours.size(); ++i) {
    const auto& [red, green, blue] = colours[i];
    stops.push_back(fmt::format("{} '#{:02x}{:02x}{:02x}'", i, red, green, blue));
  }
  return fmt::format("set palette defined ({})\n", fmt::join(stops, ", "));
}

/// Where everything is, in CSS pixels from the top left.
struct Layout {
  int columns, bands;         // a band: a line of outputs with the line of their errors below it
  int box_width, box_height;  // room for one map
  int map_width, map_height;  // the map itself, shaped like the image (but never a hair)
  int left = 44, top = 34, gap = 26, line_gap = 64, bar_space = 86;

  int x(int column) const { return left + column * (box_width + gap); }
  int y(int line) const { return top + line * (box_height + line_gap); }
  int width() const { return x(columns) - gap + bar_space; }
  int height() const { return y(2 * bands) - line_gap + 34; }
};

Layout lay_out(const ExperimentResult& result) {
  const int maps = 3 + static_cast<int>(result.variants.size());
  const int columns = std::min(maps, 6);
  const int bands = (maps + columns - 1) / columns;
  const double aspect =
      static_cast<double>(result.header.a.height) / static_cast<double>(result.header.a.width);
  // A very long image leaves part of its box empty: titles, table and colour bar need the room.
  const double box_width = 210 * std::clamp(1 / aspect, 0.8, 1.0);
  const double box_height = 210 * std::clamp(aspect, 0.5, 1.0);
  const double map_width = std::min(box_width, box_height / aspect);
  const auto whole = [](double length) { return std::max(12, static_cast<int>(length)); };
  return {columns, bands, whole(box_width), whole(box_height), whole(map_width), whole(map_width * aspect)};
}

/// One map; with `bar`, the colour bar stands to its right.
std::string map(const Layout& layout, int column, int line, const std::string& block,
                const std::string& title, bool bar) {
  const int x = layout.x(column) + (layout.box_width - layout.map_width) / 2;
  const int y = layout.y(line);
  std::string text = fmt::format(
      "set lmargin at screen {}.0/width; set rmargin at screen {}.0/width\n"
      "set tmargin at screen 1 - {}.0/height; set bmargin at screen 1 - {}.0/height\n",
      x, x + layout.map_width, y, y + layout.map_height);
  text += bar ? fmt::format(
                    "set colorbox vertical user origin screen {}.0/width, screen 1 - {}.0/height "
                    "size screen 13.0/width, screen {}.0/height\n",
                    layout.x(column) + layout.box_width + 12, y + layout.box_height, layout.box_height)
              : "unset colorbox\n";
  text += fmt::format("set format y '{}'\nset title {}\n", column == 0 ? "%g" : "", quoted(title));
  return text +
         fmt::format("plot ${} matrix using (x($1)):(y($2)):(known($3)) with image notitle\n\n", block);
}

/// The numbers behind the maps, in the empty space below a, b and target.
std::string number_table(const ExperimentResult& result, const Layout& layout) {
  std::string text;
  const double line_height =
      std::min(24.0, layout.box_height / (2.0 + static_cast<double>(result.variants.size())));
  const double span = layout.x(2) + layout.box_width - layout.left;
  double y = layout.y(1) + line_height / 2;
  const auto add_line = [&](const std::vector<std::string>& words) {
    constexpr double kRightEnds[] = {0, 0.47, 0.73, 0.97};  // the first column is flush left
    for (std::size_t i = 0; i < words.size(); ++i) {
      text += fmt::format("set label {} at screen {:.1f}/width, screen 1 - {:.1f}/height {} noenhanced\n",
                          quoted(words[i]), layout.left + kRightEnds[i] * span, y, i == 0 ? "left" : "right");
    }
    y += line_height;
  };
  add_line({"variant", "loss", "best possible", "relative error"});
  text += fmt::format(
      "set arrow from screen {0}.0/width, screen 1 - {2:.1f}/height to screen {1:.1f}/width, "
      "screen 1 - {2:.1f}/height nohead lc rgb '#808080' lw 0.7\n",
      layout.left, layout.left + 0.97 * span, y - line_height / 2);
  for (const VariantResult& variant : result.variants) {
    const auto loss = shown_loss(variant);
    const double norm = result.header.target_norm;
    const bool relative = loss && std::isfinite(*loss) && norm > 0;
    add_line({variant.variant, number(loss), number(variant.floor),
              relative ? fmt::format("{:.1f} %", 100 * *loss / norm) : "–"});
  }
  add_line({"norm of a × b: " + number(result.header.target_norm)});
  return text;
}

std::string panel_data(const ExperimentResult& result) {
  const RunHeader& header = result.header;
  const ColourScale shared = shared_scale(header);
  const ColourScale errors = error_scale(result);
  std::string text = data_block("a", header.a, shared) + data_block("b", header.b, shared) +
                     data_block("target", header.target, shared);
  for (std::size_t i = 0; i < result.variants.size(); ++i) {
    const Image& output = result.variants[i].output;
    text += data_block(fmt::format("output{}", i + 1), output, shared);
    text += data_block(fmt::format("error{}", i + 1), error_map(output, header.target), errors);
  }
  return text;
}

std::string panel_settings(const Image& image, const Layout& layout) {
  const auto tic = [](std::int64_t pixels, int room) {  // at 0 and the middle, or at 0 alone
    return std::max<std::int64_t>(1, room < 60 ? 2 * pixels : pixels / 2);
  };
  const double wide = reduction(image.width).pitch;
  const double tall = reduction(image.height).pitch;
  return fmt::format(R"(
# From cells of the matrices to pixels of the image; row 0 is at the top.
x(column) = column * {0} + ({0} - 1) / 2.0
y(row) = row * {1} + ({1} - 1) / 2.0
known(v) = v > 1e98 ? NaN : v
set xrange [-0.5:{2}]
set yrange [{3}:-0.5]
set xtics 0,{4},{4} out nomirror scale 0.5 offset 0,0.3
set ytics 0,{5},{5} out nomirror scale 0.5 offset 0.5,0
set cbtics scale 0.4 offset -0.5,0
set border lc rgb '#404040' lw 0.7
set title offset 0,-0.5
unset key
# Shows through where a pixel is not a number.
set object 1 rectangle from graph 0,0 to graph 1,1 behind fc rgb '#808080' fs solid noborder

)",
                     wide, tall, static_cast<double>(image.width) - 0.5,
                     static_cast<double>(image.height) - 0.5, tic(image.width, layout.map_width),
                     tic(image.height, layout.map_height));
}

std::string panel_script(const ExperimentResult& result) {
  const Layout layout = lay_out(result);
  const ColourScale shared = shared_scale(result.header);
  const ColourScale errors = error_scale(result);
  const int count = static_cast<int>(result.variants.size());
  const auto column = [&](int i) { return (3 + i) % layout.columns; };
  const auto line = [&](int i) { return 2 * ((3 + i) / layout.columns); };
  const auto is_last = [&](int i) { return i == count - 1 || column(i) == layout.columns - 1; };
  std::string text = preamble("panel", layout.width(), layout.height()) + panel_data(result) +
                     panel_settings(result.header.a, layout) + number_table(result, layout) +
                     "\nset multiplot\n";
  text +=
      palette(sequential_colours) + fmt::format("set cbrange [{:.9g}:{:.9g}]\n\n", shared.low, shared.high);
  text += map(layout, 0, 0, "a", "a", false) + "unset label; unset arrow\n";
  text += map(layout, 1, 0, "b", "b", false);
  text += map(layout, 2, 0, "target", "target a × b", count == 0);
  for (int i = 0; i < count; ++i) {
    const VariantResult& variant = result.variants[static_cast<std::size_t>(i)];
    text += map(layout, column(i), line(i), fmt::format("output{}", i + 1),
                variant.variant + ": " + ending(variant, "loss "), is_last(i));
  }
  text +=
      palette(diverging_colours) + fmt::format("set cbrange [{:.9g}:{:.9g}]\n\n", errors.low, errors.high);
  for (int i = 0; i < count; ++i) {
    text += map(layout, column(i), line(i) + 1, fmt::format("error{}", i + 1),
                result.variants[static_cast<std::size_t>(i)].variant + ": output − target", is_last(i));
  }
  return text + "unset multiplot\n";
}

}  // namespace

std::vector<std::string> write_figures(const ExperimentResult& result,
                                       const std::vector<FigureFormat>& formats,
                                       const std::filesystem::path& directory) {
  if (formats.empty()) {
    return {};
  }
  std::filesystem::create_directories(directory / "figures");
  write_file(directory / "figures" / "loss.gp", loss_script(result));
  write_file(directory / "figures" / "panel.gp", panel_script(result));

  return draw({"loss", "panel"}, formats, directory);
}

}  // namespace conv_mult
