#pragma once

#include <filesystem>
#include "output/records.hpp"

namespace conv_mult {
/// --out, and the numbers in it. Throws std::runtime_error that names the path and the reason.
class OutputFolder {
 public:
  /// Creates the folder where it is missing and proves that a file can be written there, leaving none behind. If
  /// `alone`, takes the folder for this process (flock: whatever ends the process gives it back) and removes what runs
  /// that were killed left unfinished. `settings` is the text of config.toml.
  OutputFolder(std::filesystem::path path, std::string settings, bool alone);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// Why another run would not be noticed: many a file system cannot lock. Empty where it would be.
  const std::string& unlocked() const { return unlocked_; }

  /// The run in the folder is this one: its tables stay until better ones take their place.
  void go_on();

  /// summary.json and the CSV files with all runs so far, runs.csv last: whatever it names is in the others. The first
  /// call removes what an older run left, pictures too, and writes config.toml: numbers of one run never stand beside
  /// pictures or settings of another.
  void write(const ExperimentResult& result);

 private:
  std::filesystem::path path_;
  std::string settings_, unlocked_;
  KnownFiles known_;  ///< as they stand in the folder
  bool written_ = false;
  int descriptor_ = -1;  ///< of the lock
};
}  // namespace conv_mult
