#include "options/options.hpp"

// toml++ asserts that no "[#" comes, where its own check two lines on says what is wrong; with NDEBUG it tells the
// compiler to assume so, which would drop that check.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <fstream>
#include <sstream>

namespace conv_mult {
namespace {

/// As typed on the command line.
std::string text_of(const toml::node& value, std::string_view key) {
  if (const auto text = value.value_exact<std::string>()) { return *text; }
  if (const auto flag = value.value_exact<bool>()) { return fmt::format("{}", *flag); }
  if (const auto whole = value.value_exact<std::int64_t>()) { return fmt::format("{}", *whole); }
  if (const auto real = value.value_exact<double>()) { return fmt::format("{}", *real); }
  refuse_if(value.is_table(), unknown_key, key);
  constexpr auto message = "--config: '{}' is a date or an empty list; allowed: numbers, strings, lists of them";
  throw UsageError(fmt::format(message, key));
}

/// toml++ asks of a letter whether it is a space, unless it is in a string or comment, and calls it unreachable that it
/// is one such as ä. So it first reads the text with a character instead that it knows not to be a space: that fails
/// unless all letters are where they may be. In strings of several lines it asks everywhere; no setting needs one.
toml::table parse_toml(std::string text) {
  refuse_if(text.find(R"(""")") != std::string::npos,
            R"(--config: """ begins a string of several lines; allowed: strings of one line)");
  text.erase(0, text.rfind("\xEF\xBB\xBF", 0) == 0 ? 3 : 0);  // a byte order mark
  std::string without_letters;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    without_letters += byte < 0x80 ? std::string{c} : byte >= 0xC0 ? "\xEF\xBF\xBD" : "";
  }
  static_cast<void>(toml::parse(without_letters));
  return toml::parse(text);
}

std::string quoted(const std::string& text) {
  std::ostringstream quoted;
  quoted << toml::toml_formatter{toml::value<std::string>{text}, toml::format_flags::none};
  return quoted.str();
}

}  // namespace

bool is_utf8(const std::string& text) {
  try {
    return toml::parse("text=" + quoted(text))["text"].value<std::string>() == text;
  } catch (const toml::parse_error&) { return false; }
}

std::string toml_literal(const std::string& text) {
  const auto comes_back = [&](auto number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && std::isfinite(static_cast<double>(number)) && fmt::format("{}", number) == text;
  };
  const bool is_real = text.find_first_of(".e") != std::string::npos && comes_back(double{});
  return is_real || comes_back(std::int64_t{}) ? text : quoted(text);
}

std::vector<std::pair<std::string, Texts>> read_toml(const std::string& path) {
  constexpr std::streamsize most_bytes = 1 << 20;
  std::string content(most_bytes + 1, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(content.data(), most_bytes + 1);
  refuse_if(!file.is_open() || file.bad(), "--config: '{}' cannot be read (missing?)", path);
  refuse_if(file.gcount() > most_bytes, "--config: the file is larger than a configuration can be; allowed: 1 MiB");
  content.resize(static_cast<std::size_t>(file.gcount()));
  std::vector<std::pair<std::string, Texts>> found;
  try {
    for (const auto& [key, value] : parse_toml(content)) {
      auto& texts = found.emplace_back(std::string(key.str()), Texts()).second;
      if (const auto* list = value.as_array(); list != nullptr && !list->empty()) {
        for (const auto& each : *list) { texts.push_back(text_of(each, key.str())); }
      } else {
        texts.push_back(text_of(value, key.str()));
      }
    }
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("--config: line {}: {}", error.source().begin.line, error.description()));
  }
  return found;
}

}  // namespace conv_mult
