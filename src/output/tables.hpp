#pragma once

#include "run/results.hpp"

namespace conv_mult {
/// "0.25 s", "2 min 5 s".
std::string time_text(double seconds);

/// How a terminal wants it.
struct TableStyle {
  std::size_t width =
      0;                ///< columns of it, in favour of which the least important of the table go; 0: as many as needed
  bool colour = false;  ///< whether escape sequences mark the best of each column
};

/// The table on stdout, one for each scene: a line per row, with the floor, the errors on held-out scenes and, of many
/// seeds, statistics. A column that would say nothing of any row is left out.
std::string result_table(const ExperimentResult& result, const TableStyle& style = {});

/// What a row's numbers say, in a sentence: whether it is at its floor, fits what it was trained on, multiplies on
/// scenes that it never saw, and how far it is off; of many seeds in how many, with the 95 % interval:
///   at its limit     the median loss is at most 1 % above a floor that is not 0;
///   fits, multiplies more than half of the seeds succeed on the split that is judged, and on every split.
std::string verdict(const VariantResult& row, const ExperimentResult& result);

/// The verdicts on all rows, a line for each.
std::string verdicts(const ExperimentResult& result);
}  // namespace conv_mult
