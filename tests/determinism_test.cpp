// The same configuration gives the same bytes: run after run, and whatever the optimisation level is.

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "executable.hpp"
#include "variants/variant.hpp"

namespace conv_mult {
namespace {

// Every variant, form of the data, optimizer, loss and kind of scene; --threads is 1.
const std::vector<std::string> experiments{
    "--variant all --size 30 --steps 60 --seeds 3",
    "--variant all --size 20 --steps 30 --dtype float64 --data image",
    "--variant baseline,exp,relu --size 20 --steps 30 --data literal --kernel-size 5",
    "--variant all --scene noise --resample --loss mse --range=-2,2 --size 6 --steps 40 --seeds 2",
    "--variant exp,nmu --optimizer adam,adamw,rmsprop,sgd --lr 0.01,0.1 --size 20 --steps 60 --seeds 20",
    "--variant stacked-exp,relu --depth 1,3 --width 2,4 --size 16 --steps 30"};

class Determinism : public Executable {
 protected:
  void expect_same_bytes(const std::string& experiment) const {
    for (const auto* name : {"loss.csv", "evaluation.csv", "weights.csv"}) {
      EXPECT_TRUE(read(folder_ / "one" / name) == read(folder_ / "other" / name)) << experiment << ' ' << name;
    }
    EXPECT_TRUE(timeless(read(folder_ / "one/summary.json")) == timeless(read(folder_ / "other/summary.json")))
        << experiment;
  }
};

TEST_F(Determinism, RunAfterRunGivesTheSameBytes) {
  for (const auto& experiment : experiments) {
    for (const auto* out : {"one", "other"}) { ASSERT_EQ(run(experiment + " --figures none --out " + out).code, 0); }
    expect_same_bytes(experiment);
  }
}

TEST_F(Determinism, AnotherBuildGivesTheSameBytes) {
  const char* other = std::getenv("CONV_MULT_OTHER_BUILD");
  if (other == nullptr) {
    GTEST_SKIP() << "CONV_MULT_OTHER_BUILD names no executable to compare with; scripts/check does";
  }
  for (const auto& experiment : experiments) {
    ASSERT_EQ(run(experiment + " --figures none --out one").code, 0);
    ASSERT_EQ(run(experiment + " --figures none --out other", "", other).code, 0);
    expect_same_bytes(experiment);
  }
}

// LibTorch's convolutions may add up in another order; all else does not even differ in a bit.
TEST_F(Determinism, ThreadsChangeDeepNetworksByRoundingOnly) {
  const std::string options = "--variant all --dtype float64 --size 40 --steps 50 --figures none ";
  ASSERT_EQ(run(options + "--out one").code, 0);
  ASSERT_EQ(run(options + "--threads 2 --out two").code, 0);
  std::istringstream one(read(folder_ / "one/loss.csv"));
  std::istringstream two(read(folder_ / "two/loss.csv"));
  int lines = 0;
  std::string a;
  for (std::string b; std::getline(one, a) && std::getline(two, b); ++lines) {
    const bool deep = a.rfind("relu", 0) == 0 || a.rfind("stacked", 0) == 0;
    if (!deep) {
      EXPECT_EQ(a, b);
      continue;
    }
    const auto comma = a.rfind(',');
    ASSERT_EQ(a.substr(0, comma), b.substr(0, comma));
    EXPECT_NEAR(std::stod(a.substr(comma + 1)) / std::stod(b.substr(comma + 1)), 1, 1e-9) << a;
  }
  EXPECT_EQ(lines, 1 + 51 * static_cast<int>(all_variants.size()));
}

}  // namespace
}  // namespace conv_mult
