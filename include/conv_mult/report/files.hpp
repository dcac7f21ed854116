#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace conv_mult {

/// Creates `directory` where it is missing and proves that a file can be written there, leaving none behind.
/// Throws std::runtime_error that names the directory and the reason.
void prepare_directory(const std::filesystem::path& directory);

/// Writes under a temporary name in the same folder, then renames: `path` is the old file or the whole new
/// one. Throws std::runtime_error that names the path and the reason.
void write_file(const std::filesystem::path& path, std::string_view content);

/// The whole file. Throws std::runtime_error that names the path.
std::string read_file(const std::filesystem::path& path);

}  // namespace conv_mult
