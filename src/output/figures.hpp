#pragma once

#include <filesystem>
#include <map>
#include "options/config.hpp"
#include "run/results.hpp"

namespace conv_mult {
/// Every figure that a result may have: loss, panel, distribution, heldout, grid, units, outcomes, price.
extern const std::vector<std::string> figure_names;

/// The scripts of the source tree's figures/, by name; CMake embeds them.
extern const std::map<std::string, std::string> figure_scripts;

/// Removes the scripts, tables and pictures that an earlier run left in `directory`, of all figures.
void remove_figures(const std::filesystem::path& directory);

/// Writes tables, and the scripts that read them, into `directory`/figures for the figures that apply to the result,
/// and has gnuplot draw NAME.* beside that folder in every format asked for: `distribution` for several seeds, `grid`
/// for a grid, `units` for several scenes, `outcomes` for several depths or widths and `price` for these beside another
/// variant, the others always. The result is complete: every row has a run of each seed, none was interrupted, no cell
/// of a grid is missing, and there are splits. What an earlier run left is removed. The scripts are run from within
/// figures/, so no path of the user's enters one. Each picture is drawn under a temporary name and renamed. Returns
/// one-line notes for the user (no gnuplot, gnuplot failed); throws std::runtime_error where a file cannot be written.
/// A stop_signal ends drawing early. Without a format, nothing is done.
std::vector<std::string> write_figures(const ExperimentResult& result, const std::vector<FigureFormat>& formats,
                                       const std::filesystem::path& directory);

/// Has gnuplot run `directory`/figures/NAME.gp for every name and format, all at once, and puts each picture into
/// `directory` as NAME.FORMAT: a whole new one or none. Returns one-line notes: why a picture is missing (no gnuplot,
/// its exit code, no font, a file without its end, 60 s without an end, or a stop_signal), and what gnuplot said while
/// it drew them.
std::vector<std::string> draw(const std::vector<std::string>& names, const std::vector<FigureFormat>& formats,
                              const std::filesystem::path& directory);
}  // namespace conv_mult
