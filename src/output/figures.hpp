#pragma once
// Pictures: heat maps by stb, figures by gnuplot.

#include "options/config.hpp"
#include "run/results.hpp"

namespace conv_mult {
/// Every figure that a result may have, in the order of the page.
extern const std::vector<std::string> figure_names;

/// The scripts of the source tree's figures/, and page/report.html, by name; CMake embeds them.
extern const std::map<std::string, std::string> figure_scripts;

/// Removes the scripts, tables and pictures that an earlier run left in `directory`, of all figures.
void remove_figures(const std::filesystem::path& directory);

using Notes = std::set<std::string>;  ///< for the user, each once

/// Writes the heat maps and, where formats are asked for, tables and the scripts that read them into
/// `directory`/figures for the figures that apply to the result, and has gnuplot draw NAME.* beside that folder:
/// `distribution` for several seeds, `grid` for a grid, `units` for several scenes, `outcomes` for several depths or
/// widths and `price` for these beside another variant, the others always. The result is complete: every row has a run
/// of each seed, none was interrupted, no cell of a grid is missing, and there are splits. No path of the user's enters
/// a script. Each picture is drawn under a temporary name and renamed. Returns why a picture is missing (no gnuplot,
/// its exit code, no font, no end of the file, over 60 s, a stop_signal before) and what it said; throws runtime_error.
Notes write_pictures(const ExperimentResult& result, const std::vector<FigureFormat>& formats,
                     const std::filesystem::path& directory);

using Rgb = std::array<std::uint8_t, 3>;

/// Colour maps as evenly spaced stops, interpolated linearly in sRGB; the heat maps and gnuplot share them.
/// `sequential` is viridis (van der Walt & Smith 2015): its luminance rises steadily, so it survives grey print.
/// `diverging` runs blue - white - red: zero is white.
extern const std::vector<Rgb> sequential_colours;
extern const std::vector<Rgb> diverging_colours;

/// The scale that `a`, `b`, `target` and every output share. It spans a, b and target (what the model should produce),
/// so one wild output cannot wash the others out; values beyond it are clamped to the end colours.
Interval shared_scale(const SceneResult& scene);

/// The image with at most `most` pixels a side: beyond that, the means of square blocks of pixels.
at::Tensor averaged(const at::Tensor& image, std::int64_t most);

/// Symmetric about 0 over all finite errors of all variants; [-1, 1] where every error is 0.
Interval error_scale(const ExperimentResult& result);

/// The colour of `value`, clamped to the scale, over which the map is spread; NaN is mid-grey.
Rgb colour_of(double value, const Interval& scale, const std::vector<Rgb>& colours);

/// Of the first scene: writes a.png, b.png, target.png and output-V.png, error-V.png per variant (its best row) into
/// `directory`, each pixel enlarged by a whole factor to about 400 px, averaged down from 1024 px on; of the user's own
/// images output-V.npy, too. Throws std::runtime_error on I/O errors.
void write_heat_maps(const ExperimentResult& result, const std::filesystem::path& directory);

/// Writes report.html, which needs no other file: page/report.html with summary.json, config.toml, the table of rows
/// with runs, and the SVG figures, as far as they are in `directory`. Throws std::runtime_error on I/O errors.
void write_report(const ExperimentResult& result, const std::filesystem::path& directory);
}  // namespace conv_mult
