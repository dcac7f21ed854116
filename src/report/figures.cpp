#include "conv_mult/report/figures.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "conv_mult/files.hpp"
#include "conv_mult/report/gnuplot.hpp"
#include "conv_mult/report/scripts.hpp"

namespace conv_mult {
namespace {

// Okabe & Ito's colours without yellow, which is too pale for a line on white, then a grey and a purple.
constexpr std::uint32_t kColours[] = {0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00,
                                      0x56B4E9, 0x000000, 0x999999, 0x882255};
constexpr int kPointTypes[] = {7, 5, 9, 13, 11, 6, 2, 4, 15};  // ● ■ ▲ ◆ ▼ ○ × □ ⬟: tells them apart in grey

/// 10⁶.
std::string power_of_ten(int exponent) {
  const char* const superscripts[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = exponent < 0 ? "10⁻" : "10";
  for (const char digit : std::to_string(std::abs(exponent))) {
    text += superscripts[digit - '0'];
  }
  return text;
}

}  // namespace

const std::vector<std::string> figure_names{"loss", "panel", "distribution", "heldout",
                                            "grid", "units", "outcomes",     "price"};

std::string preamble(const std::string& name, int width, int height) {
  return fmt::format(R"(# Drawn by conv_mult. By hand, in this folder: gnuplot {0}.gp
# or in another format: gnuplot -e "format='pdf'" {0}.gp
if (!exists("format")) format = 'png'
if (!exists("drawing")) drawing = '../{0}.' . format
width = {1}
height = {2}
font = 'DejaVu Sans'
points = format eq 'svg' ? 13 : 10
dot = format eq 'svg' ? 0.55 : 1  # the SVG's points are larger
small = sprintf('%s,%.1f', font, 0.85 * points)
line = format eq 'svg' ? 20 : 15.5
set encoding utf8
if (format eq 'png') set terminal pngcairo noenhanced size 2*width,2*height font font.',10' fontscale 2 linewidth 2 background rgb 'white'
if (format eq 'svg') set terminal svg noenhanced size width,height font font.',13' linewidth 1 background rgb 'white'
if (format eq 'pdf') set terminal pdfcairo noenhanced size width/72.0,height/72.0 font font.',10' fontscale 1 linewidth 1.6 background rgb 'white'
set output drawing

set border lc rgb '#404040'
set tics nomirror out scale 0.5
set pointintervalbox 0.01  # no halo between a point and its error bar
unset key
)",
                     name, width, height);
}

std::string place(int left, int top, int width, int height) {
  return fmt::format(
      "set lmargin at screen {}.0/width; set rmargin at screen {}.0/width\n"
      "set tmargin at screen 1 - {}.0/height; set bmargin at screen 1 - {}.0/height\n",
      left, left + width, top, top + height);
}

std::string colour_bar(int left, int top, int height) {
  return fmt::format(
      "set colorbox vertical user origin screen {}.0/width, screen 1 - {}.0/height "
      "size screen 13.0/width, screen {}.0/height\n",
      left, top + height, height);
}

std::string key_below(double lines, int columns) {
  return fmt::format(
      "set bmargin at screen (16.0 + {} * line)/height\nset rmargin 4\n"
      "set key at graph 0, screen 10.0/height left bottom horizontal maxcols {} Left reverse samplen {}\n",
      lines, columns, columns > 1 ? 1 : 4);
}

std::string data_block(const std::string& name, const std::string& columns, const std::string& lines) {
  const char* const none = "nan nan nan nan nan\n";  // gnuplot warns about a block without a line
  return fmt::format("# {}\n${} << EOD\n{}EOD\n", columns, name, lines.empty() ? none : lines);
}

std::string quote(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    result += c == '\'' ? "''" : c == '\n' ? R"('."\n".')" : std::string(1, c);
  }
  return result + "'";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string number(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? fmt::format("{:.4g}", *value) : "–";
}

std::string datum(double value) { return fmt::format("{:.6g}", std::clamp(value, -1e300, 1e300)); }

void Range::include(double value) {
  if (value > 0 && value < 1e300) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
}

Range Range::widened() const { return high > 0 ? Range{low / 1.4, high * 1.4} : Range{0.5, 2}; }

std::string log_axis(char axis, const Range& range, int length) {
  const auto [low, high] = range.widened();
  const double decades = std::log10(high / low);
  const double decade = length / decades;      // in pixels
  const double label = axis == 'x' ? 44 : 22;  // and the room that one takes
  const int stride = static_cast<int>(std::ceil(1.6 * label / decade));
  std::vector<double> mantissas{1};
  for (const auto& [closest, more] : {std::pair{0.301, std::vector<double>{1, 2, 5}},
                                      {0.125, {1, 1.5, 2, 3, 5, 7}},
                                      {0.0458, {1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9}}}) {  // log10 of 10 / 9
    mantissas = closest * decade >= label ? more : mantissas;
  }
  std::vector<std::string> tics;
  for (auto power = static_cast<int>(std::floor(std::log10(low))); power <= std::log10(high); ++power) {
    for (const double mantissa : mantissas) {
      const double value = mantissa * std::pow(10, power);
      if (power % stride == 0) {
        const std::string factor = mantissa == 1 ? "" : fmt::format("{}·", mantissa);
        const auto text = std::abs(power) <= 3 ? number(value) : factor + power_of_ten(power);
        tics.push_back(fmt::format("'{}' {:.6g}", text, value));
      }
    }
  }
  return fmt::format(R"(low = {1:.6g}
high = {2:.6g}
inside(x) = x < low ? low : x > high ? high : x
set logscale {0}
set {0}range [low:high]
set {0}tics ({3})
set grid {0}tics lc rgb '#e0e0e0' lt 1 lw 0.5
)",
                     axis, low, high, fmt::join(tics, ", "));
}

