#pragma once
// Runs the real executable and looks at what it leaves; and a result as it might have left it.

#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nlohmann/json.hpp>
#include "run/results.hpp"

namespace conv_mult {
namespace fs = std::filesystem;

inline std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::ptrdiff_t lines_of(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

#ifdef CONV_MULT_CHECK
inline constexpr bool checked_build = true;  // in which a process takes 20 TB of addresses and is slow
#else
inline constexpr bool checked_build = false;
#endif

/// A run of half a second or less.
inline constexpr auto small = "--size 20 --steps 50 --figures none ";

/// Every file below the folder, by its path there.
inline std::map<std::string, std::string> files_in(const fs::path& folder) {
  std::map<std::string, std::string> files;
  if (fs::exists(folder)) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) { files[fs::relative(entry.path(), folder)] = read(entry.path()); }
    }
  }
  return files;
}

/// Of runs of the same settings: it holds the time, seconds or the name of the folder.
inline bool differs_each_time(const fs::path& name) {
  return name == "summary.json" || name == "config.toml" || name == "figures/rows.tsv" || name == "report.html" ||
         name.extension() == ".svg";
}

/// A summary without what a clock or the name of the folder put into it.
inline nlohmann::json timeless(const std::string& text) {
  auto summary = nlohmann::json::parse(text);
  for (auto& variant : summary["variants"]) { variant.erase("seconds"); }
  summary.erase("checksum");
  summary["files"].erase("config.toml");
  return summary;
}

struct Outcome {
  int code;
  std::string out, err;
};

class TemporaryFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "conv_mult-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    // Not by fs::remove_all: PyTorch's wheel of 2.11 has one of its own in libtorch.so, which jumps to nowhere.
    // A test may be skipped before it has a folder.
    if (!folder_.empty()) { EXPECT_EQ(std::system(("rm -rf '" + folder_.string() + "'").c_str()), 0); }
  }

  fs::path folder_;
};

class Executable : public TemporaryFolder {
 protected:
  /// Runs conv_mult in the test's folder; `arguments` is shell text, `prefix` goes before the executable. Both may
  /// redirect what is otherwise the outcome.
  Outcome run(const std::string& arguments, const std::string& prefix = "",
              const std::string& executable = CONV_MULT_EXECUTABLE) const {
    const std::string command = "cd '" + folder_.string() + "' && exec >stdout 2>stderr </dev/null; " + prefix + " '" +
                                executable + "' " + arguments;
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(folder_ / "stdout"), read(folder_ / "stderr")};
  }

  nlohmann::json summary_of(const std::string& out) const {
    return nlohmann::json::parse(read(folder_ / out / "summary.json"));
  }

  /// Two folders hold the same files, but for what differs each time.
  void expect_same_results(const std::string& one, const std::string& other) const {
    const auto files = files_in(folder_ / one);
    const auto expected = files_in(folder_ / other);
    EXPECT_EQ(files.size(), expected.size()) << one;
    for (const auto& [name, content] : expected) {
      ASSERT_EQ(files.count(name), 1U) << one << ' ' << name;
      EXPECT_TRUE(differs_each_time(name) || files.at(name) == content) << one << ' ' << name;
    }
    EXPECT_TRUE(timeless(files.at("summary.json")) == timeless(expected.at("summary.json"))) << one;
  }

  /// A run that succeeds and draws every figure that it is asked for.
  Outcome expect_drawn(const std::string& arguments, const std::string& prefix = "") const {
    auto outcome = run(arguments, prefix);
    EXPECT_EQ(outcome.code, 0) << arguments << outcome.err;
    EXPECT_EQ(outcome.err.find("not drawn"), std::string::npos) << arguments << outcome.err;
    return outcome;
  }

  /// A failure: its exit code and one line on stderr that holds `word`.
  Outcome expect_failure(const std::string& arguments, const std::string& word, int code = 1) const {
    auto outcome = run(arguments);
    EXPECT_EQ(outcome.code, code) << arguments << outcome.err;
    EXPECT_EQ(lines_of(outcome.err), 1) << outcome.err;
    EXPECT_NE(outcome.err.find(word), std::string::npos) << outcome.err;
    return outcome;
  }

  /// Wrong usage: in addition nothing on stdout, nothing written.
  void expect_usage_error(const std::string& arguments, const std::string& word) const {
    EXPECT_EQ(expect_failure(arguments + " --out r", word, 2).out, "") << arguments;
    EXPECT_FALSE(fs::exists(folder_ / "r")) << arguments;
  }
};

/// Runs a script of tests/ in the folder; `script` is shell text.
inline void run_python(const fs::path& folder, const std::string& script) {
  const std::string command = "cd '" + folder.string() + "'; python=/usr/bin/python3; " +
                              "$python -c 'import torch' 2>/dev/null || python=python3; $python" +
                              " '" CONV_MULT_SOURCE_DIR "/tests/'" + script;
  ASSERT_EQ(std::system(command.c_str()), 0) << "Debian's python3-torch, or a python3 that has torch";
}

