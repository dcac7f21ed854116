// Hostile input, on the real executable: what is said is one line, and nothing of a user's text is interpreted.

#include <regex>
#include "executable.hpp"
#include "output/records.hpp"
#include "variants/variant.hpp"

namespace conv_mult {
namespace {
std::string shell_quoted(const std::string& text) {
  return "'" + std::regex_replace(text, std::regex("'"), R"('\'')") + "'";
}

class Hostile : public Executable {};

TEST_F(Hostile, NoNameOfAFolderIsInterpreted) {
  const std::string run_options = "--size 20 --steps 50 --figures svg ";
  ASSERT_EQ(run(run_options + "--out plain").code, 0);
  for (const std::string name : {"it's a \"quote\" #1", "new\nline\ttab \x1b[31m", "100%s%n back\\slash\\n",
                                 "\xc3\xa4\xe2\x82\xac", "$(touch hacked)`touch hacked`", "-x", "[x]", "a,b=c;{}", "~",
                                 "*", "'; system \"touch hacked\"; '", "007", "true"}) {
    if (checked_build && name.size() < 8) { continue; }  // seconds each; the long ones have more in them
    const auto words = expect_drawn(run_options + "--out=" + shell_quoted(name)).err;
    EXPECT_EQ(lines_of(words), 3) << words;  // two of progress
    expect_same_results(name, "plain");
    // The configuration leads back to the same folder, in which everything is done already.
    EXPECT_EQ(run("--resume --config " + shell_quoted("./" + name + "/config.toml")).code, 0) << name;
    EXPECT_TRUE(read(folder_ / name / "loss.csv") == read(folder_ / "plain/loss.csv")) << name;
    fs::remove_all(folder_ / name);
  }
  EXPECT_FALSE(fs::exists(folder_ / "hacked"));
  EXPECT_FALSE(fs::exists(folder_ / "plain/figures/hacked"));
  expect_usage_error("--out ''", "--out");
  expect_usage_error("--out \"$(printf 'latin1-\\344')\"", "UTF-8");
}

TEST_F(Hostile, LinksAndDotsLeadWhereTheyAlwaysDo) {
  fs::create_directories(folder_ / "real/inner");
  fs::create_directory_symlink("real", folder_ / "link");
  ASSERT_EQ(run("--out link/inner/../results " + std::string(small)).code, 0);
  EXPECT_TRUE(fs::exists(folder_ / "real/results/loss.csv"));
  ASSERT_EQ(run("--out link " + std::string(small)).code, 0);
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_TRUE(fs::exists(folder_ / "real/loss.csv"));
  // A file of ours that is a link is replaced; what it leads to stays.
  std::ofstream(folder_ / "precious") << "mine";
  fs::remove(folder_ / "real/loss.csv");
  fs::create_symlink("../precious", folder_ / "real/loss.csv");
  ASSERT_EQ(run("--out real " + std::string(small)).code, 0);
  EXPECT_EQ(read(folder_ / "precious"), "mine");
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(folder_ / "real/loss.csv")));
}

TEST_F(Hostile, WhatIsInTheWayIsNamed) {
  for (const std::string name : {"config.toml", "loss.csv", "summary.json", "panel.png", "a.png", "figures"}) {
    fs::create_directories(folder_ / "r");
    if (name == "figures") { std::ofstream(folder_ / "r/figures") << "a file"; }
    if (name != "figures") { fs::create_directories(folder_ / "r" / name / "full"); }
    expect_failure("--quiet --size 20 --steps 5 --figures png --out r", name);
    fs::remove_all(folder_ / "r");
  }
  std::ofstream(folder_ / "file") << "in the way";
  fs::create_symlink("nowhere", folder_ / "dangling");
  for (const std::string out : {"file", "file/below", "/proc/conv_mult", "dangling"}) {
    EXPECT_EQ(expect_failure("--out " + out, out).out, "") << "before training";
  }
  EXPECT_EQ(read(folder_ / "file"), "in the way");
}

// Numbers that a float32, or even a float64, cannot hold any more are results like others.
TEST_F(Hostile, ExtremeNumbersAreResults) {
  for (const std::string arguments :
       {"--rect-a 2,2,9,9,1e38 --rect-b 5,5,9,9,1e38", "--rect-a 2,2,9,9,-1e30 --rect-b 5,5,9,9,1e30",
        "--rect-a 2,2,9,9,1e-320 --rect-b 5,5,9,9,1e-320", "--rect-a 2,2,9,9,0 --rect-b 5,5,9,9,0",
        "--rect-a 0,0,5,5,1 --rect-b 9,9,5,5,2", "--lr 1e308", "--lr 1e-320", "--seed 4294967295",
        "--scene noise --range=-1e38,1e38", "--scene noise --range 0,1e-320",
        "--scene noise --range 1e37,1e38 --loss mse --resample", "--heldout-values=-1e38,1e38", "--success 1e-300",
        "--success 1e300", "--nmu-sparsity 1e38,0,0"}) {
    expect_drawn("--variant all --size 16 --steps 5 --figures svg --out r " + arguments);
    EXPECT_EQ(parse_summary(read(folder_ / "r/summary.json")).rows.size(), all_variants.size()) << arguments;
  }
}

// Debian's de_DE, compiled for the test, has a decimal comma.
TEST_F(Hostile, ADecimalCommaChangesNothing) {
  ASSERT_EQ(run("-i de_DE -f UTF-8 ./de_DE.UTF-8", "", "localedef").code, 0) << "Debian's package locales";
  const std::string german = "env LC_ALL=de_DE.UTF-8 LOCPATH=\"$PWD\" ";
  ASSERT_EQ(run("%.1f 1,5", german, "printf").out, "1,5");
  const std::string options = "--size 20 --steps 50 --lr 0.015 --figures svg ";
  ASSERT_EQ(run(options + "--out r").code, 0);
  ASSERT_EQ(run(options + "--out g", german).code, 0);
  expect_same_results("g", "r");
  // Of the SVG all but the moment and the names of gradients.
  EXPECT_EQ(fs::file_size(folder_ / "r/loss.svg"), fs::file_size(folder_ / "g/loss.svg"));
  ASSERT_EQ(run("--config g/config.toml --out again", german).code, 0);
  EXPECT_EQ(read(folder_ / "again/loss.csv"), read(folder_ / "r/loss.csv"));
}

// Damage is named, whether the folder is resumed or merged.
TEST_F(Hostile, DamagedResultsAreNamed) {
  const std::string options = "--seeds 3 " + std::string(small);
  for (const std::string file : {"loss.csv", "weights.csv", "evaluation.csv", "summary.json"}) {
    ASSERT_EQ(run(options + "--out r").code, 0);
    const auto text = read(folder_ / "r" / file);
    std::ofstream(folder_ / "r" / file) << text.substr(0, text.size() / 2);
    expect_failure(options + "--resume --out r", file);
    expect_failure("merge r --out merged", file);
    fs::remove(folder_ / "r" / file);
    if (file == "summary.json") { continue; }  // without it nothing is known to be finished: a run anew
    expect_failure(options + "--resume --out r", file);
  }
  EXPECT_FALSE(fs::exists(folder_ / "merged"));
  ASSERT_EQ(run(options + "--resume --out r").code, 0);
  std::ofstream(folder_ / "r/config.toml") << "steps = \n[[[";
  EXPECT_EQ(run(options + "--resume --out r").code, 2);
  EXPECT_EQ(run("merge r --out merged").code, 2);
}
}  // namespace
}  // namespace conv_mult
