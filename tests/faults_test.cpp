// Faults of the machine, on the real executable: what is in --out afterwards is whole, and what is said is so.

#include <torch/version.h>
#include <regex>
#include "executable.hpp"
#include "options/options.hpp"
#include "output/records.hpp"
#include "run/experiment.hpp"
#include "stb/stb_image.h"
#include "train/machine.hpp"

namespace conv_mult {
namespace {
using Files = std::map<std::string, std::string>;

bool is_unfinished(const std::string& name) { return name.find(".conv_mult-") != std::string::npos; }

/// How a text ends, by its kind.
const Files endings{{".csv", "\n"},       {".gp", "\n"},   {".html", "</html>\n"},
                    {".svg", "</svg>\n"}, {".toml", "\n"}, {".tsv", "\n"}};

/// As its kind of file has to be: no part of it is missing.
void expect_whole(const std::string& name, const std::string& content) {
  const auto kind = fs::path(name).extension().string();
  if (kind == ".png") {
    int width = 0, height = 0, channels = 0;
    auto* pixels = stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(content.data()),
                                         static_cast<int>(content.size()), &width, &height, &channels, 3);
    EXPECT_NE(pixels, nullptr) << name;
    stbi_image_free(pixels);
    EXPECT_NE(content.find("IEND"), std::string::npos) << name;
  } else if (kind == ".json") {
    EXPECT_NO_THROW(parse_summary(content)) << name;
  } else if (kind == ".f32") {
    EXPECT_EQ(content.size() % sizeof(float), 0U) << name;
  } else {
    const auto end = content.rfind(endings.at(kind));
    ASSERT_NE(end, std::string::npos) << name;
    const auto last = content.substr(end);
    EXPECT_TRUE(last == endings.at(kind) || last == "</svg>\n\n") << name;
  }
  if (kind == ".toml") { EXPECT_NE(content.find("variant="), std::string::npos) << name; }
  if (kind == ".csv") {
    std::set<std::size_t> fields;
    for (const auto& line : split(content.substr(0, content.size() - 1), '\n')) { fields.insert(split(line).size()); }
    EXPECT_EQ(fields.size(), 1U) << name;
  }
}

/// A gnuplot that tells in a file beside the results that it is there.
constexpr auto hanging = "echo $$ >>../../hanging; exec sleep 1000";

/// A run with figures, of a second or so.
const std::string with_figures = "--size 20 --steps 50 --figures png --out r";

class Faults : public Executable {
 protected:
  /// What a run has left: whole files, which are gone when they are returned.
  Files taken(const std::string& out = "r") const {
    auto files = files_in(folder_ / out);
    for (const auto& [name, content] : files) {
      EXPECT_FALSE(is_unfinished(name)) << name;
      expect_whole(name, content);
    }
    fs::remove_all(folder_ / out);
    return files;
  }

  /// A run that draws nothing, for this reason, and is whole otherwise.
  Outcome expect_not_drawn(const std::string& prefix, const std::string& why) const {
    auto outcome = run(with_figures, prefix);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_NE(outcome.err.find("loss.png not drawn: " + why), std::string::npos) << outcome.err;
    EXPECT_EQ(taken().count("loss.png"), 0U) << outcome.err;
    return outcome;
  }

  /// Beside those of progress and of what is replaced.
  static void expect_one_line(const Outcome& outcome, int code, const std::string& words) {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    const std::regex others(".*(: step |: trained in | holds a run ).*\n");
    EXPECT_EQ(lines_of(std::regex_replace(outcome.err, others, "")), 1) << outcome.err;
    EXPECT_NE(outcome.err.find(words), std::string::npos) << outcome.err;
  }

  /// The prefix of a run whose gnuplot is this script.
  std::string with_gnuplot(const std::string& script) const {
    fs::create_directories(folder_ / "tools");
    std::ofstream(folder_ / "tools/gnuplot") << "#!/bin/sh\n" << script << '\n';
    fs::permissions(folder_ / "tools/gnuplot", fs::perms::owner_all);
    return "env PATH='" + (folder_ / "tools").string() + "':\"$PATH\" ";
  }

  /// What a run of next to nothing takes, LibTorch itself: VmPeak or VmHWM, in bytes.
  double idle(const std::string& key) const {
    Process process(folder_, "--steps 100000000 --size 4 --out idle");
    process.wait_for_training();
    return process.status(key);
  }

