#include "executable.hpp"
#include "output/records.hpp"

namespace conv_mult {
namespace {
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
            "baseline,4,0,0.1\nbaseline,4,1,1e+30\nexp,4,0,0.1\nexp,4,1,1e+30\n");
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

std::string keys_of(const nlohmann::ordered_json& object) {
  Texts keys;
  for (const auto& [key, value] : object.items()) { keys.push_back(key); }
  return join(keys, " ");
}

TEST(Tables, SummaryHasExactlyTheDocumentedKeysInOrder) {
  const auto summary = nlohmann::ordered_json::parse(summary_json(sample()));
  EXPECT_EQ(keys_of(summary),
            "conv_mult libtorch device threads dtype status loss seeds scenes variants files checksum");
  EXPECT_EQ(keys_of(summary["scenes"][0]), "scene test_range height width target_norm splits success");
  const auto& variant = summary["variants"][0];
  EXPECT_EQ(keys_of(variant),
            "variant scene depth width optimizer learning_rate steps parameters form rows floor seconds final_loss "
            "relative_error success success_everywhere best_look first_success diverged dead sparsity_error evaluation "
            "shown_seed verdict");
  EXPECT_EQ(keys_of(variant["final_loss"]), "median q1 q3 min max");
  EXPECT_EQ(keys_of(variant["success"]), "count of rate low high");
  EXPECT_EQ(keys_of(variant["evaluation"]), "train moved");
}

TEST(Tables, SummaryGivesNullForWhatDoesNotExist) {
  auto result = sample();
  result.variants[0].runs[0].split_losses[1] = std::numeric_limits<double>::infinity();
  result.variants[0].statistics = statistics_of(result.variants[0].runs, result.scenes[0]);
  const auto summary = nlohmann::json::parse(summary_json(result));
  EXPECT_EQ(summary["status"], "incomplete");
  EXPECT_EQ(summary["scenes"][0]["height"], 2);
  EXPECT_EQ(summary["variants"][0]["floor"], 5.0);
  EXPECT_TRUE(summary["variants"][0]["evaluation"]["moved"]["median"].is_null());  // infinite
  const auto& diverged = summary["variants"][1];
  for (const auto* key : {"floor", "final_loss", "relative_error"}) { EXPECT_TRUE(diverged[key].is_null()) << key; }
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
            "variant   loss  floor    gap  train  moved    time  outcome\n"
            "baseline   5.1      5  2.0 %   51 %   15 %  0.50 s  -\n"
            "exp          -      -      -      -      -  0.50 s  diverged at step 1\n");
}

ExperimentResult of_two_seeds() {
  auto result = sample();
  result.seeds = 2;
  result.variants[0].runs.push_back(run_of(5, {8, 7, 0.5, 0.25}, 3));
  result.variants[1].runs.push_back(run_of(5, {8, 7, 6, 9.999}, 3));
  for (auto& row : result.variants) { row.statistics = statistics_of(row.runs, result.scenes[0]); }
  return result;
}

TEST(Tables, ManySeedsHaveARateWithItsInterval) {
  // Wilson's interval of 1 in 2: 0.5 -+ z sqrt(1/8 + z^2/16) / (1 + z^2/2) = 0.0945 to 0.9055
  EXPECT_EQ(result_table(of_two_seeds()),
            "variant   median loss  floor  gap  train  moved  success  95 % interval  everywhere  at step  diverged"
            "  dead    time\n"
            "baseline        2.675      5  0 %   27 %   15 %     50 %         9–91 %         0 %        2         -"
            "     -  0.50 s\n"
            "exp             9.999      -    -  100 %   15 %      0 %         0–66 %         0 %        -         1"
            "     1  0.50 s\n");
}

TEST(Tables, ANarrowTerminalLosesTheLeastImportantColumnsAndColourMarksTheBest) {
  const auto result = of_two_seeds();
  for (std::size_t width = 140; width >= 60; width -= 20) {
    const auto table = result_table(result, {width, false});
    for (const auto* heading : {"variant", "median loss", "success"}) {
      EXPECT_NE(table.find(heading), std::string::npos) << width;
    }
    EXPECT_LE(table.find('\n'), width);
    EXPECT_EQ(table.find("at step") == std::string::npos, width < 120) << table;
  }
  EXPECT_EQ(result_table(result, {1, false}),
            "variant   median loss  success\nbaseline        2.675     50 %\n"
            "exp             9.999      0 %\n");
  EXPECT_EQ(result_table(result, {1, true}),
            "variant   median loss  success\nbaseline        \x1b[1;32m2.675\x1b[0m     \x1b[1;32m50 %\x1b[0m\n"
            "exp             9.999      0 %\n");
}

