// The contract of the command line, on the real executable.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace conv_mult {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Outcome {
  int code;
  std::string out, err;
};

class Cli : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "conv_mult-cli-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// Runs conv_mult in the test's folder; `arguments` is shell text, `prefix` goes before the executable.
  Outcome run(const std::string& arguments, const std::string& prefix = "") const {
    const std::string command = "cd '" + folder_.string() + "' && " + prefix + " '" + CONV_MULT_EXECUTABLE +
                                "' " + arguments + " >stdout 2>stderr </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(folder_ / "stdout"), read(folder_ / "stderr")};
  }

  /// Wrong usage: its exit code, one line on stderr that holds `word`, nothing on stdout, nothing written.
  void expect_usage_error(const std::string& arguments, const std::string& word) const {
    const auto outcome = run(arguments + " --out r");
    EXPECT_EQ(outcome.code, 2) << arguments;
    EXPECT_EQ(outcome.out, "") << arguments;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_NE(outcome.err.find(word), std::string::npos) << outcome.err;
    EXPECT_FALSE(fs::exists(folder_ / "r")) << arguments;
  }

  fs::path folder_;
};

constexpr auto small = "--size 20 --steps 50 --figures none ";

TEST_F(Cli, WritesTheDocumentedFiles) {
  const auto outcome = run("--size 20 --steps 50 --out r --figures png,svg,pdf");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out.substr(0, 7), "variant");
  EXPECT_EQ(outcome.err.find("warning"), std::string::npos) << outcome.err;
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / "r")) {
    if (entry.is_regular_file()) {
      files.push_back(fs::relative(entry.path(), folder_ / "r").string());
      EXPECT_GT(entry.file_size(), 0U) << files.back();
    }
  }
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files,
            (std::vector<std::string>{"a.png", "b.png", "config.toml", "error-baseline.png", "error-exp.png",
                                      "figures/loss.gp", "figures/panel.gp", "loss.csv", "loss.pdf",
                                      "loss.png", "loss.svg", "output-baseline.png", "output-exp.png",
                                      "panel.pdf", "panel.png", "panel.svg", "summary.json", "target.png"}));
  const auto csv = read(folder_ / "r/loss.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 2 * 51);
}

TEST_F(Cli, NoPictureOfAnOlderRunStays) {
  ASSERT_EQ(run("--size 20 --steps 5 --figures png --out r").code, 0);
  ASSERT_TRUE(fs::exists(folder_ / "r/panel.png"));
  std::ofstream(folder_ / "r/output-mine.png") << "not ours";
  ASSERT_EQ(run("--variant exp --out r " + std::string(small)).code, 0);
  EXPECT_TRUE(fs::exists(folder_ / "r/output-exp.png"));
  EXPECT_TRUE(fs::exists(folder_ / "r/output-mine.png"));
  for (const auto* name : {"output-baseline.png", "error-baseline.png", "loss.png", "panel.png"}) {
    EXPECT_FALSE(fs::exists(folder_ / "r" / name)) << name;
  }
}

TEST_F(Cli, ARunIsRepeatedFromItsOwnConfiguration) {
  ASSERT_EQ(run("--variant exp --seed 3 --lr 0.02 --out r " + std::string(small)).code, 0);
  ASSERT_EQ(run("--config r/config.toml --out r2").code, 0);
  EXPECT_EQ(read(folder_ / "r/loss.csv"), read(folder_ / "r2/loss.csv"));
  EXPECT_EQ(read(folder_ / "r/loss.csv").find("baseline"), std::string::npos);
}

TEST_F(Cli, BothFormsOfTheDataGiveTheSameResult) {
  const auto final_losses = [&](const std::string& form) {
    EXPECT_EQ(run("--dtype float64 --data " + form + " --out " + form + ' ' + small).code, 0);
    const auto summary = nlohmann::json::parse(read(folder_ / form / "summary.json"));
    EXPECT_EQ(summary["data"]["form"], form);
    return std::vector<double>{summary["variants"][0]["final_loss"]["median"],
                               summary["variants"][1]["final_loss"]["median"]};
  };
  const auto image = final_losses("image");
  const auto patches = final_losses("patches");
  EXPECT_NEAR(image[0] / patches[0], 1, 1e-9);
  EXPECT_NEAR(image[1] / patches[1], 1, 1e-9);
}

TEST_F(Cli, SmokeConfigurationHoldsItsRatioAndFailsAnImpossibleOne) {
  const std::string smoke = "--out r --config '" CONV_MULT_SOURCE_DIR "/configs/smoke.toml' --require-ratio ";
  EXPECT_EQ(run(smoke + "0.2").code, 0);
  const auto impossible = run(smoke + "1e-9");
  EXPECT_EQ(impossible.code, 3);
  EXPECT_NE(impossible.err.find("--require-ratio 1e-09"), std::string::npos) << impossible.err;
  EXPECT_TRUE(fs::exists(folder_ / "r/summary.json"));
}

