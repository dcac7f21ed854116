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
#include <thread>
#include "options/options.hpp"
#include "output/figures.hpp"
#include "util/files.hpp"
#include "util/stop.hpp"

namespace conv_mult {
namespace {
namespace fs = std::filesystem;

constexpr std::chrono::seconds kPatience{60};

/// One gnuplot at work on one figure in one format.
struct Drawing {
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
  const fs::path whole = directory / (name + "." + format);
  Drawing drawing{whole, unfinished(whole), unfinished(whole.string() + ".txt")};
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

/// Waits for the child and puts the figure in its place. Returns what gnuplot said; throws std::runtime_error that says
/// why there is no figure.
std::string finish_drawing(const Drawing& drawing, std::chrono::steady_clock::time_point deadline) {
  if (drawing.error != 0) { throw std::runtime_error(fmt::format("gnuplot: {}", std::strerror(drawing.error))); }
  int status = 0;
  while (waitpid(drawing.id, &status, WNOHANG) == 0) {
    if (stop_signal != 0 || std::chrono::steady_clock::now() >= deadline) {
      kill(drawing.id, SIGKILL);
      waitpid(drawing.id, &status, 0);
      throw std::runtime_error(stop_signal != 0 ? "interrupted"
                                                : fmt::format("gnuplot took longer than {} s", kPatience.count()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  const auto words = last_line(read_file(drawing.said));
  if (status != 0) {
    throw std::runtime_error("gnuplot failed: " + (words.empty() ? fmt::format("status {}", status) : words));
  }
  const std::string format = drawing.whole.extension();
  const std::string content = fs::exists(drawing.part) ? read_file(drawing.part) : "";
  // On a full disk gnuplot exits with 0 and without a word.
  const auto end = content.rfind(format == ".png" ? "IEND" : format == ".svg" ? "</svg>" : "%%EOF");
  if (end == std::string::npos || content.size() - end > 16) {
    throw std::runtime_error("the file that gnuplot wrote is not complete; is the disk full?");
  }
  if (format == ".svg") {  // without tooltips that say "gnuplot_plot_3"
    write_file(drawing.part, std::regex_replace(content, std::regex("<title>gnuplot_plot_\\w+</title>\n?"), ""));
  }
  fs::rename(drawing.part, drawing.whole);
  return words;
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
  for (const Drawing& drawing : drawings) {
    try {
      const std::string words = finish_drawing(drawing, deadline);
      const std::string note = "the figures are drawn, but gnuplot said: " + words;
      const bool known = words.empty() || std::find(notes.begin(), notes.end(), note) != notes.end();
      if (!known) { notes.push_back(note); }
    } catch (const std::exception& error) {
      notes.push_back(fmt::format("{} not drawn: {}", drawing.whole.filename().string(), error.what()));
    }
    std::error_code ignored;
    fs::remove(drawing.part, ignored);
    fs::remove(drawing.said, ignored);
  }
  const bool missing = !drawings.empty() && drawings.back().error == ENOENT;
  if (missing) { return {"gnuplot not found: the scripts and tables in figures/ are written, no figure drawn"}; }
  return notes;
}
}  // namespace conv_mult