/// Of a single seed with these relative errors on train and moved.
ExperimentResult with_errors(double train, double moved, std::optional<double> floor = std::nullopt) {
  auto result = sample();
  auto& row = result.variants[0];
  row.floor = floor;
  row.runs[0].final_loss = 10 * train;
  row.runs[0].split_losses = {10 * train, 2 * moved};
  row.statistics = statistics_of(row.runs, result.scenes[0]);
  return result;
}

TEST(Tables, ErrorsAreReadable) {
  for (const auto& [error, text] : std::vector<std::pair<double, std::string>>{{0, "0 %"},
                                                                               {0.00004, "0.004 %"},
                                                                               {0.036, "3.6 %"},
                                                                               {0.0994, "9.9 %"},
                                                                               {0.0996, "10 %"},
                                                                               {0.754, "75 %"},
                                                                               {1, "100 %"},
                                                                               {9.94, "994 %"},
                                                                               {9.96, "×10"},
                                                                               {123.4, "×120"},
                                                                               {20412, "×20,000"},
                                                                               {999999, "×1,000,000"},
                                                                               {2.04e9, "×2.0e+09"}}) {
    const auto result = with_errors(error, error);
    EXPECT_EQ(cells_of(result.variants[0], result)[4].text, text);  // train
  }
  for (const auto& [seconds, text] :
       {std::pair{0.254, "0.25 s"}, {9.99, "9.99 s"}, {41.4, "41 s"}, {125, "2 min 5 s"}, {7260, "2 h 1 min"}}) {
    EXPECT_EQ(time_text(seconds), text);
  }
}

TEST(Tables, VerdictsAtTheirBorders) {
  const auto said = [](double train, double moved, std::optional<double> floor = std::nullopt) {
    const auto result = with_errors(train, moved, floor);
    return verdict(result.variants[0], result);
  };
  EXPECT_EQ(
      said(0.65, 0.75, 6.5 / 1.0099),
      "at its limit, misses the scene it was trained on by 65 % and does not multiply: off by 75 % on other places");
  EXPECT_EQ(said(0.65, 0.75, 6.5 / 1.0101),
            "misses the scene it was trained on by 65 % and does not multiply: off by 75 % on other places");
  EXPECT_EQ(said(0.05, 204, 0),
            "fits the scene it was trained on to 5.0 %, but does not multiply: off by ×200 on other places");
  EXPECT_EQ(said(0.0501, 0.05),
            "misses the scene it was trained on by 5.0 % and does not multiply: off by 5.0 % on other places");
  EXPECT_EQ(
      said(0.014, 0.05),
      "fits the scene it was trained on to 1.4 % and multiplies scenes it never saw: off by at most 5.0 % on other "
      "places");
  EXPECT_EQ(said(0.014, 0.0501),
            "fits the scene it was trained on to 1.4 %, but does not multiply: off by 5.0 % on other places");
  EXPECT_NE(said(1, 1).find("; its output vanished"), std::string::npos);
  auto result = of_two_seeds();
  EXPECT_EQ(
      verdicts(result),
      "baseline: at its limit, misses the scene it was trained on by 27 %, fits it in 1 of 2 seeds (9–91 %) and does "
      "not multiply: off by 15 % on other places\n"
      "exp: misses the scene it was trained on by 100 % and does not multiply: off by 15 % on other places; its "
      "output vanished in 1 of 2 seeds (9–91 %); it diverged in 1 of 2 seeds (9–91 %)\n");
  result.scenes[0].splits[0].target_norm = 0;
  EXPECT_EQ(verdict(result.variants[0], result), "there was nothing to multiply: the target is 0");
  result = sample();
  EXPECT_EQ(verdict(result.variants[1], result), "diverged");
  result.variants[1].runs[0].status = RunStatus::interrupted;
  result.variants[1].statistics = statistics_of(result.variants[1].runs, result.scenes[0]);
  EXPECT_EQ(verdict(result.variants[1], result), "interrupted");
  // Near-exact: what is judged is another split, and by no relative error.
  result = with_errors(0.1, 0.001);
  auto& scene = result.scenes[0];
  std::tie(scene.judged, scene.success_norm) = std::pair(1, 0.0021);
  scene.success_error.reset();
  auto& row = result.variants[0];
  row.statistics = statistics_of(row.runs, scene);
  EXPECT_EQ(verdict(row, result), "multiplies near-exactly on other places");
  scene.success_norm = 0.0019;
  row.statistics = statistics_of(row.runs, scene);
  EXPECT_EQ(verdict(row, result), "does not multiply near-exactly: off by 0.1 % on other places");
}
}  // namespace
}  // namespace conv_mult