TEST_F(Cli, EveryConfigurationRuns) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(CONV_MULT_SOURCE_DIR "/configs")) {
    const auto outcome =
        run("--config '" + entry.path().string() + "' --out " + entry.path().stem().string());
    EXPECT_EQ(outcome.code, 0) << entry.path() << outcome.err;
    ++count;
  }
  EXPECT_GE(count, 2);
  EXPECT_TRUE(fs::exists(folder_ / "blog/panel.pdf"));  // the blog's figures
}

TEST_F(Cli, HelpAndVersionGoToStdout) {
  const auto version = run("--version");
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out.rfind("conv_mult 1.0.0 (LibTorch ", 0), 0U) << version.out;
  EXPECT_NE(version.out.find("CUDA"), std::string::npos);
  EXPECT_EQ(run("--help").code, 0);
  EXPECT_NE(run("--help").out.find("--rect-a"), std::string::npos);
}

TEST_F(Cli, WrongUsageIsOneLineAndWritesNothing) {
  expect_usage_error("--no-such-option", "--no-such-option");
  expect_usage_error("--steps many", "many");
  expect_usage_error("--variant cubic", "baseline, exp");
  expect_usage_error("--kernel-size 4", "even");
  expect_usage_error("--rect-a 60,0,50,10,1", "100x100");
  expect_usage_error("--config /no/such/file", "/no/such/file");
  std::ofstream(folder_ / "bad.toml") << "stepz = 7\n";
  expect_usage_error("--config bad.toml", "stepz");
}

// Where a GPU is at hand, a device number that cannot exist takes the place of the missing device.
TEST_F(Cli, AMissingDeviceIsWrongUsage) {
  const bool has_gpu = run("--device cuda --out probe " + std::string(small)).code == 0;
  expect_usage_error(has_gpu ? "--device cuda:99" : "--device cuda", "cuda");
}

TEST_F(Cli, AnOutputFolderThatCannotBeWrittenFailsBeforeTraining) {
  std::ofstream(folder_ / "file") << "in the way";
  for (const auto* out : {"file", "file/below", "/proc/conv_mult"}) {
    const auto outcome = run(std::string("--out ") + out);
    EXPECT_EQ(outcome.code, 1) << out;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_NE(outcome.err.find(out), std::string::npos) << outcome.err;
  }
  EXPECT_EQ(read(folder_ / "file"), "in the way");
}

TEST_F(Cli, NoOverlapIsAllowedWithAWarning) {
  const auto outcome =
      run("--size 20 --steps 20 --rect-a 0,0,5,5,1 --rect-b 10,10,5,5,2 --out r --figures png");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.err.find("warning: the rectangles do not overlap"), std::string::npos) << outcome.err;
  const auto summary = nlohmann::json::parse(read(folder_ / "r/summary.json"));
  EXPECT_EQ(summary["data"]["target_norm"], 0);
  EXPECT_TRUE(summary["variants"][0]["relative_error"].is_null());
}

TEST_F(Cli, ADivergedRunIsAResult) {
  const auto outcome =
      run("--variant exp,baseline --optimizer sgd --lr 1e30 --out r --figures png --size 20");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("diverged at step"), std::string::npos) << outcome.out;
  const auto summary = nlohmann::json::parse(read(folder_ / "r/summary.json"));
  EXPECT_EQ(summary["variants"][1]["runs"][0]["status"], "diverged");
  EXPECT_TRUE(summary["variants"][1]["runs"][0]["final_loss"].is_null());
}

TEST_F(Cli, AnInterruptedRunKeepsWhatItHas) {
  for (const auto& [signal, code] : {std::pair{"INT", 130}, std::pair{"TERM", 143}}) {
    const auto outcome =
        run("--steps 100000000 --out r", std::string("timeout --preserve-status -s ") + signal + " 3");
    EXPECT_EQ(outcome.code, code) << outcome.err;
    const auto summary = nlohmann::json::parse(read(folder_ / "r/summary.json"));
    EXPECT_EQ(summary["status"], "interrupted");
    EXPECT_EQ(summary["variants"][0]["runs"][0]["status"], "interrupted");
    EXPECT_GT(fs::file_size(folder_ / "r/loss.csv"), 1000U);
    fs::remove_all(folder_ / "r");
  }
}

TEST_F(Cli, QuietLeavesStderrEmpty) { EXPECT_EQ(run("--quiet --out r " + std::string(small)).err, ""); }

}  // namespace
}  // namespace conv_mult
