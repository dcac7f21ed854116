#include "conv_mult/report/gnuplot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <system_error>
#include <vector>

#include "conv_mult/files.hpp"

namespace conv_mult {
namespace {

constexpr std::chrono::seconds kPatience{60};

/// One gnuplot at work on one figure in one format.
struct Drawing {
  std::string figure;  // loss.png
  std::filesystem::path part, whole;
  pid_t pid = -1;  // of a process only where error is 0
  int words = -1;  // read end of the pipe that takes stdout and stderr
  int error = 0;   // why it could not be started
};

/// This process's environment in a locale of UTF-8 and decimal points, which every Debian has. In plain C,
/// where a container often is, gnuplot warns about a degree sign that it cannot convert.
std::vector<std::string> gnuplot_environment() {
  std::vector<std::string> variables{"LC_ALL=C.UTF-8"};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (std::strncmp(*variable, "LC_ALL=", 7) != 0) {
      variables.emplace_back(*variable);
    }
  }
  return variables;
}

Drawing start_drawing(const std::string& name, const std::string& format,
                      const std::filesystem::path& directory) {
  Drawing drawing;
  drawing.figure = name + "." + format;
  drawing.whole = directory / drawing.figure;
  drawing.part = unfinished(drawing.whole);
  std::error_code ignored;
  std::filesystem::remove(drawing.whole,
                          ignored);  // should drawing fail, an older run's figure must not stay
  const std::string script = name + ".gp";
  const std::string settings =
      fmt::format("format='{}'; drawing='../{}'", format, drawing.part.filename().string());
  // Without a font gnuplot draws figures without a word, silently; then its letters have no size.
  const char* const check = "if (GPVAL_TERM_VCHAR < 100) printerr 'no font found; install fonts-dejavu-core'";
  const char* arguments[] = {"gnuplot", "-d", "-e", settings.c_str(), script.c_str(), "-e", check, nullptr};

  auto variables = gnuplot_environment();
  std::vector<char*> environment;
  environment.reserve(variables.size() + 1);
  for (auto& variable : variables) {
    environment.push_back(variable.data());
  }
  environment.push_back(nullptr);

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    drawing.error = errno;
    return drawing;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, (directory / "figures").c_str());
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  drawing.error = posix_spawnp(&drawing.pid, "gnuplot", &actions, nullptr, const_cast<char**>(arguments),
                               environment.data());
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  drawing.words = ends[0];
  return drawing;
}

/// Reads until gnuplot closes its end; false if the deadline or the end of `keep_going` comes first.
bool read_words(int descriptor, std::chrono::steady_clock::time_point deadline,
                const std::function<bool()>& keep_going, std::string& words) {
  while (keep_going() && std::chrono::steady_clock::now() < deadline) {
    constexpr int look_up_every = 100;  // ms
    pollfd waiting{descriptor, POLLIN, 0};
    if (poll(&waiting, 1, look_up_every) <= 0) {
      continue;
    }
    char buffer[4096];
    const ssize_t got = read(descriptor, buffer, sizeof buffer);
    if (got == 0) {
      return true;
    }
    if (got > 0) {
      words.append(buffer, static_cast<std::size_t>(got));
    }
  }
  return false;
}

/// Whether the file ends as one of its format does: on a full disk gnuplot exits with 0 and without a word.
bool has_its_end(const std::filesystem::path& path) {
  const std::string content = std::filesystem::exists(path) ? read_file(path) : "";
  const auto tail = content.substr(content.size() - std::min<std::size_t>(content.size(), 16));
  const std::string format = path.extension().string();
  return tail.find(format == ".png" ? "IEND" : format == ".svg" ? "</svg>" : "%%EOF") != std::string::npos;
}

/// The last line that says something: before an error, gnuplot repeats the line of the script.
std::string last_line(const std::string& words) {
  const auto end = words.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) {
    return "";
  }
  const auto newline = words.find_last_of("\r\n", end);
  const auto begin = newline == std::string::npos ? 0 : newline + 1;
  return words.substr(begin, end + 1 - begin);
}

/// Waits for the child and puts the figure in its place. Returns why there is none, or nothing.
/// Any word of gnuplot's is a failure: without a font it draws an empty figure, says so and exits with 0.
std::string finish_drawing(const Drawing& drawing, std::chrono::steady_clock::time_point deadline,
                           const std::function<bool()>& keep_going) {
  std::string words;
  const bool in_time = read_words(drawing.words, deadline, keep_going, words);
  if (!in_time) {
    kill(drawing.pid, SIGKILL);
  }
  close(drawing.words);
  int status = 0;
  while (waitpid(drawing.pid, &status, 0) < 0 && errno == EINTR) {
  }
  std::error_code error;
  const bool drawn = in_time && words.empty() && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  const bool whole = drawn && has_its_end(drawing.part);
  if (whole) {
    std::filesystem::rename(drawing.part, drawing.whole, error);
    return error ? error.message() : "";
  }
  std::filesystem::remove(drawing.part, error);
  if (drawn) {
    return "the file that gnuplot wrote is not complete; is the disk full?";
  }
  if (!in_time) {
    return keep_going() ? fmt::format("gnuplot took longer than {} s", kPatience.count()) : "interrupted";
  }
  return "gnuplot failed: " + (words.empty() ? fmt::format("status {}", status) : last_line(words));
}

}  // namespace

std::vector<std::string> draw(const std::vector<std::string>& names, const std::vector<FigureFormat>& formats,
                              const std::filesystem::path& directory,
                              const std::function<bool()>& keep_going) {
  std::vector<Drawing> drawings;  // all of them at once: each takes a second or so
  for (const auto& name : names) {
    for (const FigureFormat format : formats) {
      drawings.push_back(start_drawing(name, to_string(format), directory));
    }
  }
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::vector<std::string> warnings;
  bool missing = false;
  for (const Drawing& drawing : drawings) {
    if (drawing.error != 0) {
      if (drawing.words >= 0) {
        close(drawing.words);
      }
      missing = missing || drawing.error == ENOENT;
      warnings.push_back(
          fmt::format("{} not drawn: gnuplot: {}", drawing.figure, std::strerror(drawing.error)));
    } else if (const std::string reason = finish_drawing(drawing, deadline, keep_going); !reason.empty()) {
      warnings.push_back(fmt::format("{} not drawn: {}", drawing.figure, reason));
    }
  }
  if (missing) {
    return {"gnuplot not found: figures/*.gp and loss.csv are written, no figure drawn"};
  }
  return warnings;
}

}  // namespace conv_mult
