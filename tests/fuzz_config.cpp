// The command line and the configuration file under libFuzzer; scripts/fuzz runs it. An input is arguments, a line
// each, up to an empty line, and then the file. It is refused by a UsageError, or its settings are read back as
// themselves.

#include <unistd.h>
#include <cstdio>
#include "options/options.hpp"

namespace {
conv_mult::CommandLine parse(const std::vector<std::string>& arguments) {
  static const conv_mult::Vocabulary words{{"baseline", "exp", "npu", "relu"}, {"rectangles", "noise", "files"}};
  return conv_mult::parse_command_line(arguments, words, "version");
}

std::string write_settings(const std::string& text) {
  static const std::string path = "/tmp/conv_mult-fuzz-" + std::to_string(getpid()) + ".toml";
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  return path;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const auto end = std::min(input.find("\n\n"), input.size());
  std::vector<std::string> arguments;
  std::istringstream lines(input.substr(0, end));
  for (std::string line; std::getline(lines, line);) { arguments.push_back(line.c_str()); }  // to a NUL, as in any argv
  if (end + 2 < input.size()) {
    arguments.insert(arguments.begin(), {"--config", write_settings(input.substr(end + 2))});
  }
  conv_mult::CommandLine first;
  try {
    first = parse(arguments);
  } catch (const conv_mult::UsageError& error) { return *error.what() == '\0' ? (std::abort(), 0) : 0; }
  if (first.message || !first.merge.empty()) { return 0; }
  const auto text = toml_of(first.config);
  const auto second = parse({"--config", write_settings(text)}).config;
  const auto changed = difference(second, first.config);
  if (toml_of(second) != text || changed) {
    std::fprintf(stderr, "%s\nread back:\n%s\n%s\n", text.c_str(), toml_of(second).c_str(),
                 changed.value_or("").c_str());
    std::abort();
  }
  return 0;
}
