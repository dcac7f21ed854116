#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conv_mult/results.hpp"

namespace conv_mult {

/// What the lines of a run begin with in the CSV files: `variant,seed,`, and between the two `scene,`,
/// `depth,width,` and `optimizer,learning_rate,`, each where there are several.
std::string csv_key(const ExperimentResult& result, const VariantResult& row, const RunRecord& run);

/// The CSV files while they grow: runs are appended as they finish. Numbers have as few digits as identify
/// them in their type.
class CsvFiles {
 public:
  /// Adds what the files do not hold yet.
  void append(const ExperimentResult& result);

  const std::string& loss() const { return loss_; }              ///< ...,step,loss
  const std::string& evaluation() const { return evaluation_; }  ///< ...,split,loss,relative_error
  const std::string& weights() const { return weights_; }        ///< ...,index,value

 private:
  std::string loss_, evaluation_, weights_;
  std::vector<std::size_t> written_;  ///< runs of each row
};

/// A file beside summary.json, which says what it holds so that damage is found.
struct NamedText {
  const char* name;
  std::string_view text;
};

/// summary.json: a value that does not exist, or is not finite, is null, never 0 or NaN. Its last line but
/// one is the checksum of those before.
std::string summary_json(const ExperimentResult& result, const std::vector<NamedText>& files = {});

/// Whether the checksum in a text of summary_json is that of the text.
bool is_intact(const std::string& summary);

/// The table on stdout, one for each scene: a line per row, with the floor, the errors on held-out scenes,
/// and either the outcome of one seed or the statistics of many; below it the paired comparisons.
std::string result_table(const ExperimentResult& result);

}  // namespace conv_mult
