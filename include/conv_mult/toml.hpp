#pragma once

#include <CLI/CLI.hpp>
#include <istream>
#include <string>
#include <vector>

namespace conv_mult {

/// Whether a configuration file can hold the text.
bool is_utf8(const std::string& text);

/// Configuration files of CLI11 in TOML proper; its own reader knows neither escapes nor a # in a string.
class TomlFormat final : public CLI::Config {
 public:
  /// The values of each key as users would type them: numbers in their shortest form, an array's in a row.
  /// Throws UsageError: no TOML, a table, a date, an empty array, more than 1 MiB.
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override;

  /// A line for each option that has a value and may be in a file. Numbers are bare, all else is quoted.
  std::string to_config(const CLI::App* app, bool default_also, bool write_description,
                        std::string prefix) const override;
};

}  // namespace conv_mult