  std::mt19937 random_{20261124};
};

TEST_F(Faults, AFullDiskIsSaidAndLeavesWholeFiles) {
  if (std::system("unshare -rm sh -c 'mount -t tmpfs none /mnt' 2>/dev/null") != 0) {
    GTEST_SKIP() << "no right to mount a tmpfs here; AFileThatMayNotGrow... takes its place";
  }
  int full = 0;
  for (const auto* size : {"4k", "8k", "20k", "36k", "60k", "100k", "160k", "250k", "4m"}) {
    fs::create_directories(folder_ / "disk");
    // As they are on the disk after it was full.
    const auto outcome =
        run("--size 20 --steps 1500 --figures png,svg --out disk/r; code=\\$?; cp -r disk/r saved; exit \\$code\"",
            std::string("unshare -rm sh -c \"mount -t tmpfs -o size=") + size + " none disk && ");
    const auto files = taken("saved");
    if (outcome.code == 1) {
      ++full;
      expect_one_line(outcome, 1, "No space left on device");
      int trained = 0;  // by then; the table, where files cannot be written
      for (const std::string variant : {"baseline", "exp"}) {
        const bool said = outcome.err.find(variant + ": trained in") != std::string::npos;
        trained += said ? 1 : 0;
        EXPECT_EQ(outcome.out.find('\n' + variant + ' ') != std::string::npos, said) << outcome.err << outcome.out;
      }
      EXPECT_GE(trained, 1) << outcome.err;
    } else {
      EXPECT_EQ(outcome.code, 0) << size;
      for (const std::string figure : {"loss.png", "loss.svg", "panel.png", "panel.svg"}) {
        EXPECT_TRUE(files.count(figure) == 1 || outcome.err.find(figure + " not drawn") != std::string::npos)
            << size << figure << outcome.err;
      }
    }
  }
  EXPECT_GE(full, 3);
}

TEST_F(Faults, AFileThatMayNotGrowIsSaidAndLeavesTheOldOne) {
  ASSERT_EQ(run("--size 20 --steps 20 --figures png --out old").code, 0);
  const auto old = files_in(folder_ / "old");
  int refused = 0;
  for (int blocks = 1; blocks <= 256; blocks *= 2) {  // of 512 bytes
    fs::copy(folder_ / "old", folder_ / "r", fs::copy_options::recursive);
    // gcov's counts, too, are files that may not grow, and damaged ones would be worse than none.
    const auto outcome =
        run("--size 20 --steps 900 --figures png --out r",
            "ulimit -f " + std::to_string(blocks) + "; GCOV_PREFIX=\"$PWD/counts\" GCOV_ERROR_FILE=/dev/null");
    const auto files = taken();
    if (outcome.code == 1) {
      ++refused;
      expect_one_line(outcome, 1, "File too large");
      EXPECT_TRUE(files.count("loss.csv") == 0 || files.at("loss.csv") == old.at("loss.csv") ||
                  files.at("loss.csv").find(",0,900,") != std::string::npos)  // of the variant that was done first
          << blocks << files.at("loss.csv");
    }
  }
  EXPECT_GE(refused, 3);
}

TEST_F(Faults, AStdoutThatTakesNothingIsAnErrorAfterEverythingIsWritten) {
  for (const auto* stdout_to : {"/dev/full", "&-"}) {
    EXPECT_EQ(run(with_figures + " --quiet 2>words 1>" + stdout_to).code, 1) << stdout_to;
    EXPECT_EQ(read(folder_ / "words"), "conv_mult: cannot write to stdout\n") << stdout_to;
    EXPECT_EQ(taken().count("panel.png"), 1U) << stdout_to;
  }
}

// A closed stream's number must not become that of a file, or the table would be in loss.csv.
TEST_F(Faults, ClosedStreamsEndUpInNoFile) {
  ASSERT_EQ(run("--out whole " + std::string(small)).code, 0);
  const auto whole = files_in(folder_ / "whole");
  for (const auto* closed : {"<&-", ">&-", "2>&-", "<&- >&- 2>&-"}) {
    run(with_figures + ' ' + closed);
    const auto files = taken();
    EXPECT_EQ(files.count("loss.png"), 1U) << closed;  // gnuplot's words come through a pipe
    for (const auto* name : {"loss.csv", "weights.csv", "evaluation.csv"}) {
      EXPECT_EQ(files.at(name), whole.at(name)) << closed;
    }
  }
}

TEST_F(Faults, AReaderThatLeavesEarlyCostsNoFile) {
  for (const auto* reader : {"head -1", "true"}) {
    run(with_figures + " | " + reader);
    EXPECT_EQ(taken().count("panel.png"), 1U) << reader;
  }
  EXPECT_EQ(run("--help | head -1").out.substr(0, 5), "Can a");
}

TEST_F(Faults, NeitherAHomeNorATerminalIsNeeded) { expect_drawn(with_figures, "setsid env -i PATH=\"$PATH\""); }

TEST_F(Faults, AnOutputFolderThatVanishesIsSaidAndTheTablePrinted) {
  Process process(folder_, "--steps 100000000 --out r");
  process.wait_for_training();
  fs::remove_all(folder_ / "r");
  const auto outcome = process.end(SIGINT);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("cannot write 'r/config.toml': No such file"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.out.find("baseline"), std::string::npos) << outcome.out;
}

TEST_F(Faults, AnOutputFolderThatMayNoLongerBeWrittenIsSaidAndItsFilesStay) {
  ASSERT_EQ(run("--out r " + std::string(small)).code, 0);
  const auto old = files_in(folder_ / "r");
  const bool root = geteuid() == 0;  // whom nothing forbids anything
  if (root) { ASSERT_EQ(std::system(("chown -R 65534 '" + folder_.string() + "'").c_str()), 0); }
  Process process(folder_, "--steps 100000000 --out r", root ? "setpriv --reuid 65534 --clear-groups" : "");
  process.wait_for_training();
  fs::permissions(folder_ / "r", fs::perms::owner_read | fs::perms::owner_exec);
  const auto outcome = process.end(SIGTERM);
  fs::permissions(folder_ / "r", fs::perms::owner_all);
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("Permission denied"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.out.find("baseline"), std::string::npos) << outcome.out;
  EXPECT_EQ(files_in(folder_ / "r"), old);
}

// Before main the loader says what it lacks; from there on it is one line.
TEST_F(Faults, MemoryThatIsRefusedIsSaid) {
  if (checked_build) { GTEST_SKIP() << "the address sanitizer needs more than any limit that is tried here"; }
  const int least = static_cast<int>(idle("VmPeak") / (1 << 20));
  int refused = 0;
  for (int mebibytes = std::max(200, least - 1000); mebibytes <= least + 600; mebibytes += 100) {
    const auto outcome = run(
        "--variant relu --width 256 --steps 2 --size 60 --data image --figures none --out r",
        "ulimit -v " + std::to_string(1024 * mebibytes) + "; timeout -s KILL " + (mebibytes <= least ? "10" : "60"));
    if (outcome.err.rfind("conv_mult:", 0) == 0 && outcome.code != 0) {
      ++refused;
      EXPECT_TRUE(outcome.code == 1 || outcome.code == 2) << mebibytes;
      expect_one_line(outcome, outcome.code, "memory");
    } else if (outcome.code != 0) {             // the loader or a static object of LibTorch's
      const bool killed = outcome.code == 137;  // Debian 13's OpenBLAS asks until it gets its 128 MiB
      EXPECT_TRUE(killed || outcome.code == 127 || outcome.code == 134)
          << mebibytes << ' ' << outcome.code << outcome.err;
      EXPECT_TRUE(killed || !outcome.err.empty()) << mebibytes;
      EXPECT_LE(mebibytes, least);  // which was rounded down
    }
    taken();
  }
  EXPECT_GE(refused, 1);
}

// As a user of whom there may be no process more: root is not limited.
TEST_F(Faults, OneThreadIsEnough) {
  const auto copy = folder_ / "conv_mult";  // where that user may go, as perhaps not into root's home
  fs::copy_file(CONV_MULT_EXECUTABLE, copy);
  const bool root = geteuid() == 0;
  if (root) { ASSERT_EQ(std::system(("chown -R 65534 '" + folder_.string() + "'").c_str()), 0); }
  const std::string patience = "timeout --foreground -s KILL 100 ";
  const std::string limited = std::string(root ? "setpriv --reuid 65534 --clear-groups " : "") + "prlimit --nproc=1";
  // The autograd of LibTorch 2.6 starts a thread: there of variants with passes of their own.
  const auto* const variants = TORCH_VERSION_MAJOR < 2 ? "all" : "baseline,exp,nmu,nalu,npu,relu,bilinear";
  for (const auto& arguments :
       {std::string("--size 20 --variant ") + variants, std::string("--size 200 --data image --threads 2")}) {
    const auto outcome = run("--steps 20 --seeds 20 --out r " + arguments, patience + limited, copy.string());
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(summary_of("r")["threads"], 1);
  }
}

TEST_F(Faults, WhatCannotFitIsRefusedBeforeItIsTried) {
  for (const auto& [arguments, words] :
       {std::pair{"--size 100000000", "--size: 100000000,100000000 would need at least 2.98e+08 GiB of memory"},
        {"--size 100000000 --scene noise", "e+09 GiB of memory"},
        {"--size 20000 --variant relu --depth 64 --width 16 --data image", "--size: 20000,20000 would need at least 3"},
        {"--depth 64 --width 1024 --variant relu --size 10 --dtype float64 --seeds 64", "of memory"},
        {"--seeds 100000000 --log-every 1", "--seeds: 100000000 with a row of loss.csv every 1 of 3000 steps"}}) {
    const auto outcome = run(std::string(arguments) + " --out r", checked_build ? "" : "ulimit -v 4000000; ");
    expect_one_line(outcome, 2, words);
    EXPECT_FALSE(fs::exists(folder_ / "r")) << arguments;
  }
}

// An estimate from below, or it would refuse what fits; not far below, or it would refuse nothing.
TEST_F(Faults, TheMemoryThatIsNamedIsNeeded) {
  if (checked_build) { GTEST_SKIP() << "the address sanitizer takes memory of its own"; }
  const double libtorch = 0.75 * idle("VmHWM");
  for (const std::string arguments :
       {"--size 4000", "--size 3000 --data image", "--size 800 --scene noise --heldout-scenes 4",
        "--variant relu --depth 3 --width 512 --size 12",
        "--variant stacked-exp --depth 2 --width 64 --size 600 --data image",
        "--seeds 40000 --log-every 1 --size 12 --variant exp --heldout-scenes 0"}) {
    const Vocabulary names{{"baseline", "exp", "npu", "relu", "stacked-exp"}, {"rectangles", "noise"}};
    const auto plan = make_plan(parse_command_line(split("--steps 3 " + arguments, ' '), names, "").config);
    const auto outcome = run("--steps 3 --figures none --out r " + arguments + " 2>&1 | tail -1",
                             "env python3 -c 'import resource, subprocess, sys; subprocess.run(sys.argv[1:], "
                             "stdout=subprocess.DEVNULL); "
                             "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)'");
    const double needed = 1024 * std::stod(outcome.out) - libtorch;
    EXPECT_NO_THROW(check_memory(plan, 1.1 * needed)) << arguments;
    EXPECT_THROW(check_memory(plan, 0.05 * needed), UsageError) << arguments;
  }
}

TEST_F(Faults, WithoutGnuplotTheNumbersAndScriptsAreThere) {
  const auto outcome = run("--size 20 --steps 50 --out r", "env PATH=/nowhere");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.err.find("gnuplot not found"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("not found"), outcome.err.rfind("not found")) << outcome.err;  // once for all figures
  const auto files = taken();
  EXPECT_EQ(files.count("figures/loss.gp") + files.count("figures/loss.tsv"), 2U);
  EXPECT_EQ(files.count("loss.png"), 0U);
}

TEST_F(Faults, AGnuplotThatFailsIsSaid) {
  for (const auto* script :
       {"exit 1", "exit 126", "kill -SEGV $$", "kill -KILL $$", "exit 0", "eval \"$3\"; echo half >$drawing; exit 0"}) {
    EXPECT_EQ(expect_not_drawn(with_gnuplot(script), "").err.find("took longer"), std::string::npos) << script;
  }
}

TEST_F(Faults, AWordOfGnuplotIsANote) {
  const auto* const script = "echo 'Fontconfig error: No writable cache' >&2; PATH=/usr/bin:/bin exec gnuplot \"$@\"";
  const auto outcome = expect_drawn("--size 20 --steps 50 --out r", with_gnuplot(script));
  EXPECT_NE(outcome.err.find("gnuplot said: Fontconfig error: No writable cache"), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find("gnuplot said"), outcome.err.rfind("gnuplot said")) << outcome.err;  // once
  EXPECT_TRUE(fs::exists(folder_ / "r/loss.png") && fs::exists(folder_ / "r/panel.svg"));
}

TEST_F(Faults, TheEnvironmentChangesNoFigure) {
  ASSERT_EQ(run(with_figures + " --figures svg").code, 0);  // png,svg: one gnuplot draws both
  std::ofstream(folder_ / ".gnuplot") << "set title 'mine'; print 'gnuplot'\n";
  for (const auto* variable :
       {"GNUTERM=qt", "GNUTERM=", "GNUPLOT_LIB=/", "LC_ALL=C", "LC_ALL=de_DE.UTF-8", "XDG_CACHE_HOME=/proc",
        "LD_PRELOAD=no.so", "-u HOME", "CDPATH=/usr:/", "HOME=\"$PWD\"", "--ignore-signal=CHLD"}) {
    const auto outcome = expect_drawn(with_figures + " --figures svg --out other", "env " + std::string(variable));
    EXPECT_EQ(outcome.err.find("gnuplot"), std::string::npos) << variable << outcome.err;
    for (const auto* file : {"loss.png", "loss.svg"}) {
      EXPECT_TRUE(read(folder_ / "other" / file) == read(folder_ / "r" / file)) << variable << file;
    }
  }
}

TEST_F(Faults, AGnuplotWithoutAFontIsSaid) {
  std::ofstream(folder_ / "fonts.conf") << "<fontconfig></fontconfig>";
  expect_not_drawn("env FONTCONFIG_FILE=\"$PWD/fonts.conf\"", "");
}

TEST_F(Faults, AGnuplotThatHangsCanBeInterrupted) {
  Process process(folder_, with_figures, with_gnuplot(hanging) + "timeout --foreground -s KILL 50");
  process.wait_for_lines("hanging", 4);
  process.send(SIGTERM);  // waits for gnuplot, a second one does not
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(process.end(SIGTERM).code, 143);
  EXPECT_EQ(summary_of("r")["status"], "complete");
  taken();
}

// Of a whole terminal's processes gnuplot is one.
TEST_F(Faults, CtrlCEndsAGnuplotThatHangs) {
  Process process(folder_, with_figures, with_gnuplot(hanging));
  process.wait_for_lines("hanging", 4);
  process.type("\x03");
  const auto outcome = process.wait();
  EXPECT_EQ(outcome.code, 130);
  EXPECT_NE(outcome.err.find("interrupted while the figures were drawn"), std::string::npos) << outcome.err;
  taken();
}

TEST_F(Faults, AFigureThatIsBeingDrawnWhenASignalComesIsFinished) {
  const auto slow = with_gnuplot("echo $$ >>../../drawing; sleep 1; PATH=/usr/bin:/bin exec gnuplot \"$@\"");
  Process process(folder_, with_figures, slow);
  process.wait_for_lines("drawing", 4);
  const auto outcome = process.end(SIGTERM);
  EXPECT_EQ(outcome.code, 143);
  EXPECT_EQ(outcome.err.find("not drawn"), std::string::npos) << outcome.err;
  const auto files = taken();
  EXPECT_EQ(files.count("loss.png") + files.count("panel.png"), 2U);
}

/// A suite of its own: it waits for a minute.
class FaultsPatience : public Faults {};

TEST_F(FaultsPatience, AGnuplotThatHangsIsGivenUp) {
  expect_not_drawn(with_gnuplot(hanging), "gnuplot took longer than 60 s");
}

TEST_F(FaultsPatience, ALogHasALineAfterAMinute) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  Process process(folder_, "--steps 100000000 --out r 2>log");
  while (read(folder_ / "log").empty() && Clock::now() - start < std::chrono::minutes(10)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_GE(Clock::now() - start, std::chrono::minutes(1));
  const auto line = read(folder_ / "log");
  EXPECT_TRUE(line.find(" left; ") < 40 && line.find(": step ") != std::string::npos) << line;
}

TEST_F(Faults, ASecondRunIntoTheSameFolderIsRefused) {
  Process first(folder_, "--steps 100000000 --out r");
  first.wait_for_training();
  expect_one_line(run("--out r " + std::string(small)), 1, "another run is writing into 'r'");
  EXPECT_TRUE(files_in(folder_ / "r").empty());
  EXPECT_EQ(run("--no-lock --out r " + std::string(small)).code, 0);  // told otherwise
  EXPECT_EQ(run("--out ./r/../other " + std::string(small)).code, 0);
  first.end(SIGKILL);
  EXPECT_EQ(run("--out r " + std::string(small)).code, 0);  // nothing has to be cleared away by hand
}

TEST_F(Faults, AFolderThatCannotBeLockedIsSaid) {
  if (checked_build) { GTEST_SKIP() << "the address sanitizer wants to be loaded first"; }
  const auto outcome = run("--out r " + std::string(small), "env LD_PRELOAD='" TEST_NO_FLOCK "'");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err.rfind("conv_mult: 'r' cannot be locked (No locks available)", 0), 0U) << outcome.err;
}

