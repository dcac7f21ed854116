#pragma once
// What programs read: the CSV files, summary.json, and the way back from them to the records.

#include <functional>
#include <string_view>
#include "options/config.hpp"
#include "run/results.hpp"
#include "util/files.hpp"

namespace conv_mult {
using Fields = std::vector<std::string_view>;

/// A file with a heading and then lines for every run, row by row in order of the seeds. Numbers have as few digits as
/// identify them in their type; a field is empty where there is no number, or none that is finite. Lines begin with
/// `variant,seed,`, and between the two `scene,`, `depth,width,` and `optimizer,learning_rate,`, each where there are
/// several.
struct CsvFile {
  const char* name;
  const char* columns;  ///< after these
  void (*append)(std::string& text, const std::string& begin, const RunRecord& run, const VariantResult& row,
                 const ExperimentResult& result);
  /// The inverse, of one line. Throws std::runtime_error for what is no number.
  void (*take)(RunRecord& run, const Fields& fields, const RunHeader& header);
};

/// All of them; runs.csv is the last, since whatever it names has to be in the others.
extern const std::vector<CsvFile> csv_files;

void write_csv(const CsvFile& file, const ExperimentResult& result, const Sink& sink);

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

/// What is read back of a summary.
struct Summary {
  ExperimentResult result;
  KnownFiles files;
};

/// The inverse, as far as it is not computed anew: of the header where the runs were made (device, threads, LibTorch),
/// dtype and names of scenes; of the rows their keys and times. Throws std::runtime_error that says in one line what is
/// wrong.
Summary parse_summary(const std::string& text);

/// Adds to the rows of `result`, which are those of a plan, what an earlier run of it left in `directory`: its finished
/// runs with curves, weights and split losses, the time that they took, and where they were made. runs.csv says which
/// runs are finished; the others may hold more, never less. Throws std::runtime_error that names the file where one is
/// missing or damaged.
void add_results(const std::filesystem::path& directory, ExperimentResult& result);

/// The settings in a config.toml.
using ReadSettings = std::function<Config(const std::filesystem::path&)>;

/// Where `directory` holds a run of other settings, the first that differs, or why they cannot be read.
std::optional<std::string> other_settings(const std::filesystem::path& directory, const Config& config,
                                          const ReadSettings& read);

/// For --resume: add_results where `directory` holds a run of these very settings, perhaps of fewer seeds, nothing
/// where it holds none. Throws UsageError where it holds another.
void add_earlier_run(const std::filesystem::path& directory, const Config& config, const ReadSettings& read,
                     ExperimentResult& result);

/// For merge: lets `config` have the seeds of all folders, which may be shards or neighbouring ranges.
void join_seeds(const std::vector<std::string>& folders, const ReadSettings& read, Config& config);

/// For merge: the runs of all folders, in order of their seeds. Throws UsageError where a folder was made with other
/// settings or a seed of `config` is in none or in two of them.
void add_shards(const std::vector<std::string>& folders, const Config& config, const ReadSettings& read,
                ExperimentResult& result);
}  // namespace conv_mult
