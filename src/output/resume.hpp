#pragma once

#include <filesystem>
#include <functional>

#include "options/config.hpp"
#include "run/results.hpp"

namespace conv_mult {

/// Adds to the rows of `result`, which are those of a plan, what an earlier run of it left in `directory`: its finished
/// runs with curves, weights and split losses, the time that they took, and where they were made. summary.json says
/// which runs are finished; the CSV files may hold more, never less. Throws std::runtime_error that names the file
/// where one is missing or damaged.
void add_results(const std::filesystem::path& directory, ExperimentResult& result);

/// The settings in a config.toml.
using ReadSettings = std::function<Config(const std::filesystem::path&)>;

/// Where `directory` holds a run of other settings, the first that differs, or why they cannot be read.
std::optional<std::string> other_settings(const std::filesystem::path& directory, const Config& config,
                                          const ReadSettings& read);

/// For --resume: add_results where `directory` holds a run of these very settings, nothing where it holds none. Throws
/// UsageError where it holds another.
void add_earlier_run(const std::filesystem::path& directory, const Config& config, const ReadSettings& read,
                     ExperimentResult& result);

/// For merge: the runs of all folders, in order of their seeds. Throws UsageError where a folder was made with other
/// settings or a seed of `config` is in none or in two of them.
void add_shards(const std::vector<std::string>& folders, const Config& config, const ReadSettings& read,
                ExperimentResult& result);

}  // namespace conv_mult
