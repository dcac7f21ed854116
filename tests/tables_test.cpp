#include "output/tables.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "run/statistics.hpp"

namespace conv_mult {
namespace {

/// A run that went through these losses, in float32.
RunRecord run_of(std::int64_t seed, const std::vector<double>& losses, std::int64_t steps) {
  Recorder recorder(seed, 1, {steps, 2, 0.5});
  std::int64_t step = 0;
  for (const double loss : losses) { recorder.take(step++, &loss); }
  auto run = recorder.finish().front();
  run.weights = {0.25, static_cast<double>(0.1F)};
  if (run.final_loss) { run.split_losses = {*run.final_loss, 0.3}; }
  return run;
}

/// baseline: a run of three steps; exp: one that diverges at its first.
ExperimentResult sample() {
  ExperimentResult result;
  auto& header = result.header;
  header.conv_mult = "1.0.0";
  header.libtorch = "1.13.0";
  header.device = "cpu";
  header.dtype = "float32";
  SceneResult scene;
  scene.name = "rectangles";
  scene.splits = {{"train", "", 1, 10, 6}, {"moved", "", 4, 2, 24}};
  scene.success_error = 0.05;
  scene.success_norm = 0.5;
  scene.target = {2, 3, {0, 0, 0, 0, 0, 0}};
  header.scenes = {scene};
  VariantResult baseline;
  baseline.variant = "baseline";
  baseline.optimizer = "adam";
  baseline.learning_rate = 0.01;
  baseline.steps = 3;
  baseline.parameters = 19;
  baseline.floor = 5.0;
  baseline.seconds = 0.5;
  baseline.runs = {run_of(4, {8, 7, 6, static_cast<double>(5.1F)}, 3)};
  VariantResult exp = baseline;
  exp.variant = "exp";
  exp.floor.reset();
  exp.runs = {run_of(4, {8, std::nan("")}, 3)};
  result.variants = {baseline, exp};
  for (auto& row : result.variants) { row.statistics = statistics_of(row.runs, scene); }
  result.status = ExperimentStatus::complete;
  return result;
}

std::string csv(const std::string& name, const ExperimentResult& result) {
  std::string text;
  for (const auto& file : csv_files) {
    if (file.name == name) {
      write_csv(file, result, [&](std::string_view piece) { text += piece; });
    }
  }
  return text;
}

TEST(Tables, CsvFilesHoldNumbersInTheirShortestForm) {
  const auto result = sample();
  EXPECT_EQ(csv("runs.csv", result),
            "variant,seed,status,last_step,final_loss,first_success_step,success_at_best\n"
            "baseline,4,ok,3,5.099999904632568,,\nexp,4,diverged,1,,,\n");
  EXPECT_EQ(csv("loss.csv", result),
            "variant,seed,step,loss\n"
            "baseline,4,0,8\nbaseline,4,2,6\nbaseline,4,3,5.1\n"
            "exp,4,0,8\nexp,4,1,\n");
  EXPECT_EQ(csv("weights.csv", result),
            "variant,seed,index,value\n"
            "baseline,4,0,0.25\nbaseline,4,1,0.1\nexp,4,0,0.25\nexp,4,1,0.1\n");
  EXPECT_EQ(csv("evaluation.csv", result),
            "variant,seed,split,loss,relative_error\n"
            "baseline,4,train,5.099999904632568,0.5099999904632568\nbaseline,4,moved,0.3,0.15\n"
            "exp,4,train,,\nexp,4,moved,,\n");
}

TEST(Tables, AGridIsNamedInEveryLine) {
  auto result = sample();
  result.variants[1].variant = "baseline";
  result.variants[1].learning_rate = 0.1;
  EXPECT_EQ(csv("loss.csv", result).substr(0, 73),
            "variant,optimizer,learning_rate,seed,step,loss\nbaseline,adam,0.01,4,0,8\nb");
}

std::vector<std::string> keys_of(const nlohmann::ordered_json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) { keys.push_back(key); }
  return keys;
}

TEST(Tables, SummaryHasExactlyTheDocumentedKeysInOrder) {
  auto result = sample();
  result.comparisons = comparisons_of(result);
  const auto summary = nlohmann::ordered_json::parse(summary_json(result));
  using Keys = std::vector<std::string>;
  EXPECT_EQ(keys_of(summary), (Keys{"conv_mult", "libtorch", "device", "threads", "dtype", "status", "loss", "seeds",
                                    "scenes", "variants", "comparisons", "files", "checksum"}));
  EXPECT_EQ(keys_of(summary["scenes"][0]),
            (Keys{"scene", "test_range", "height", "width", "target_norm", "seconds", "splits", "success"}));
  const auto& variant = summary["variants"][0];
  EXPECT_EQ(keys_of(variant), (Keys{"variant",        "scene",          "depth",     "width",
                                    "optimizer",      "learning_rate",  "steps",     "parameters",
                                    "form",           "rows",           "floor",     "seconds",
                                    "final_loss",     "relative_error", "success",   "success_everywhere",
                                    "best_look",      "first_success",  "diverged",  "dead",
                                    "sparsity_error", "evaluation",     "shown_seed"}));
  EXPECT_EQ(keys_of(variant["final_loss"]), (Keys{"median", "q1", "q3", "min", "max"}));
  EXPECT_EQ(keys_of(variant["success"]), (Keys{"count", "of", "rate", "low", "high"}));
  EXPECT_EQ(keys_of(variant["evaluation"]), (Keys{"train", "moved"}));
  EXPECT_EQ(keys_of(summary["comparisons"][0]),
            (Keys{"scene", "variant", "reference", "optimizer", "learning_rate", "lower", "ties", "ratio", "success"}));
}

TEST(Tables, SummaryGivesNullForWhatDoesNotExist) {
  auto result = sample();
  result.variants[0].runs[0].split_losses[1] = std::numeric_limits<double>::infinity();
  result.variants[0].statistics = statistics_of(result.variants[0].runs, result.header.scenes[0]);
  const auto summary = nlohmann::json::parse(summary_json(result));
  EXPECT_EQ(summary["status"], "complete");
  EXPECT_EQ(summary["scenes"][0]["height"], 2);
  EXPECT_EQ(summary["variants"][0]["floor"], 5.0);
  EXPECT_TRUE(summary["variants"][0]["evaluation"]["moved"]["median"].is_null());  // infinite
  const auto& diverged = summary["variants"][1];
  EXPECT_TRUE(diverged["floor"].is_null());
  EXPECT_TRUE(diverged["final_loss"].is_null());
  EXPECT_TRUE(diverged["relative_error"].is_null());
  EXPECT_TRUE(diverged["evaluation"]["moved"].is_null());
  EXPECT_TRUE(diverged["first_success"]["median"].is_null());
  EXPECT_EQ(diverged["diverged"], 1);
}

TEST(Tables, RowsThatAreNotBegunAreLeftOut) {
  auto result = sample();
  const auto begun = result_table(result);
  result.variants.emplace_back().variant = "relu";
  EXPECT_EQ(result_table(result), begun);
  EXPECT_EQ(nlohmann::json::parse(summary_json(result))["variants"].size(), 2U);
}

TEST(Tables, OneSeedHasAnOutcome) {
  EXPECT_EQ(result_table(sample()),
            "variant   loss  floor      gap    train    moved    time  outcome\n"
            "baseline   5.1      5  2.000 %  51.00 %  15.00 %  0.50 s  no success\n"
            "exp          -      -        -        -        -  0.50 s  diverged at step 1\n");
}

TEST(Tables, ManySeedsHaveARateWithItsInterval) {
  auto result = sample();
  result.header.seeds = 2;
  result.variants[0].runs.push_back(run_of(5, {8, 7, 0.5, 0.25}, 3));
  result.variants[1].runs.push_back(run_of(5, {8, 7, 6, 9.999}, 3));
  for (auto& row : result.variants) { row.statistics = statistics_of(row.runs, result.header.scenes[0]); }
  result.comparisons = comparisons_of(result);
  // Wilson's interval of 1 in 2: 0.5 -+ z sqrt(1/8 + z^2/16) / (1 + z^2/2) = 0.0945 to 0.9055
  EXPECT_EQ(result_table(result),
            "variant   median loss  floor    train    moved  success  95 % interval  everywhere  at step  diverged"
            "  dead  seeds    time\n"
            "baseline        2.675      5  26.75 %  15.00 %   50.0 %  9.5 to 90.5 %       0.0 %        2         0"
            "     0      2  0.50 s\n"
            "exp             9.999      -  99.99 %  15.00 %    0.0 %  0.0 to 65.8 %       0.0 %        -         1"
            "     1      2  0.50 s\n"
            "exp against baseline, same seeds: lower loss on 0 of 2 (0.0 to 65.8 %), median ratio 40; success: "
            "both 0, only exp 0, only baseline 1, neither 1\n");
}

}  // namespace
}  // namespace conv_mult
