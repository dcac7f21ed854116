#include "util/files.hpp"

#define XXH_INLINE_ALL
#include <unistd.h>
#include <xxhash.h>

namespace conv_mult {
namespace {
namespace fs = std::filesystem;

constexpr auto unfinished_prefix = ".conv_mult-";

/// What failed is removed.
void check_unfinished(const fs::path& path, const std::error_code& error) {
  if (!error) { return; }
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
  check_unfinished(path, file.fail() ? last_error() : std::error_code());
  return fmt::format("{:016x}", XXH3_64bits_digest(&sum));
}

void publish_file(const fs::path& path) {
  std::error_code error;
  fs::rename(unfinished(path), path, error);
  check_unfinished(path, error);
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
