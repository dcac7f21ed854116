// random_commands COUNT [SEED]: runs conv_mult's main on random command lines and configuration files, each in a
// process of its own, forked from this one that has LibTorch loaded already. No crash, no hang, no exit code outside of
// the contract, and an error is one line. Stops at the first command that breaks this.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include "output/records.hpp"

int conv_mult_main(int argc, char** argv);

namespace {
namespace fs = std::filesystem;
using conv_mult::read_file, conv_mult::split, conv_mult::Texts;

std::mt19937_64 random_engine;

std::size_t below(std::size_t n) { return random_engine() % n; }

const std::string& any(const Texts& texts) { return texts[below(texts.size())]; }

/// Of each option, what it takes.
const std::map<std::string, Texts> options{
    {"variant",
     {"baseline", "exp", "log-exp", "nmu", "nalu", "nac-mul", "npu", "stacked-exp", "relu", "bilinear", "square",
      "inalu", "snmu", "all", "exp,nmu"}},
    {"depth", {"1", "2", "1,3", "64"}},
    {"width", {"1", "8", "2,3", "1024"}},
    {"seed", {"0", "7", "4294967296", "9223372036754775000"}},
    {"seeds", {"1", "2", "5", "100000000"}},
    {"shard", {"1/1", "1/2", "2/2", "5/5"}},
    {"success", {"auto", "near-exact", "near-exact=1e-4", "mse=0.5", "0.5", "1e-30", "1e30"}},
    {"kernel-size", {"1", "3", "5", "31"}},
    {"data", {"auto", "image", "patches", "literal"}},
    {"load-model", {"model.pt", "damaged.pt", "model.pt,model.pt"}},
    {"scene", {"rectangles", "noise", "noise,rectangles"}},
    {"size", {"1", "8", "5,9", "300", "1,1", "1000000000"}},
    {"rect-a", {"0,0,1,1,1", "1,2,3,4,-5", "0,0,8,8,1e308", "0,0,2,2,1e-320", "0,0,2,2,0"}},
    {"rect-b", {"0,0,1,1,1", "1,2,3,4,-5", "0,0,8,8,1e308", "0,0,2,2,1e-320", "0,0,2,2,0"}},
    {"range", {"1,2", "-2,2", "-1e308,1e308", "0,1e-320", "1e30,1e31"}},
    {"test-range", {"2,4", "-4,-2,2,4", "0,1e308"}},
    {"scene-seed", {"0", "4294967295"}},
    {"resample", {"true", "false"}},
    {"heldout-scenes", {"0", "1", "3", "1000"}},
    {"heldout-seed", {"1", "4294967295"}},
    {"heldout-values", {"0.5,4", "-1,1", "-1e308,1e308"}},
    {"steps", {"0", "1", "5", "30", "100000000"}},
    {"optimizer", {"adam", "adamw", "rmsprop", "sgd", "adam,sgd"}},
    {"lr", {"0.01", "1e300", "1e-320", "0.1,0.2", "0.01,npu=0.1", "exp=1"}},
    {"loss", {"l2", "mse"}},
    {"nmu-sparsity", {"10", "0", "1,2,3", "1e308,0,0"}},
    {"check-every", {"1", "7", "100000000"}},
    {"device", {"auto", "cpu", "cuda", "cuda:3"}},
    {"threads", {"1", "2", "1024"}},
    {"dtype", {"float32", "float64"}},
    {"out", {"r", "./r/../r", "a b'\"%\\#", "\xc3\xa4\n", "file", "file/x", "missing/below"}},
    {"figures", {"none", "none", "none", "none", "none", "none", "none", "none", "none", "png", "svg,pdf"}},
    {"log-every", {"1", "3", "100000000"}},
    {"save-model", {"true", "false"}},
    {"no-lock", {"true"}},
    {"require-ratio", {"0.5", "1e300"}},
    {"quiet", {"true", "false"}},
    {"config", {"settings.toml", "settings.toml", "settings.toml", "none.toml", "."}},
    {"resume", {"true"}},
    {"help", {""}},
    {"version", {""}}};

/// What no option wants, but where it is text.
const Texts hostile = split(
    "|-|--|nan|inf|-inf|1e400|1e-400|0|-0|-1|,|,,|1,|[1,2]|[|{}|a\nb|\x01|\xff|%s%n|\"|'|\xc3\xa9|1/0|=|npu=|=1|#|\\|"
    "0x10|1e3|1.5|true|exp=nan|/dev/full|1;2| |~|$(id)|..|1,2,3,4,5,6,7|99999999999999999999|-9223372036854775808|" +
        std::string(5000, '9') + '|' + std::string(100, ','),
    '|');

std::string mutated(std::string text) {
  for (std::size_t n = below(4); n > 0 && !text.empty(); --n) {
    const auto at = below(text.size());
    switch (below(4)) {
      case 0: text.erase(at, 1); break;
      case 1: text.insert(at, 1, static_cast<char>(1 + below(255))); break;
      case 2: text[at] = static_cast<char>(1 + below(255)); break;
      default: text.insert(at, text.substr(below(text.size()), 3));
    }
  }
  return text;
}

std::string value_of(const Texts& good) {
  const auto kind = below(20);
  return kind < 16 ? any(good) : kind < 18 ? any(hostile) : mutated(any(good));
}

auto any_option() { return std::next(options.begin(), static_cast<std::ptrdiff_t>(below(options.size()))); }

Texts random_arguments() {
  Texts arguments{"conv_mult"};
  if (const auto other = below(60); other == 0) {
    return {"conv_mult", "report", any({"r", "r", "file", "", "s", "--out", "r/"})};
  } else if (other <= 2) {
    arguments.insert(arguments.end(), {"merge", any({"r", "r", "file", "", "s"}), any({"r", "s", "--out"})});
  } else {  // small, unless something below says otherwise
    arguments.insert(arguments.end(), {"--size=8", "--steps=4", "--heldout-scenes=1", "--figures=none", "--out=r"});
  }
  for (std::size_t n = below(6); n > 0; --n) {
    const auto& [name, good] = *any_option();
    const auto value = value_of(good);
    if (value == "true" || good.front().empty()) {
      arguments.push_back("--" + name);
    } else if (below(2) == 0) {
      arguments.push_back("--" + name + '=' + value);
    } else {
      arguments.insert(arguments.end(), {"--" + name, value});
    }
  }
  return below(20) == 0 ? (arguments.push_back(any(hostile)), arguments) : arguments;
}

std::string random_settings() {
  std::string toml;
  for (std::size_t n = below(5); n > 0; --n) {
    const auto& [name, good] = *any_option();
    const auto value = value_of(good);
    const bool bare = value.find_first_not_of("0123456789.-etruafls") == std::string::npos;
    toml += name + " = " + (bare ? value : '"' + value + '"') + '\n';
  }
  return below(4) == 0 ? mutated(toml) : toml;
}

int exit_code(Texts arguments) {
  const auto child = fork();
  if (child < 0) {  // nor is there anyone to be signalled: -1 is everyone
    std::perror("random_commands: no further process");
    std::exit(1);
  }
  if (child == 0) {
#ifndef __SANITIZE_ADDRESS__
    const rlimit memory{4UL << 30, 4UL << 30};
    setrlimit(RLIMIT_AS, &memory);
#endif
    dup2(open("stdout", O_WRONLY | O_CREAT | O_TRUNC, 0666), STDOUT_FILENO);
    dup2(open("stderr", O_WRONLY | O_CREAT | O_TRUNC, 0666), STDERR_FILENO);
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    std::vector<char*> argv;
    for (auto& argument : arguments) { argv.push_back(argument.data()); }
    argv.push_back(nullptr);
    _exit(conv_mult_main(static_cast<int>(arguments.size()), argv.data()));
  }
  int status = 0;
  for (int milliseconds = 0; waitpid(child, &status, WNOHANG) == 0; ++milliseconds) {  // or more, on busy cores
    if (milliseconds == 3'000) { kill(child, SIGTERM); }   // it is long because it was asked to be
    if (milliseconds == 60'000) { kill(child, SIGKILL); }  // it hangs
    usleep(1000);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// What is wrong with how the command ended, or nothing.
std::string complaint(int code) {
  const auto words = read_file("stderr");
  if (code != 0 && code != 1 && code != 2 && code != 3 && code != 143) { return "exit code " + std::to_string(code); }
  if ((code == 1 || code == 2) && (std::count(words.begin(), words.end(), '\n') != 1 || words.size() < 20)) {
    for (const auto* note : {" holds a run of other settings", ": step ", ": trained in "}) {  // on a line of its own
      if (words.find(note) != std::string::npos) { return ""; }
    }
    return "an error that is not one line";
  }
  if (code == 0 && fs::exists("r/summary.json")) {
    try {
      conv_mult::parse_summary(read_file("r/summary.json"));
    } catch (const std::exception& error) { return error.what(); }
  }
  return "";
}
}  // namespace

int main(int argc, char** argv) {
  const long count = argc > 1 ? std::stol(argv[1]) : 100;
  random_engine.seed(argc > 2 ? std::stoul(argv[2]) : 1);
  std::string folder = (fs::temp_directory_path() / "conv_mult-random-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) { return 1; }
  fs::current_path(folder);
  std::ofstream("file") << "in the way";
  const auto saving = split("conv_mult --size=8 --steps=1 --variant=exp --figures=none --save-model --out=s", ' ');
  if (exit_code(saving) != 0) { return 1; }
  fs::copy("s/model-exp.pt", "model.pt");
  std::ofstream("damaged.pt") << read_file("model.pt").substr(0, 500);
  std::map<int, long> codes;
  for (long i = 0; i < count; ++i) {
    if (i % 20 == 0) { fs::remove_all("r"); }  // so that --resume finds something, but not everything
    std::ofstream("settings.toml") << random_settings();
    const auto arguments = random_arguments();
    const int code = exit_code(arguments);
    ++codes[code];
    if (const auto wrong = complaint(code); !wrong.empty()) {
      const auto words = nlohmann::json(arguments).dump(2, ' ', true, nlohmann::json::error_handler_t::replace);
      std::printf("%s, command %ld in %s:\n%s\n%s\n%s\n", wrong.c_str(), i, folder.c_str(), words.c_str(),
                  read_file("settings.toml").c_str(), read_file("stderr").c_str());
      return 1;
    }
  }
  for (const auto& [code, times] : codes) { std::printf("exit code %d: %ld\n", code, times); }
  fs::current_path("/");
  fs::remove_all(folder);
}
