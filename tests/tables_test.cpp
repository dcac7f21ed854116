#include "conv_mult/report/tables.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "conv_mult/run/evaluation.hpp"

namespace conv_mult {
namespace {

ExperimentResult sample() {
  ExperimentResult result;
  result.header = {
      "1.0.0", "1.13.0", "cpu", 1, "float32", "patches", 68, 10.0, {}, {}, {2, 3, {0, 0, 0, 0, 0, 0}}};
  VariantResult baseline;
  baseline.variant = "baseline";
  baseline.optimizer = "adam";
  baseline.learning_rate = 0.01;
  baseline.steps = 3;
  baseline.parameters = 19;
  baseline.floor = 5.0;
  baseline.seconds = 0.5;
  baseline.runs = {assess(4, {8, 7, 6, static_cast<double>(5.1F)}, false, 10)};
  baseline.statistics = statistics_of(baseline.runs, 10);
  VariantResult exp = baseline;
  exp.variant = "exp";
  exp.floor.reset();
  exp.runs = {assess(4, {8, std::numeric_limits<double>::quiet_NaN()}, false, 10)};
  exp.statistics = statistics_of(exp.runs, 10);
  result.variants = {baseline, exp};
  return result;
}

TEST(Tables, LossCsvHoldsEveryStepInItsShortestForm) {
  EXPECT_EQ(loss_csv(sample(), 1),
            "variant,seed,step,loss\n"
            "baseline,4,0,8\nbaseline,4,1,7\nbaseline,4,2,6\nbaseline,4,3,5.1\n"
            "exp,4,0,8\nexp,4,1,nan\n");
}

TEST(Tables, LossCsvThinnedKeepsTheLastStep) {
  EXPECT_EQ(loss_csv(sample(), 2),
            "variant,seed,step,loss\n"
            "baseline,4,0,8\nbaseline,4,2,6\nbaseline,4,3,5.1\n"
            "exp,4,0,8\nexp,4,1,nan\n");
}

std::vector<std::string> keys_of(const nlohmann::ordered_json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) {
    keys.push_back(key);
  }
  return keys;
}

TEST(Tables, SummaryHasExactlyTheDocumentedKeysInOrder) {
  const auto summary = nlohmann::ordered_json::parse(summary_json(sample()));
  using Keys = std::vector<std::string>;
  EXPECT_EQ(keys_of(summary),
            (Keys{"conv_mult", "libtorch", "device", "threads", "dtype", "status", "data", "variants"}));
  EXPECT_EQ(keys_of(summary["data"]), (Keys{"scene", "height", "width", "form", "rows", "target_norm"}));
  EXPECT_EQ(keys_of(summary["variants"][0]),
            (Keys{"variant", "optimizer", "learning_rate", "steps", "parameters", "floor", "seconds",
                  "final_loss", "relative_error", "success", "diverged", "dead", "runs"}));
  EXPECT_EQ(keys_of(summary["variants"][0]["final_loss"]), (Keys{"median", "q1", "q3", "min", "max"}));
  EXPECT_EQ(keys_of(summary["variants"][0]["success"]), (Keys{"count", "of", "rate", "low", "high"}));
  EXPECT_EQ(keys_of(summary["variants"][0]["runs"][0]),
            (Keys{"seed", "status", "final_loss", "first_success_step"}));
}

TEST(Tables, SummaryGivesNullForWhatDoesNotExist) {
  const auto summary = nlohmann::json::parse(summary_json(sample()));
  EXPECT_EQ(summary["status"], "complete");
  EXPECT_EQ(summary["data"]["height"], 2);
  EXPECT_EQ(summary["variants"][0]["floor"], 5.0);
  EXPECT_EQ(summary["variants"][0]["runs"][0]["status"], "ok");
  const auto& diverged = summary["variants"][1];
  EXPECT_TRUE(diverged["floor"].is_null());
  EXPECT_TRUE(diverged["final_loss"].is_null());
  EXPECT_TRUE(diverged["relative_error"].is_null());
  EXPECT_EQ(diverged["diverged"], 1);
  EXPECT_EQ(diverged["runs"][0]["status"], "diverged");
  EXPECT_TRUE(diverged["runs"][0]["final_loss"].is_null());
}

TEST(Tables, ResultTableShowsTheGapAndTheOutcome) {
  EXPECT_EQ(result_table(sample()),
            "variant   parameters  loss  floor      gap  rel. error    time  outcome\n"
            "baseline          19   5.1      5  2.000 %     51.00 %  0.50 s  no success\n"
            "exp               19     -      -        -           -  0.50 s  diverged at step 1\n");
}

}  // namespace
}  // namespace conv_mult