/// Kills runs of B in a folder that holds A, each after a random share of the time that B takes.
class FaultsKilled : public Faults {
 protected:
  const std::string a_ = "--size 20 --steps 100 --seeds 2 --figures png --out ";
  const std::string b_ =
      "--size 20 --steps 4000 --seeds 2 --data literal --variant exp,baseline,nmu --figures png --out ";

  void SetUp() override {
    Executable::SetUp();
    ASSERT_EQ(run(a_ + "a").code, 0);
    const auto start = std::chrono::steady_clock::now();
    ASSERT_EQ(run(b_ + "b").code, 0);
    time_ = std::chrono::steady_clock::now() - start;
    a_files_ = files_in(folder_ / "a");
    b_files_ = files_in(folder_ / "b");
  }

  /// What is then there is judged, too.
  Outcome end_by(int signal) {
    fs::remove_all(folder_ / "r");
    fs::copy(folder_ / "a", folder_ / "r", fs::copy_options::recursive);
    Process process(folder_, b_ + "r");
    std::this_thread::sleep_for(time_ * std::uniform_real_distribution<>(0, 1.1)(random_));
    const auto outcome = process.end(signal);
    expect_old_or_new(signal != SIGKILL);
    return outcome;
  }

  /// Each file is A's, B's, or of B's tables what there was after one of its rows; if B was interrupted, the two
  /// seeds of each block in training end with a loss, and a line of runs.csv, that B's tables need not have.
  void expect_old_or_new(bool interrupted) const {
    const bool begun = read(folder_ / "r/config.toml").find("4000") != std::string::npos;
    for (const auto& [name, content] : files_in(folder_ / "r")) {
      if (is_unfinished(name)) { continue; }
      expect_whole(name, content);
      const bool old = a_files_.count(name) == 1 && content == a_files_.at(name);
      bool is_new = b_files_.count(name) == 1 && (differs_each_time(name) || content == b_files_.at(name));
      if (!old && !is_new && fs::path(name).extension() == ".csv") {
        const auto lines = split(content, '\n');
        const auto whole = split(b_files_.at(name), '\n');
        const auto unknown =
            std::count_if(lines.begin(), lines.end(), [&](auto& line) { return !contains(whole, line); });
        const auto in_training = 2 * usable_cores();
        is_new = unknown <= (interrupted && (name == "loss.csv" || name == "runs.csv") ? in_training : 0);
      }
      EXPECT_TRUE(old || is_new) << name;
      EXPECT_TRUE(is_new || !begun) << name << " is of another run than config.toml";
    }
  }

