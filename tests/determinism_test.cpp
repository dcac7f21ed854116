// The same configuration gives the same bytes: run after run, and whatever the optimisation level is.

#include "executable.hpp"
#include "options/options.hpp"
#include "output/records.hpp"
#include "run/experiment.hpp"
#include "util/pool.hpp"
#include "variants/variant.hpp"

namespace conv_mult {
namespace {
// Every variant, form of the data, optimizer, loss and kind of scene.
const std::vector<std::string> experiments{
    "--variant all --size 30 --steps 60 --seeds 3",
    "--variant all --size 20 --steps 30 --dtype float64 --data image",
    "--variant baseline,exp,relu --size 20 --steps 30 --data literal --kernel-size 5",
    "--variant all --scene noise --resample --loss mse --range=-2,2 --size 6 --steps 40 --seeds 2",
    "--variant exp,nmu --optimizer adam,adamw,rmsprop,sgd --lr 0.01,0.1 --size 20 --steps 60 --seeds 20",
    "--variant stacked-exp,relu --depth 1,3 --width 2,4 --size 16 --steps 30"};

class Determinism : public Executable {
 protected:
  /// Runs each experiment twice, the second time with another executable or the same again.
  void expect_same_bytes(const std::string& executable) const {
    for (const auto& experiment : experiments) {
      SCOPED_TRACE(experiment);
      ASSERT_EQ(run(experiment + " --figures none --out one").code, 0);
      ASSERT_EQ(run(experiment + " --figures none --out other", "", executable).code, 0);
      expect_same_results("other", "one");
    }
  }
};

TEST_F(Determinism, RunAfterRunGivesTheSameBytes) {
  if (checked_build) { GTEST_SKIP() << "below, against the release build"; }
  expect_same_bytes(CONV_MULT_EXECUTABLE);
}

TEST_F(Determinism, AnotherBuildGivesTheSameBytes) {
  const char* other = std::getenv("CONV_MULT_OTHER_BUILD");
  if (other == nullptr) { GTEST_SKIP() << "CONV_MULT_OTHER_BUILD names no executable; scripts/check does"; }
  expect_same_bytes(other);
}

TEST_F(Determinism, ThreadsDoNotChangeAByte) {
  Vocabulary names{{}, {"rectangles", "noise"}};
  for (const auto* variant : all_variants) { names.variants.emplace_back(variant->name); }
  const std::string size = checked_build ? "--width 2,3 --steps 1 --seeds 18 " : "--width 2,40 --steps 20 --seeds 37 ";
  const auto words =
      size + "--variant all --depth 2,3 --scene rectangles,noise --size 24 --check-every 60 --device cpu";
  const auto plan = make_plan(parse_command_line(split(words, ' '), names, "").config);
  const auto csv_of = [&](std::int64_t threads) {
    set_thread_count(threads);
    const auto result =
        run_experiment(plan, start_of(plan), {[](const auto&) {}, [](const auto&, double) {}, [](const auto&) {}});
    set_thread_count(1);
    std::string text;
    const auto append = [&](std::string_view piece) { text += piece; };
    for (const auto& file : csv_files) { write_csv(file, result, append); }
    return text;
  };
  const auto alone = csv_of(1);
  EXPECT_GT(alone.size(), 100'000U);
  for (const std::int64_t threads : {2, 3, 7}) { EXPECT_TRUE(csv_of(threads) == alone) << threads; }
}
}  // namespace
}  // namespace conv_mult