std::string text_tics(const std::string& axis, const std::vector<std::string>& texts) {
  std::vector<std::string> tics;
  tics.reserve(texts.size());
  for (const std::string& text : texts) {
    tics.push_back(fmt::format("{} {}", quote(text), tics.size() + 1));
  }
  return fmt::format("set {}tics scale 0 ({})\n", axis, fmt::join(tics, ", "));
}

int text_width(const std::string& text) {
  std::size_t widest = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    widest = std::max(widest, end - begin);
    begin = end + 1;
  }
  return static_cast<int>(7.6 * static_cast<double>(widest));
}

int text_lines(const std::string& text) {
  return 1 + static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

Spread drawable(const std::optional<Spread>& spread) {
  Spread drawn = spread.value_or(Spread{NAN, NAN, NAN, NAN, NAN});
  for (double* value : {&drawn.median, &drawn.q1, &drawn.q3}) {
    *value = std::isnan(*value) ? drawn.max : *value;
  }
  return drawn;
}

std::string palette(const std::vector<Rgb>& colours, const ColourScale& scale) {
  std::vector<std::string> stops;
  for (std::size_t i = 0; i < colours.size(); ++i) {
    const auto& [red, green, blue] = colours[i];
    stops.push_back(fmt::format("{} '#{:02x}{:02x}{:02x}'", i, red, green, blue));
  }
  return fmt::format("set palette defined ({})\nset cbrange [{:.9g}:{:.9g}]\n", fmt::join(stops, ", "),
                     scale.low, scale.high);
}

std::vector<std::string> mishaps(const VariantResult& row) {
  std::vector<std::string> texts;
  for (const auto& [runs, what] :
       {std::pair{row.statistics.diverged, "diverged"}, {row.statistics.dead, "dead"}}) {
    if (runs > 0) {
      texts.push_back(row.runs.size() == 1 ? what : fmt::format("{} {}", runs, what));
    }
  }
  return texts;
}

std::vector<const VariantResult*> first_scene_rows(const ExperimentResult& result) {
  std::vector<const VariantResult*> rows;
  for (const VariantResult& row : result.variants) {
    if (row.scene == 0) {
      rows.push_back(&row);
    }
  }
  return rows;
}

std::vector<const VariantResult*> best_rows(const ExperimentResult& result) {
  auto rows = first_scene_rows(result);
  rows.erase(std::remove_if(rows.begin(), rows.end(), [](const auto* row) { return !row->best; }),
             rows.end());
  return rows;
}

std::string loss_label(const ExperimentResult& result) {
  return result.header.loss == "mse" ? "mean squared error of the output" : "loss  ‖output − a × b‖₂";
}

std::string on_first_scene(const ExperimentResult& result) {
  const auto& scenes = result.header.scenes;
  return scenes.size() > 1 ? " on " + scenes.front().name : "";
}

std::string success_text(const SceneResult& scene) {
  return scene.success_error ? fmt::format("relative error ≤ {:.3g} %", 100 * *scene.success_error)
                             : "a near-exact product";
}

std::string split_text(const SceneResult& scene, const Split& split) {
  if (split.name == "outside") {
    return "the test range,\n" + replaced(scene.test, " and ", "\nand ");
  }
  return split.name == "train"    ? "the scene\ntrained on"
         : split.name == "inside" ? "same range,\ndrawn anew"
         : split.name == "moved"  ? "same values,\nother places"
         : split.name == "values" ? "same places,\nother values"
         : split.name == "both"   ? "other places\nand values"
                                  : split.name;
}

double vanished_loss(const ExperimentResult& result) {
  const Split& split = result.header.scenes.front().splits.front();
  return result.header.loss == "mse" ? split.target_norm * split.target_norm / split.pixels
                                     : split.target_norm;
}

std::vector<std::string> distinct(const ExperimentResult& result, std::string VariantResult::*field) {
  std::vector<std::string> values;
  for (const VariantResult& row : result.variants) {
    if (std::find(values.begin(), values.end(), row.*field) == values.end()) {
      values.push_back(row.*field);
    }
  }
  return values;
}

std::pair<std::uint32_t, int> mark(const ExperimentResult& result, const VariantResult& row) {
  const auto names = distinct(result, &VariantResult::variant);
  const auto i = static_cast<std::size_t>(std::find(names.begin(), names.end(), row.variant) - names.begin());
  return {kColours[i % std::size(kColours)], kPointTypes[i % std::size(kPointTypes)]};
}

void remove_figures(const std::filesystem::path& directory) {
  for (const std::string& name : figure_names) {
    std::filesystem::remove(directory / "figures" / (name + ".gp"));
    for (const FigureFormat format : all_figure_formats) {
      std::filesystem::remove(directory / fmt::format("{}.{}", name, to_string(format)));
    }
  }
}

std::vector<std::string> write_figures(const ExperimentResult& result,
                                       const std::vector<FigureFormat>& formats,
                                       const std::filesystem::path& directory,
                                       const std::function<bool()>& keep_going) {
  if (formats.empty()) {
    return {};
  }
  remove_figures(directory);
  std::filesystem::create_directories(directory / "figures");
  std::vector<std::string> names;
  const auto add = [&](const char* name, std::string (*script)(const ExperimentResult&)) {
    write_file(directory / "figures" / fmt::format("{}.gp", name), script(result));
    names.emplace_back(name);
  };
  add("loss", loss_script);
  add("panel", panel_script);
  add("heldout", heldout_script);
  if (result.header.seeds > 1) {
    add("distribution", distribution_script);
  }
  if (result.grid) {
    add("grid", grid_script);
  }
  if (result.header.scenes.size() > 1) {
    add("units", units_script);
  }
  if (result.sizes) {
    add("outcomes", outcomes_script);
    if (distinct(result, &VariantResult::variant).size() > 1) {
      add("price", price_script);
    }
  }
  return draw(names, formats, directory, keep_going);
}

}  // namespace conv_mult
