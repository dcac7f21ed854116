#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "conv_mult/config.hpp"
#include "conv_mult/results.hpp"

namespace conv_mult {

/// Writes figures/loss.gp and figures/panel.gp into `directory` and has gnuplot draw loss.* and panel.*
/// beside them in every format asked for. loss.gp reads ../loss.csv; panel.gp carries its own data. Both are
/// run from within figures/, so no path of the user's enters a script. Each figure is drawn under a temporary
/// name and renamed. Returns one-line warnings for the user (no gnuplot, gnuplot failed); throws
/// std::runtime_error where a file cannot be written.
std::vector<std::string> write_figures(const ExperimentResult& result,
                                       const std::vector<FigureFormat>& formats,
                                       const std::filesystem::path& directory);

}  // namespace conv_mult
