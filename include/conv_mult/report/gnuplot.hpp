#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "conv_mult/config.hpp"

namespace conv_mult {

/// Has gnuplot run `directory`/figures/NAME.gp for every name and format, all at once, and puts each figure
/// into `directory` as NAME.FORMAT: a whole new one or none. Returns one-line reasons for those that are
/// missing: no gnuplot, a word of gnuplot's on its output, a file without its end (the disk is full), 60 s
/// without an end, or `keep_going` has become false.
std::vector<std::string> draw(const std::vector<std::string>& names, const std::vector<FigureFormat>& formats,
                              const std::filesystem::path& directory,
                              const std::function<bool()>& keep_going);

}  // namespace conv_mult
