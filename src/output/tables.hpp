#pragma once

#include <string_view>
#include <utility>

#include "run/results.hpp"

namespace conv_mult {

/// What the lines of a run begin with in the CSV files: `variant,seed,`, and between the two `scene,`, `depth,width,`
/// and `optimizer,learning_rate,`, each where there are several. This is the part of the row.
std::string csv_key(const ExperimentResult& result, const VariantResult& row);

/// The CSV files while they grow: runs are appended as they finish. Numbers have as few digits as identify them in
/// their type; a field is empty where there is no number, or none that is finite.
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

/// The table on stdout, one for each scene: a line per row, with the floor, the errors on held-out scenes, and either
/// the outcome of one seed or the statistics of many; below it the paired comparisons.
std::string result_table(const ExperimentResult& result);

/// A file beside summary.json, which says what it holds so that damage is found.
struct NamedText {
  const char* name;
  std::string_view text;
};

/// summary.json, of the rows that are begun: a value that does not exist, or is not finite, is null, never 0 or NaN.
/// Its last line but one is the checksum of those before.
std::string summary_json(const ExperimentResult& result, const std::vector<NamedText>& files = {});

/// Whether the checksum in a text of summary_json is that of the text.
bool is_intact(const std::string& summary);

/// What summary.json says of a file beside it.
struct KnownFile {
  std::size_t bytes = 0;
  std::string checksum;
};

/// What is read back of a summary.
struct Summary {
  ExperimentResult result;
  std::vector<std::pair<std::string, KnownFile>> files;
};

/// The inverse, as far as it is not computed anew: of the header where the runs were made (device, threads, LibTorch),
/// dtype and names of scenes; the rows with their finished runs, without curves, weights and errors. Throws
/// std::runtime_error that says in one line what is wrong.
Summary parse_summary(const std::string& text);

}  // namespace conv_mult
