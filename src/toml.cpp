#include "conv_mult/toml.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

// toml++ asserts that no "[#" comes, where its own check two lines on says what is wrong; with NDEBUG it
// tells the compiler to assume so, which would drop that check.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <algorithm>
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
  const auto comes_back = [&](auto number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && std::isfinite(static_cast<double>(number)) &&
           fmt::format("{}", number) == text;
  };
  if (comes_back(std::int64_t{}) || (text.find_first_of(".e") != std::string::npos && comes_back(double{}))) {
    return text;
  }
  std::ostringstream quoted;
  quoted << toml::toml_formatter{toml::value<std::string>{text}, toml::format_flags::none};
  return quoted.str();
}

/// toml++ asks of a letter whether it is a space, unless it is in a string or comment, and calls it
/// unreachable that it is one such as ä. So it first reads the text with a character instead that it knows
/// not to be a space: that fails unless all letters are where they may be.
toml::table parse(std::string text) {
  const std::string byte_order_mark = "\xEF\xBB\xBF";
  if (text.compare(0, 3, byte_order_mark) == 0) {
    text.erase(0, 3);
  }
  std::string without_letters;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      without_letters += text[i];
    } else if (byte >= 0xC0) {  // the first of a letter
      without_letters += "\xEF\xBF\xBD";
      // It asks in a string, too: where the spaces end that a backslash at the end of a line takes away.
      const auto before = i == 0 ? std::string::npos : text.find_last_not_of(" \t\r\n", i - 1);
      if (before != std::string::npos && text[before] == '\\' &&
          text.substr(before, i - before).find('\n') != std::string::npos) {
        throw UsageError(
            "--config: a line that ends with a backslash goes on with a letter other than ASCII");
      }
    }
  }
  static_cast<void>(toml::parse(without_letters));
  return toml::parse(text);
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
    for (const auto& [key, value] : parse(text)) {
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
    const bool is_flag = option->get_expected_min() == 0;
    std::vector<std::string> values;
    for (const auto& result : option->reduced_results()) {
      values.push_back(literal(result));
    }
    if (is_flag) {
      values.assign(1, option->count() > 0 && option->as<bool>() ? "true" : "false");
    } else if (const auto& text = option->get_default_str(); values.empty() && !text.empty()) {
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
