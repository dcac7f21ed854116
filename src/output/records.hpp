#pragma once
// What is told of a result: the table, the CSV files, summary.json, their folder, and the way back to the records.

#include <nlohmann/ordered_map.hpp>
#include "run/results.hpp"
#include "util/files.hpp"

namespace conv_mult {
using Fields = std::vector<std::string_view>;
using Buffer = fmt::memory_buffer;

/// A file with a heading and then lines for every run, row by row in order of the seeds. Numbers have as few digits as
/// identify them in their type; a field is empty where there is no finite number. Lines begin with `variant,seed,`, and
/// between the two `scene,`, `depth,width,` and `optimizer,learning_rate,`, each where there are several.
struct CsvFile {
  const char* name;
  const char* columns;  ///< after these
  /// `single`: losses and weights are float32.
  void (*append)(Buffer& text, const std::string& begin, const RunRecord& run, const SceneResult& scene, bool single);
  void (*take)(RunRecord& run, const Fields& fields, bool single);  ///< the inverse, of a line from `seed` on
};

/// All of them; runs.csv is the last, since whatever it names has to be in the others.
extern const std::vector<CsvFile> csv_files;

void write_csv(const CsvFile& file, const ExperimentResult& result, const Sink& sink);

/// What summary.json says of a file beside it: its checksum, and that which it has until it is renamed, a moment after.
struct KnownFile {
  std::string checksum;
  std::optional<std::string> before = {};
};
using KnownFiles = nlohmann::ordered_map<std::string, KnownFile>;

/// summary.json, of the rows that are begun: a value that does not exist, or is not finite, is null, never 0 or NaN.
/// Its last line but one is the checksum of those before.
std::string summary_json(const ExperimentResult& result, const KnownFiles& files = {});

/// What is read back of a summary.
struct Summary {
  std::vector<VariantResult> rows;
  KnownFiles files;
};

/// The inverse, without statistics. Throws std::exception that says in one line what is wrong.
Summary parse_summary(const std::string& text);

/// Adds to the rows of `result`, which are those of a plan, what an earlier run of it left in `directory`: its finished
/// runs, and the time that they took. runs.csv says which are finished; the others may hold more, never less.
/// `interrupted_too`: with what there is of the others, for those who do not train them. Throws std::runtime_error that
/// names the file where one is missing or damaged. Returns what summary.json says of the files.
KnownFiles add_results(const std::filesystem::path& directory, ExperimentResult& result, bool interrupted_too = false);

/// The settings in a config.toml.
using ReadSettings = std::function<Config(const std::filesystem::path&)>;

/// Where `directory` holds a run of other settings, the first that differs, or why they cannot be read.
std::optional<std::string> other_settings(const std::filesystem::path& directory, const Config& config,
                                          const ReadSettings& read);

/// For --resume: add_results where `directory` holds a run of these very settings, perhaps of fewer seeds, nothing
/// where it holds none. Throws UsageError where it holds another.
KnownFiles add_earlier_run(const std::filesystem::path& directory, const Config& config, const ReadSettings& read,
                           ExperimentResult& result);

/// For merge: the runs of all folders, in order of their seeds. Throws UsageError where a folder was made with other
/// settings or a seed of `config` is in none or in two of them.
void add_shards(const std::vector<std::string>& folders, const Config& config, const ReadSettings& read,
                ExperimentResult& result);

/// --out, and the numbers in it. Throws std::runtime_error that names the path and the reason.
class OutputFolder {
 public:
  /// Creates the folder where it is missing and proves that a file can be written there, leaving none behind. If
  /// `alone`, takes the folder for this process (flock: whatever ends the process gives it back) and removes what runs
  /// that were killed left unfinished. `settings` is the text of config.toml.
  OutputFolder(std::filesystem::path path, std::string settings, bool alone);

  /// Why another run would not be noticed: many a file system cannot lock. Empty where it would be.
  const std::string& unlocked() const { return unlocked_; }

  /// The run in the folder, of these files, is this one: its tables stay until better ones take their place.
  void go_on(KnownFiles known) { known_ = std::move(known); }

  /// summary.json and the CSV files with all runs so far, runs.csv last: whatever it names is in the others. The first
  /// call removes what an older run left, pictures too, and writes config.toml.
  void write(const ExperimentResult& result);

 private:
  std::filesystem::path path_;
  std::string settings_, unlocked_;
  KnownFiles known_;  ///< as they stand in the folder
  bool written_ = false;
  std::shared_ptr<void> lock_;  ///< the open folder; closing it gives the lock back
};

/// "0.25 s", "2 min 5 s".
std::string time_text(double seconds);

/// What heads a column and what stands there in a row.
struct Cell {
  std::string heading, text;
  int importance = 9;  ///< 9: always there
  double value = NAN;  ///< where the least of a column is the best
};

/// The row's line of the table, with the columns that every row of the result has; a text may be empty.
std::vector<Cell> cells_of(const VariantResult& v, const ExperimentResult& result);

/// How a terminal wants it.
struct TableStyle {
  std::size_t width = 0;  ///< columns of it, for which the least important of the table go; 0: as many as needed
  bool colour = false;    ///< whether escape sequences mark the best of each column
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
