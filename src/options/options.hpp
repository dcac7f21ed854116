#pragma once

#include "options/config.hpp"

namespace conv_mult {

/// The names that users may give, from the lists of variants and scenes.
struct Vocabulary {
  std::vector<std::string> variants, sized;  ///< sized: those of the variants that have --depth
  std::vector<std::string> scenes;
};

/// What the command line (and the TOML files it may name) asks for.
struct CommandLine {
  Config config;
  std::optional<std::string> message;  ///< --help, --version or the like: print this and stop
  std::vector<std::string> merge;      ///< `merge`: the folders to join; config is theirs, of all shards together
};

/// Parses and validates. `version` is the text of --version. Throws UsageError.
CommandLine parse_command_line(int argc, const char* const* argv, const Vocabulary& words, const std::string& version);

/// The learning rates of the variant's own, or else those for all.
std::vector<double> rates_of(const Config& config, const std::string& variant);

/// The text of config.toml: every setting of the run, readable by --config.
std::string toml_of(const Config& config);

/// The first setting that decides the numbers of a run in which the two differ, as "--steps: 100, not 3000"; none where
/// they ask for the same numbers. Without the shard they are those of the whole: all shards of one sweep share them.
std::optional<std::string> difference(const Config& config, const Config& other, bool with_shard);

/// The names users type, and back. The texts are those of --help.
std::string to_string(LossKind value);
std::string to_string(OptimizerKind value);
std::string to_string(DataForm value);
std::string to_string(Dtype value);
std::string to_string(FigureFormat value);

}  // namespace conv_mult
