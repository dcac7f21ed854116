#include "conv_mult/report/figures.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "conv_mult/report/files.hpp"
#include "conv_mult/report/gnuplot.hpp"
#include "conv_mult/report/scripts.hpp"

namespace conv_mult {
namespace {

// Okabe & Ito's colours, darkest first; yellow is left out, it is too pale for a line on white.
constexpr std::uint32_t kColours[] = {0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7,
                                      0xE69F00, 0x56B4E9, 0x000000, 0x7F7F7F};
constexpr int kPointTypes[] = {7, 5, 9, 13, 6, 4, 8, 12};  // ● ■ ▲ ◆, then hollow: tells them apart in grey

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

const std::vector<std::string> figure_names{"loss", "panel", "distribution", "heldout", "grid"};

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

std::string key_below(double lines) {
  return fmt::format(
      "set bmargin at screen (16.0 + {} * line)/height\nset rmargin 4\n"
      "set key at graph 0, screen 10.0/height left bottom vertical maxcols 1 Left reverse samplen 4\n",
      lines);
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

std::string log_axis(char axis, const Range& range) {
  const double low = range.high > 0 ? range.low / 1.4 : 0.5;
  const double high = range.high > 0 ? range.high * 1.4 : 2;
  const double decades = std::log10(high / low);
  const int stride = static_cast<int>(std::ceil(decades / 7));  // so many decades have labels
  const std::vector<double> mantissas = decades < 1     ? std::vector<double>{1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9}
                                        : decades < 3.5 ? std::vector<double>{1, 2, 5}
                                                        : std::vector<double>{1};
  std::vector<std::string> tics;
  for (auto power = static_cast<int>(std::floor(std::log10(low))); power <= std::log10(high); ++power) {
    for (const double mantissa : mantissas) {
      const double value = mantissa * std::pow(10, power);
      const bool plain = decades < 3.5 || std::abs(power) <= 3;
      if (power % stride == 0) {
        tics.push_back(fmt::format("'{}' {:.6g}", plain ? number(value) : power_of_ten(power), value));
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

std::vector<const VariantResult*> best_rows(const ExperimentResult& result) {
  std::vector<const VariantResult*> rows;
  for (const VariantResult& row : result.variants) {
    if (row.best) {
      rows.push_back(&row);
    }
  }
  return rows;
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
                                       const std::filesystem::path& directory) {
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
  return draw(names, formats, directory);
}

}  // namespace conv_mult
