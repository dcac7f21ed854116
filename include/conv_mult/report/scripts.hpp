#pragma once
// What the gnuplot scripts of all figures share. Only the figures' own sources include this.

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "conv_mult/report/images.hpp"
#include "conv_mult/results.hpp"

namespace conv_mult {

/// The whole text of figures/NAME.gp, data included.
std::string loss_script(const ExperimentResult& result);
std::string panel_script(const ExperimentResult& result);
std::string distribution_script(const ExperimentResult& result);
std::string heldout_script(const ExperimentResult& result);
std::string grid_script(const ExperimentResult& result);

/// Opening lines: `format` and `drawing` may be set from outside; otherwise a PNG is drawn. Width and height
/// are in CSS pixels: the PNG has twice as many, the PDF 72 to the inch. Text is 'noenhanced': '_' is just
/// '_'. `small` is a smaller font, `line` the height of a line of text, `dot` the unit of point sizes.
std::string preamble(const std::string& name, int width, int height);

/// Margins of the next plot: its box, in CSS pixels from the top left.
std::string place(int left, int top, int width, int height);

/// The colour bar of the next plots, likewise.
std::string colour_bar(int left, int top, int height);

/// A key at the bottom, and below the plot room for so many lines of text: its x axis' and the key's.
std::string key_below(double lines);

/// $NAME with these lines.
std::string data_block(const std::string& name, const std::string& columns, const std::string& lines);

/// A single-quoted gnuplot string: nothing but the quote itself and line breaks is special in it.
std::string quote(const std::string& text);

/// Four significant digits for readers; "–" for what does not exist or is not finite.
std::string number(const std::optional<double>& value);

/// Six significant digits for gnuplot; infinity as a number that any axis is too short for.
std::string datum(double value);

/// What the values on a log axis span. It has no place for 0, infinity or NaN: they are left out.
struct Range {
  double low = INFINITY, high = 0;

  void include(double value);
};

/// Axis 'x' or 'y' over the range and a margin. The script's inside(x) moves what is beyond to the ends.
std::string log_axis(char axis, const Range& range);

/// Evenly spaced colours over the scale.
std::string palette(const std::vector<Rgb>& colours, const ColourScale& scale);

/// "3 diverged", "12 dead": what befell runs of this row, nothing where nothing did.
std::vector<std::string> mishaps(const VariantResult& row);

/// The best row of every variant: those that all figures but `distribution` and `grid` show.
std::vector<const VariantResult*> best_rows(const ExperimentResult& result);

/// All that is in this field of the rows, in order of appearance.
std::vector<std::string> distinct(const ExperimentResult& result, std::string VariantResult::*field);

/// The colour (0xRRGGBB) and gnuplot's point type of the row's variant, the same in every figure.
std::pair<std::uint32_t, int> mark(const ExperimentResult& result, const VariantResult& row);

}  // namespace conv_mult
