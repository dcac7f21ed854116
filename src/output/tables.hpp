#pragma once

#include <string_view>
#include <utility>

#include "run/results.hpp"
#include "util/files.hpp"

namespace conv_mult {

/// What the lines of a run begin with in the CSV files: `variant,seed,`, and between the two `scene,`, `depth,width,`
/// and `optimizer,learning_rate,`, each where there are several. This is the part of the row.
std::string csv_key(const ExperimentResult& result, const VariantResult& row);

/// A file with a heading and then lines for every run, row by row in order of the seeds. Numbers have as few digits as
/// identify them in their type; a field is empty where there is no number, or none that is finite.
struct CsvFile {
  const char* name;
  const char* columns;  ///< after those of the key and the seed, which begin each line
  void (*append)(std::string& text, const std::string& begin, const RunRecord& run, const VariantResult& row,
                 const ExperimentResult& result);
};

/// All of them; runs.csv is the last, since whatever it names has to be in the others.
extern const std::vector<CsvFile> csv_files;

void write_csv(const CsvFile& file, const ExperimentResult& result, const Sink& sink);

/// The table on stdout, one for each scene: a line per row, with the floor, the errors on held-out scenes, and either
/// the outcome of one seed or the statistics of many; below it the paired comparisons.
std::string result_table(const ExperimentResult& result);

/// What summary.json says of a file beside it, so that damage is found: its checksum, and that which it has until it is
/// renamed, a moment after.
struct KnownFile {
  std::string checksum;
  std::optional<std::string> before = {};
};
using KnownFiles = std::vector<std::pair<std::string, KnownFile>>;

/// summary.json, of the rows that are begun: a value that does not exist, or is not finite, is null, never 0 or NaN.
/// Its last line but one is the checksum of those before.
std::string summary_json(const ExperimentResult& result, const KnownFiles& files = {});

/// Whether the checksum in a text of summary_json is that of the text.
bool is_intact(const std::string& summary);

/// What is read back of a summary.
struct Summary {
  ExperimentResult result;
  KnownFiles files;
};

/// The inverse, as far as it is not computed anew: of the header where the runs were made (device, threads, LibTorch),
/// dtype and names of scenes; the rows with their finished runs, without curves, weights and errors. Throws
/// std::runtime_error that says in one line what is wrong.
Summary parse_summary(const std::string& text);

}  // namespace conv_mult
