#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "conv_mult/config.hpp"
#include "conv_mult/results.hpp"

namespace conv_mult {

/// Every figure that a result may have: loss, panel, distribution, heldout, grid, units, outcomes, price.
extern const std::vector<std::string> figure_names;

/// Removes the scripts and pictures of figure_names that an earlier run left in `directory`.
void remove_figures(const std::filesystem::path& directory);

/// Writes figures/NAME.gp into `directory` for the figures that apply to the result, and has gnuplot draw
/// NAME.* beside that folder in every format asked for: `distribution` for several seeds, `grid` for a grid,
/// `units` for several scenes, `outcomes` for several depths or widths and `price` for these beside another
/// variant, the others always. The result is complete: every row has a run of each seed, none was
/// interrupted, no cell of a grid is missing, and there are splits. Scripts and pictures under figure_names
/// that an earlier run left and this one does not draw are removed. The scripts are run from within figures/,
/// so no path of the user's enters one. Each figure is drawn under a temporary name and renamed. Returns
/// one-line warnings for the user (no gnuplot, gnuplot failed); throws std::runtime_error where a file cannot
/// be written. Drawing ends early once `keep_going` is false. Without a format, nothing is done.
std::vector<std::string> write_figures(
    const ExperimentResult& result, const std::vector<FigureFormat>& formats,
    const std::filesystem::path& directory, const std::function<bool()>& keep_going = [] { return true; });

}  // namespace conv_mult
