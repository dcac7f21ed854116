#pragma once
// THE table of options: the command line, configuration files, config.toml, what decides a run, and --help are read
// from it.

#include <functional>

#include "options/options.hpp"
#include "options/text.hpp"

namespace conv_mult {

constexpr std::int64_t largest_seed = 0xffffffff;  // PyTorch's CPU generator takes 32 bits

/// What an option decides: the numbers of a run, which part of them, what becomes of them, or this call alone, so that
/// config.toml has no need of it.
enum class Role { numbers, shard, output, call };

/// How many values it takes, and what becomes of it where it is repeated.
enum class Kind {
  flag,
  one,    ///< a word; the last counts
  tuple,  ///< several numbers, as 1,2 or 1 2; the last counts
  list,   ///< words, or commas between them; they add up
  tuples  ///< each word is a tuple; they add up
};

struct Option {
  std::string group, name, placeholder, help;
  Role role = Role::numbers;
  Kind kind = Kind::one;
  std::string allowed;
  std::function<bool(Config&, const Texts&)> set;
  std::function<Texts(const Config&)> get;
};

/// In the order of --help and of config.toml.
std::vector<Option> option_table(const Vocabulary& words);

/// Whether a configuration file can hold the text.
bool is_utf8(const std::string& text);

/// The keys of a file of at most 1 MiB with their values as users would type them: numbers in their shortest form, an
/// array's one after the other. Throws UsageError: no TOML, a table, a date, an empty array.
std::vector<std::pair<std::string, Texts>> read_toml(const std::string& path);

/// The text as a value: bare if it is a number that comes back as the same text, else quoted.
std::string toml_literal(const std::string& text);

}  // namespace conv_mult
