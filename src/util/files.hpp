#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

namespace conv_mult {

/// errno; never none.
std::error_code last_error();

/// Throws std::runtime_error that names the path and the reason.
[[noreturn]] void fail(const char* what, const std::filesystem::path& path, const std::error_code& reason);

/// Where a file is made before it gets its name: beside it, hidden, of this process alone.
std::filesystem::path unfinished(const std::filesystem::path& path);

/// Removes what processes that were killed left there under such names.
void remove_unfinished(const std::filesystem::path& directory);

/// Writes under a temporary name in the same folder, then renames: `path` is the old file or the whole new one. Throws
/// std::runtime_error that names the path and the reason.
void write_file(const std::filesystem::path& path, std::string_view content);

/// The whole file. Throws std::runtime_error that names the path.
std::string read_file(const std::filesystem::path& path);

/// 16 digits that tell a damaged file (XXH3 of 64 bits), not a forged one.
std::string checksum(std::string_view text);

}  // namespace conv_mult
