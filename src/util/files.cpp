#include "util/files.hpp"

#define XXH_INLINE_ALL
#include <unistd.h>
#include <xxhash.h>

namespace conv_mult {
namespace {
namespace fs = std::filesystem;

constexpr auto unfinished_prefix = ".conv_mult-";

/// Says so by errno, and removes what failed.
[[noreturn]] void cannot_write(const fs::path& path) {
  const auto error = last_error();
  std::error_code ignored;
  fs::remove(unfinished(path), ignored);
  fail("cannot write", path, error);
}
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

std::string stage_file(const fs::path& path, const std::function<void(const Sink&)>& write) {
  std::ofstream file(unfinished(path), std::ios::binary | std::ios::trunc);
  XXH3_state_t sum;
  XXH3_64bits_reset(&sum);
  write([&](std::string_view piece) {
    file << piece;
    XXH3_64bits_update(&sum, piece.data(), piece.size());
  });
  file.close();
  if (file.fail()) { cannot_write(path); }
  return fmt::format("{:016x}", XXH3_64bits_digest(&sum));
}

void publish_file(const fs::path& path) {
  if (std::rename(unfinished(path).c_str(), path.c_str()) != 0) { cannot_write(path); }
}

void write_file(const fs::path& path, std::string_view content) {
  stage_file(path, [&](const Sink& sink) { sink(content); });
  publish_file(path);
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