/// conv_mult at work, with a terminal for its stderr.
class Process {
 public:
  /// `arguments` and `prefix` as for Executable::run.
  Process(const fs::path& folder, const std::string& arguments, const std::string& prefix = "") : folder_(folder) {
    const std::string command = "cd '" + folder.string() + "' && exec " + prefix + " '" + CONV_MULT_EXECUTABLE + "' " +
                                arguments + " >stdout </dev/null";
    id_ = forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (id_ < 0) {  // nor is there anyone to be signalled: -1 is everyone
      throw std::system_error(errno, std::generic_category(), "this machine gives no terminal (/dev/ptmx, /dev/pts)");
    }
    if (id_ == 0) {
      for (int signal = 1; signal < NSIG; ++signal) { std::signal(signal, SIG_DFL); }  // whatever started the tests
      setenv("TERM", "xterm", 1);
      unsetenv("NO_COLOR");
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
  }
  ~Process() {
    if (id_ > 0) { end(SIGKILL); }
    close(terminal_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// Until the terminal has shown the text, or the end.
  void wait_for(const std::string& text) {
    while (words_.find(text) == std::string::npos && read_words()) {}
  }
  /// Until the file has so many lines, or the end.
  void wait_for_lines(const fs::path& file, std::ptrdiff_t count) {
    pollfd shown{terminal_, POLLIN, 0};
    while (lines_of(read(folder_ / file)) < count && (poll(&shown, 1, 20) == 0 || read_words())) {}
  }
  /// Until there is a progress line, or the end.
  void wait_for_training() { wait_for(": step "); }

  /// VmPeak, VmHWM or the like, in bytes: proc(5).
  double status(const std::string& key) const { return 1024 * std::stod(status_of(key)); }

  /// Whether the kernel drops the signal for it: proc(5).
  bool ignores(int signal) const { return (std::stoull(status_of("SigIgn"), nullptr, 16) >> (signal - 1) & 1) != 0; }

  /// Nothing once it has ended: another may have its number.
  void send(int signal) const {
    if (id_ > 0) { kill(id_, signal); }
  }

  /// On its keyboard.
  void type(const std::string& keys) const {
    EXPECT_EQ(write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }

  /// Its end; a signal's number is the code less 128, as a shell has it. `err` is what the terminal showed.
  Outcome wait() {
    while (read_words()) {}
    int status = 0;
    if (id_ > 0) { waitpid(id_, &status, 0); }
    id_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read(folder_ / "stdout"), words_};
  }

  /// Its end after this signal.
  Outcome end(int signal) {
    send(signal);
    return wait();
  }

 private:
  /// All that follows the key in proc(5)'s status; 0 where there is none.
  std::string status_of(const std::string& key) const {
    const auto text = read("/proc/" + std::to_string(id_) + "/status");
    const auto at = text.find('\n' + key + ':');
    return at == std::string::npos ? "0" : text.substr(at + key.size() + 2);
  }

  /// False once the terminal is closed.
  bool read_words() {
    char buffer[4096];
    const auto got = ::read(terminal_, buffer, sizeof buffer);
    if (got > 0) { words_.append(buffer, static_cast<std::size_t>(got)); }
    return got > 0;
  }

  fs::path folder_;
  pid_t id_ = -1;
  int terminal_ = -1;
  std::string words_;
};

/// A run that went through these losses, in float32.
inline RunRecord run_of(std::int64_t seed, const std::vector<double>& losses, std::int64_t steps) {
  Config config;
  config.steps = steps;
  config.log_every = 2;
  Recorder recorder(seed, 1, config, 0.5);
  std::int64_t step = 0;
  for (const double loss : losses) { recorder.take(step++, &loss); }
  auto run = recorder.finish().front();
  run.weights = {0.1F, 1e30F};
  if (run.final_loss) { run.split_losses = {*run.final_loss, 0.3}; }
  return run;
}

/// baseline: a run of three steps; exp: one that diverges at its first.
inline ExperimentResult sample() {
  ExperimentResult result;
  result.dtype = "float32";
  auto& scene = result.scenes.emplace_back();
  scene.splits = {{"train", "", 1, 10, 6}, {"moved", "other places", 4, 2, 24}};
  scene.success_error = 0.05;
  scene.success_norm = 0.5;
  scene.target = at::zeros({2, 3});
  for (const auto& [variant, losses] :
       std::map<std::string, std::vector<double>>{{"baseline", {8, 7, 6, 5.1F}}, {"exp", {8, NAN}}}) {
    auto& row = result.variants.emplace_back();
    row.variant = variant;
    row.optimizer = "adam";
    row.learning_rate = 0.01;
    row.parameters = 2;
    row.seconds = 0.5;
    row.runs = {run_of(4, losses, 3)};
    row.statistics = statistics_of(row.runs, scene);
  }
  result.variants[0].floor = 5.0;
  return result;
}
}  // namespace conv_mult
