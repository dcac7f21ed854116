#pragma once
// What users ask for. THE table of options has it all: command line, files, config.toml, what decides a run, --help.

#include "options/text.hpp"

namespace conv_mult {
/// The names that users may give, from the lists of variants and scenes.
struct Vocabulary {
  Texts variants, scenes;
};

/// What the command line (and the TOML files it may name) asks for.
struct CommandLine {
  Config config;
  std::optional<std::string> message;  ///< --help, --version or the like: print this and stop
  Texts merge;                         ///< `merge`: the folders to join; config is theirs, of all shards together
};

/// Parses and validates what follows the name of the program. `version` is the text of --version. Throws UsageError.
CommandLine parse_command_line(const Texts& arguments, const Vocabulary& words, const std::string& version);

/// The learning rates of the variant's own, or else those for all.
std::vector<double> rates_of(const Config& config, const std::string& variant);

/// The text of config.toml: every setting of the run, readable by --config.
std::string toml_of(const Config& config);

/// The first setting that decides the numbers of a run and is not the same in both, as "--steps: 100, not 3000".
std::optional<std::string> difference(const Config& config, const Config& other);

constexpr std::int64_t largest_seed = 0xffffffff;  // PyTorch's CPU generator takes 32 bits

/// What an option decides: the numbers of a run, what becomes of them, or this call, not in config.toml.
enum class Role { numbers, output, call };

struct Option {
  std::string group, name, placeholder, help;  ///< a flag has no placeholder
  Role role = Role::numbers;
  bool takes_many = false;  ///< words, one after the other
  std::string allowed = {};
  /// From the words it is given; whether all are right. By default, as get, of what stands in no Config.
  std::function<bool(Config&, const Texts&)> set = [](Config& /*config*/, const Texts& /*words*/) { return true; };
  std::function<Texts(const Config&)> get = [](const Config& /*config*/) { return Texts(); };
};

/// In the order of --help and of config.toml.
std::vector<Option> option_table(const Vocabulary& words);

/// Those of `conv_mult merge`, of which `set` and `get` do nothing.
std::vector<Option> merge_table();
}  // namespace conv_mult
