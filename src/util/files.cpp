#include "util/files.hpp"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace conv_mult {
namespace {

namespace fs = std::filesystem;

constexpr auto unfinished_prefix = ".conv_mult-";

}  // namespace

std::error_code last_error() { return {errno != 0 ? errno : EIO, std::generic_category()}; }

void fail(const char* what, const fs::path& path, const std::error_code& reason) {
  throw std::runtime_error(fmt::format("{} '{}': {}", what, path.string(), reason.message()));
}

fs::path unfinished(const fs::path& path) {
  return path.parent_path() / fmt::format("{}{}-{}", unfinished_prefix, getpid(), path.filename().string());
}

void remove_unfinished(const fs::path& directory) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    if (entry.path().filename().string().rfind(unfinished_prefix, 0) == 0) { fs::remove(entry.path(), ignored); }
  }
}

void write_file(const fs::path& path, std::string_view content) {
  const fs::path temporary = unfinished(path);
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  std::error_code error;
  if (file.fail()) {
    error = last_error();
  } else {
    fs::rename(temporary, path, error);
  }
  if (error) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    fail("cannot write", path, error);
  }
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file || content.bad()) { fail("cannot read", path, last_error()); }
  return content.str();
}

std::string checksum(std::string_view text) { return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size())); }

}  // namespace conv_mult
