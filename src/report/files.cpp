#include "conv_mult/report/files.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

namespace conv_mult {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const char* what, const fs::path& path, const std::string& reason) {
  throw std::runtime_error(fmt::format("{} '{}': {}", what, path.string(), reason));
}

}  // namespace

void prepare_directory(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    fail("cannot create the output folder", directory, error.message());
  }
  std::string probe = (directory / ".conv_mult-XXXXXX").string();
  const int file = mkstemp(probe.data());
  if (file < 0) {
    fail("cannot write into the output folder", directory, std::strerror(errno));
  }
  close(file);
  unlink(probe.c_str());
}

void write_file(const fs::path& path, std::string_view content) {
  fs::path temporary = path;
  temporary += fmt::format(".{}.tmp", getpid());
  errno = 0;
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  std::error_code error;
  if (file.fail()) {
    const std::string reason = std::strerror(errno);
    fs::remove(temporary, error);
    fail("cannot write", path, reason);
  }
  fs::rename(temporary, path, error);
  if (error) {
    const std::string reason = error.message();
    fs::remove(temporary, error);
    fail("cannot write", path, reason);
  }
}

std::string read_file(const fs::path& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  if (!file) {
    fail("cannot read", path, std::strerror(errno));
  }
  return content;
}

}  // namespace conv_mult
