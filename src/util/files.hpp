#pragma once

#include "util/standard.hpp"

namespace conv_mult {
/// errno; never none.
std::error_code last_error();

/// Throws std::runtime_error that names the path and the reason.
[[noreturn]] void fail(const char* what, const std::filesystem::path& path, const std::error_code& reason);

/// Throws std::runtime_error, the text, unless it holds.
inline void check(bool holds, const std::string& what) {
  if (!holds) { throw std::runtime_error(what); }
}

/// Where a file is made before it gets its name: beside it, hidden, of this process alone.
std::filesystem::path unfinished(const std::filesystem::path& path);

/// Removes what processes that were killed left there under such names.
void remove_unfinished(const std::filesystem::path& directory);

/// Takes the pieces of a file, one after the other.
using Sink = std::function<void(std::string_view)>;

/// Makes a file whose content `write` hands to the sink, not yet under its name, and returns its checksum. As all that
/// write files here it throws std::runtime_error that names the path and the reason, and leaves nothing then.
std::string stage_file(const std::filesystem::path& path, const std::function<void(const Sink&)>& write);

/// Gives what was staged its name: `path` is the old file or the whole new one.
void publish_file(const std::filesystem::path& path);

/// Both.
void write_file(const std::filesystem::path& path, std::string_view content);

/// The whole file. Throws std::runtime_error that names the path.
std::string read_file(const std::filesystem::path& path);

/// 16 digits that tell a damaged text, not a forged one (XXH3 of 64 bits).
std::string checksum(std::string_view text);
}  // namespace conv_mult
