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
std::string units_script(const ExperimentResult& result);
std::string outcomes_script(const ExperimentResult& result);
std::string price_script(const ExperimentResult& result);

/// Opening lines: `format` and `drawing` may be set from outside; otherwise a PNG is drawn. Width and height
/// are in CSS pixels: the PNG has twice as many, the PDF 72 to the inch. Text is 'noenhanced': '_' is just
/// '_'. `small` is a smaller font, `line` the height of a line of text, `dot` the unit of point sizes.
std::string preamble(const std::string& name, int width, int height);

/// Margins of the next plot: its box, in CSS pixels from the top left.
std::string place(int left, int top, int width, int height);

/// The colour bar of the next plots, likewise.
std::string colour_bar(int left, int top, int height);

/// A key at the bottom, and below the plot room for so many lines of text: its x axis' and the key's.
std::string key_below(double lines, int columns = 1);

/// $NAME with these lines.
std::string data_block(const std::string& name, const std::string& columns, const std::string& lines);

/// A single-quoted gnuplot string: nothing but the quote itself and line breaks is special in it.
std::string quote(const std::string& text);

/// The text with every `from` replaced by `to`.
std::string replaced(std::string text, const std::string& from, const std::string& to);

/// Four significant digits for readers; "–" for what does not exist or is not finite.
std::string number(const std::optional<double>& value);

/// Six significant digits for gnuplot; infinity as a number that any axis is too short for.
std::string datum(double value);

/// What the values on a log axis span. It has no place for 0, infinity or NaN: they are left out.
struct Range {
  double low = INFINITY, high = 0;

  void include(double value);

  /// With a margin; of some length even where nothing was included.
  Range widened() const;
};

/// Axis 'x' or 'y' over the widened range, so many CSS pixels long. The script's inside(x) moves what is
/// beyond to the ends.
std::string log_axis(char axis, const Range& range, int length);

/// `set xtics` or the like: each text at its place, from 1 on.
std::string text_tics(const std::string& axis, const std::vector<std::string>& texts);

/// Width of the widest line of a text, in CSS pixels and on the safe side, and how many lines it has.
int text_width(const std::string& text);
int text_lines(const std::string& text);

/// What to draw of a spread that may be missing: NaN where there is nothing, infinity where a quantile lies
/// between two infinite values.
Spread drawable(const std::optional<Spread>& spread);

/// Evenly spaced colours over the scale.
std::string palette(const std::vector<Rgb>& colours, const ColourScale& scale);

/// "3 diverged", "12 dead": what befell runs of this row, nothing where nothing did.
std::vector<std::string> mishaps(const VariantResult& row);

/// The rows of the first scene, and of them the best of every variant: those that all figures about one scene
/// show but `distribution` and `grid`.
std::vector<const VariantResult*> first_scene_rows(const ExperimentResult& result);
std::vector<const VariantResult*> best_rows(const ExperimentResult& result);

/// What the loss is, for an axis.
std::string loss_label(const ExperimentResult& result);

/// " on rectangles": the first scene, where there are others.
std::string on_first_scene(const ExperimentResult& result);

/// What a run has to reach for success.
std::string success_text(const SceneResult& scene);

/// What is in a split, on short lines.
std::string split_text(const SceneResult& scene, const Split& split);

/// The loss of an output of 0 on the first scene.
double vanished_loss(const ExperimentResult& result);

/// All that is in this field of the rows, in order of appearance.
std::vector<std::string> distinct(const ExperimentResult& result, std::string VariantResult::*field);

/// The colour (0xRRGGBB) and gnuplot's point type of the row's variant, the same in every figure.
std::pair<std::uint32_t, int> mark(const ExperimentResult& result, const VariantResult& row);

}  // namespace conv_mult
