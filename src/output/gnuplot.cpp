#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <regex>
#include <set>
#include <thread>
#include "options/options.hpp"
#include "output/figures.hpp"
#include "util/files.hpp"
#include "util/pool.hpp"

namespace conv_mult {
namespace {
namespace fs = std::filesystem;

constexpr std::chrono::seconds kPatience{60};

/// One gnuplot at work on one figure in one format.
struct Drawing {
  std::string figure;          // loss.png
  fs::path whole, part, said;  // said: its stdout and stderr
  pid_t id = 0;
  int error = 0;  // why it could not be started
};

/// Where fontconfig keeps what it finds out: where it always does, or where that can be written.
fs::path font_cache() {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  const char* const home = std::getenv("HOME");
  const fs::path usual = cache != nullptr ? fs::path(cache) : fs::path(home != nullptr ? home : "") / ".cache";
  std::error_code ignored;
  fs::path existing = usual;
  while (existing.has_relative_path() && !fs::exists(existing, ignored)) { existing = existing.parent_path(); }
  const bool writable = usual.is_absolute() && access(existing.c_str(), W_OK) == 0;
  return writable ? usual : fs::temp_directory_path(ignored);
}

/// What gnuplot and its libraries have to know, and nothing else: GNUTERM or a ~/.gnuplot would change the scripts'
/// meaning. A locale of UTF-8 and decimal points, which every Debian has: in plain C, where a container often is,
/// gnuplot warns about a degree sign that it cannot convert.
std::vector<std::string> gnuplot_environment() {
  std::vector<std::string> variables{"LC_ALL=C.UTF-8", "XDG_CACHE_HOME=" + font_cache().string()};
  for (const char* name : {"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "FONTCONFIG_FILE", "FONTCONFIG_PATH",
                           "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_DATA_DIRS"}) {
    if (const char* value = std::getenv(name)) { variables.push_back(fmt::format("{}={}", name, value)); }
  }
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result(texts.size() + 1);  // the last is null
  std::transform(texts.begin(), texts.end(), result.begin(), [](auto& text) { return text.data(); });
  return result;
}

Drawing start_drawing(const std::string& name, const std::string& format, const fs::path& directory) {
  Drawing drawing;
  drawing.figure = name + "." + format;
  drawing.whole = directory / drawing.figure;
  drawing.part = unfinished(drawing.whole);
  drawing.said = unfinished(directory / (drawing.figure + ".txt"));
  // Without a font gnuplot draws figures without a word and exits with 0; then its letters have no size.
  const auto* const check =
      "if (GPVAL_TERM_VCHAR < 100) { printerr 'no font found; install fonts-dejavu-core'; exit status 1 }";
  const auto settings = fmt::format("format='{}'; drawing='../{}'", format, drawing.part.filename().string());
  std::vector<std::string> arguments{"gnuplot", "-d", "-e", settings, name + ".gp", "-e", check};
  auto environment = gnuplot_environment();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, drawing.said.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawn_file_actions_addchdir_np(&actions, (directory / "figures").c_str());
  drawing.error =
      posix_spawnp(&drawing.id, "gnuplot", &actions, nullptr, pointers(arguments).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  return drawing;
}

/// The last line that says something: before an error, gnuplot repeats the line of the script.
std::string last_line(const std::string& words) {
  const auto end = words.find_last_not_of(" \t\r\n");
  const auto begin = words.find_last_of("\r\n", end) + 1;  // 0 where there is none
  return end == std::string::npos ? "" : words.substr(begin, end + 1 - begin);
}

/// Waits for the child and puts the figure in its place. Returns why there is none, or nothing; `words` is what gnuplot
/// said.
std::string finish_drawing(const Drawing& drawing, std::chrono::steady_clock::time_point deadline, std::string& words) {
  int status = 0;
  while (waitpid(drawing.id, &status, WNOHANG) == 0) {
    if (stop_signal != 0 || std::chrono::steady_clock::now() >= deadline) {
      kill(drawing.id, SIGKILL);
      waitpid(drawing.id, &status, 0);
      return stop_signal == 0 ? fmt::format("gnuplot took longer than {} s", kPatience.count()) : "interrupted";
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  words = last_line(read_file(drawing.said));
  if (status != 0) { return "gnuplot failed: " + (words.empty() ? fmt::format("status {}", status) : words); }
  const std::string format = drawing.whole.extension();
  const std::string content = fs::exists(drawing.part) ? read_file(drawing.part) : "";
  // On a full disk gnuplot exits with 0 and without a word.
  const auto end = content.rfind(format == ".png" ? "IEND" : format == ".svg" ? "</svg>" : "%%EOF");
  if (end == std::string::npos || content.size() - end > 16) {
    return "the file that gnuplot wrote is not complete; is the disk full?";
  }
  try {
    if (format == ".svg") {  // without tooltips that say "gnuplot_plot_3"
      write_file(drawing.part, std::regex_replace(content, std::regex("<title>gnuplot_plot_\\w+</title>\n?"), ""));
    }
    fs::rename(drawing.part, drawing.whole);
  } catch (const std::exception& error) { return error.what(); }
  return "";
}
}  // namespace

std::vector<std::string> draw(const std::vector<std::string>& names, const std::vector<FigureFormat>& formats,
                              const fs::path& directory) {
  std::vector<Drawing> drawings;  // all of them at once: each takes a second or so
  for (const auto& name : names) {
    for (const FigureFormat format : formats) { drawings.push_back(start_drawing(name, text_of(format), directory)); }
  }
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::vector<std::string> notes;
  std::set<std::string> said;
  bool missing = false;
  for (const Drawing& drawing : drawings) {
    std::string words;
    const std::string reason = drawing.error != 0 ? fmt::format("gnuplot: {}", std::strerror(drawing.error))
                                                  : finish_drawing(drawing, deadline, words);
    missing = missing || drawing.error == ENOENT;
    if (!reason.empty()) {
      notes.push_back(fmt::format("{} not drawn: {}", drawing.figure, reason));
    } else if (!words.empty() && said.insert(words).second) {
      notes.push_back("the figures are drawn, but gnuplot said: " + words);
    }
    std::error_code ignored;
    fs::remove(drawing.part, ignored);
    fs::remove(drawing.said, ignored);
  }
  if (missing) { return {"gnuplot not found: the scripts and tables in figures/ are written, no figure drawn"}; }
  return notes;
}
}  // namespace conv_mult