  /// --resume makes of what is there what the whole run leaves.
  void expect_resumed() const {
    const auto config = read(folder_ / "r/config.toml");
    const bool is_a = !config.empty() && config.find("4000") == std::string::npos;
    expect_drawn((is_a ? a_ : b_) + "r --resume");
    expect_same_results("r", is_a ? "a" : "b");
  }

  std::chrono::duration<double> time_{};
  Files a_files_, b_files_;
};

TEST_F(FaultsKilled, AKillLeavesEveryFileOldOrNewOrAbsent) {
  std::map<std::size_t, int> seen;
  for (int i = 0; i < (checked_build ? 12 : 120); ++i) {
    end_by(SIGKILL);
    ++seen[files_in(folder_ / "r").size()];
    if (i % 4 == 0) { expect_resumed(); }
  }
  EXPECT_GE(seen.size(), checked_build ? 1U : 3U);  // or the moments were not that different
}

TEST_F(FaultsKilled, ASignalAtAnyMomentLeavesWholeFiles) {
  std::map<int, int> seen;
  for (int i = 0; i < (checked_build ? 12 : 60); ++i) {
    const int signal = i % 2 == 0 ? SIGINT : SIGTERM;
    const auto outcome = end_by(signal);
    ++seen[outcome.code];
    EXPECT_TRUE(outcome.code == 128 + signal || outcome.code == 0) << outcome.code << outcome.err;
    if (i % 6 == 0) { expect_resumed(); }
  }
  EXPECT_GE(seen[130], 1);
  EXPECT_GE(seen[143], 1);
}
}  // namespace
}  // namespace conv_mult
