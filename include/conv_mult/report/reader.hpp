#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "conv_mult/config.hpp"
#include "conv_mult/results.hpp"

namespace conv_mult {

/// What an earlier run left in `directory`: its finished runs with curves, weights and split losses, in rows
/// without statistics, and of the header what is not computed anew (device, threads, dtype, LibTorch).
/// summary.json says which runs are finished; the CSV files may hold more, never less. Throws
/// std::runtime_error that names the file where one is missing or damaged.
ExperimentResult read_results(const std::filesystem::path& directory);

/// For --resume: read_results where `directory` holds a run of these very settings, an empty result where it
/// holds none. Throws UsageError where it holds another.
ExperimentResult read_earlier_run(const std::filesystem::path& directory, const std::string& resolved_toml);

/// For merge: the runs of all folders, in order of their seeds. Throws UsageError where a folder was made
/// with other settings or a seed of `config` is in none or in two of them.
ExperimentResult read_shards(const std::vector<std::string>& folders, const std::string& resolved_toml,
                             const Config& config);

}  // namespace conv_mult
