#include "conv_mult/toml.hpp"

// "[#" trips an assertion of toml++ 3.3 where its own check two lines on says what is wrong.
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <charconv>
#include <cmath>
#include <sstream>
#include <string_view>

#include "conv_mult/config.hpp"

namespace conv_mult {
namespace {

/// As typed on the command line.
std::string text_of(const toml::node& value, std::string_view key) {
  if (const auto* text = value.as_string()) {
    return **text;
  }
  if (const auto* number = value.as_integer()) {
    return fmt::format("{}", **number);
  }
  if (const auto* number = value.as_floating_point()) {
    return fmt::format("{}", **number);
  }
  if (const auto* flag = value.as_boolean()) {
    return **flag ? "true" : "false";
  }
  throw UsageError(
      value.is_table()
          ? fmt::format("--config: unknown key '{}'; allowed: the long names of --help, without sections",
                        key)
          : fmt::format("--config: '{}' is a date or an empty list; allowed: numbers, strings, lists of them",
                        key));
}

/// Bare if the number comes back as the same text.
std::string literal(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = text.find_first_not_of("-0123456789") == std::string::npos;
  if (error == std::errc() && std::isfinite(number) &&
      (whole ? std::to_string(static_cast<std::int64_t>(number)) : fmt::format("{}", number)) == text) {
    return text;
  }
  std::ostringstream quoted;
  quoted << toml::toml_formatter{toml::value<std::string>{text}, toml::format_flags::none};
  return quoted.str();
}

}  // namespace

bool is_utf8(const std::string& text) {
  try {
    return toml::parse("text=" + literal(text))["text"].value<std::string>() == text;
  } catch (const toml::parse_error&) {
    return false;
  }
}

std::vector<CLI::ConfigItem> TomlFormat::from_config(std::istream& input) const {
  constexpr std::streamsize most_bytes = 1 << 20;
  std::string text(most_bytes + 1, '\0');
  input.read(text.data(), most_bytes + 1);
  if (input.gcount() > most_bytes) {
    throw UsageError("--config: the file is larger than a configuration can be; allowed: 1 MiB");
  }
  text.resize(static_cast<std::size_t>(input.gcount()));
  std::vector<CLI::ConfigItem> found;
  try {
    for (const auto& [key, value] : toml::parse(text)) {
      auto& item = found.emplace_back();
      item.name = key.str();
      if (const auto* list = value.as_array(); list != nullptr && !list->empty()) {
        for (const auto& each : *list) {
          item.inputs.push_back(text_of(each, key.str()));
        }
      } else {
        item.inputs.push_back(text_of(value, key.str()));
      }
    }
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("--config: line {}: {}", error.source().begin.line, error.description()));
  }
  return found;
}

std::string TomlFormat::to_config(const CLI::App* app, bool /*default_also*/, bool /*write_description*/,
                                  std::string /*prefix*/) const {
  std::string lines;
  for (const CLI::Option* option : app->get_options()) {
    if (!option->get_configurable() || option->get_lnames().empty()) {
      continue;
    }
    const bool is_flag = option->get_type_size() == 0;
    std::vector<std::string> values;
    for (const auto& result : option->reduced_results()) {
      values.push_back(literal(result));
    }
    if (is_flag) {
      values.assign(1, option->count() > 0 ? option->reduced_results().back() : "false");
    } else if (const auto& text = option->get_default_str();
               values.empty() && !text.empty() && text != "[]") {
      values.push_back(literal(text));
    }
    if (!values.empty()) {
      const auto list = fmt::format("{}", fmt::join(values, ", "));
      lines += option->get_lnames().front() + '=' + (values.size() == 1 ? list : '[' + list + ']') + '\n';
    }
  }
  return lines;
}

}  // namespace conv_mult
