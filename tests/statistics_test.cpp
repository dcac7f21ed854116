#include <gtest/gtest.h>
#include "output/records.hpp"

namespace conv_mult {
namespace {
constexpr double inf = std::numeric_limits<double>::infinity();
const double not_a_number = std::nan("");

TEST(Statistics, QuantilesInterpolateAndReachInfinityOnlyWhereTheyMust) {
  const auto five = [](const std::vector<double>& values) {
    const auto [median, q1, q3, min, max] = *spread_of(values);
    return std::vector{min, q1, median, q3, max};
  };
  EXPECT_EQ(five({4, 1, 3, 2}), (std::vector{1.0, 1.75, 2.5, 3.25, 4.0}));  // as numpy.quantile
  EXPECT_EQ(five({7}), std::vector<double>(5, 7));
  EXPECT_EQ(five({1, 2, inf, 3, inf}), (std::vector{1.0, 2.0, 3.0, inf, inf}));
  EXPECT_EQ(five({inf, inf}), std::vector<double>(5, inf));
  EXPECT_FALSE(spread_of({}));
}

TEST(Statistics, WilsonIntervalsOfTheLiterature) {
  const auto expect = [](std::int64_t count, std::int64_t of, double low, double high) {
    const auto rate = wilson(count, of);
    EXPECT_NEAR(rate.low, low, 5e-5) << count << " of " << of;
    EXPECT_NEAR(rate.high, high, 5e-5) << count << " of " << of;
    EXPECT_DOUBLE_EQ(rate.rate, static_cast<double>(count) / static_cast<double>(of));
  };
  expect(81, 263, 0.2553, 0.3662);  // Newcombe 1998, table I
  expect(15, 148, 0.0624, 0.1605);
  expect(0, 20, 0, 0.1611);
  expect(1, 29, 0.0061, 0.1718);
  EXPECT_EQ(wilson(20, 20).high, 1);
  EXPECT_EQ(wilson(0, 20).low, 0);
}

SceneResult scene_with(double target_norm) {
  SceneResult scene;
  scene.success_norm = 0.05 * target_norm;
  scene.splits = {{"train", "", 1, target_norm, 100}, {"moved", "", 2, 20, 200}};
  return scene;
}

/// The records of runs with these losses, [step][run].
std::vector<RunRecord> record(const std::vector<std::vector<double>>& losses, std::int64_t steps,
                              std::int64_t log_every = 1, double success_loss = 0.5) {
  Config config;
  config.steps = steps;
  config.log_every = log_every;
  Recorder recorder(7, static_cast<std::int64_t>(losses.front().size()), config, success_loss);
  std::int64_t step = 0;
  for (const auto& each : losses) { recorder.take(step++, each.data()); }
  return recorder.finish();
}

/// The lines of loss.csv, "seed,step,loss", the first of csv_files, or of runs.csv, the last: "seed,status,last_step,
/// final_loss,first_success_step,success_at_best".
std::string lines_in(const CsvFile& file, const std::vector<RunRecord>& runs) {
  Buffer text;
  for (const auto& run : runs) { file.append(text, fmt::format("{},", run.seed), run, {}, false); }
  return fmt::to_string(text);
}

/// A finished run that ended with this loss; not finite: diverged.
RunRecord ended(std::int64_t seed, double loss) {
  auto run = record({{1}, {loss}}, 1).front();
  run.seed = seed;
  if (run.final_loss) { run.split_losses = {loss, 10 * loss}; }
  return run;
}

TEST(Statistics, RunsAreRecordedSideBySide) {
  const auto runs = record({{20, 20, 20}, {0.51, 19, inf}, {0.5, 18, 0.1}, {0.7, 17, 0.1}}, 3);
  EXPECT_EQ(lines_in(csv_files.back(), runs), "7,ok,3,0.7,2,\n8,ok,3,17,,\n9,diverged,1,,,\n");
  EXPECT_EQ(lines_in(csv_files.front(), {runs[2]}), "9,0,20\n9,1,\n");  // what comes after that does not count
}

TEST(Statistics, CurvesKeepEveryNthStepAndTheLast) {
  const auto runs = record({{5, 5}, {4, 4}, {3, not_a_number}, {2, 2}, {1, 1}, {0, 0}}, 5, 3);
  EXPECT_EQ(lines_in(csv_files.front(), runs), "7,0,5\n7,3,2\n7,5,0\n8,0,5\n8,2,\n");
  const auto interrupted = record({{5}, {0.4}, {3}}, 5, 100);
  EXPECT_EQ(lines_in(csv_files.back(), interrupted), "7,interrupted,2,,1,\n");  // succeeded between two points
  EXPECT_EQ(lines_in(csv_files.front(), interrupted), "7,0,5\n7,2,3\n");
}

TEST(Statistics, DivergedRunsAreCountedNotAveraged) {
  const std::vector<RunRecord> runs{ended(0, inf), ended(1, 0.4), ended(2, 9.995)};
  const auto statistics = statistics_of(runs, scene_with(10));
  EXPECT_EQ(statistics.diverged, 1);
  EXPECT_EQ(statistics.dead, 1);  // 9.995 is within 0.1 % of the norm
  EXPECT_EQ(statistics.success.count, 1);
  EXPECT_EQ(statistics.success.of, 3);
  EXPECT_DOUBLE_EQ(statistics.final_loss->median, (0.4 + 9.995) / 2);
  EXPECT_DOUBLE_EQ(statistics.split_errors.front()->median, (0.4 + 9.995) / 2 / 10);
  EXPECT_DOUBLE_EQ(statistics.split_errors.at(0)->min, 0.04);
  EXPECT_DOUBLE_EQ(statistics.split_errors.at(1)->max, 99.95 / 20);
  const auto none = statistics_of({runs[0]}, scene_with(10));
  EXPECT_FALSE(none.final_loss);
  EXPECT_FALSE(none.split_errors[1]);
  const auto all_dark = record({{0}, {0}}, 1, 1, 0);  // without a target there is no success
  EXPECT_FALSE(all_dark[0].first_success_step);
  const auto dark = statistics_of(all_dark, scene_with(0));
  EXPECT_EQ(dark.success.count + dark.dead, 0);
  EXPECT_FALSE(dark.split_errors.front());
}

TEST(Statistics, RunsThatNeverSucceedAreCensoredAndInterruptedOnesLeftOut) {
  std::vector<RunRecord> runs{ended(0, 9), ended(1, inf), ended(2, 0.1), ended(3, 0.1), ended(4, 8)};
  runs[2].first_success_step = 100;
  runs[3].first_success_step = 301;
  runs[4].first_success_step = 200;  // succeeded once, and lost it again
  runs.push_back(record({{5}}, 3).front());
  const auto statistics = statistics_of(runs, scene_with(10));
  EXPECT_EQ(statistics.first_success, 200);
  EXPECT_EQ(statistics.never_succeeded, 2);
  EXPECT_EQ(statistics.success.count, 2);
  EXPECT_EQ(statistics.success.of, 5);
  EXPECT_EQ(statistics.diverged, 1);
}

TEST(Statistics, TheShownRunIsTheMedian) {
  // Five finite ones: 3 is their median.
  EXPECT_EQ(median_run({ended(0, 5), ended(1, 1), ended(2, inf), ended(3, 4), ended(4, 2), ended(5, 3)}), 5U);
  EXPECT_EQ(median_run({ended(0, 4), ended(1, 1), ended(2, 3), ended(3, 2)}), 3U);  // the lower of two
  EXPECT_EQ(median_run({ended(0, inf), ended(1, inf)}), 0U);
}

VariantResult row_of(const std::string& variant, const std::vector<RunRecord>& runs, double rate = 0.01) {
  VariantResult row;
  row.variant = variant;
  row.optimizer = "adam";
  row.learning_rate = rate;
  row.runs = runs;
  row.statistics = statistics_of(runs, scene_with(10));
  return row;
}

std::vector<bool> best_of(const std::vector<VariantResult>& rows) {
  std::vector<bool> best;
  for (const auto& row : rows) { best.push_back(row.best); }
  return best;
}

TEST(Statistics, TheBestRowIsTheMostSuccessful) {
  std::vector<VariantResult> rows{row_of("exp", {ended(0, 0.4), ended(1, 9)}),
                                  row_of("exp", {ended(0, 0.3), ended(1, 0.5)}),
                                  row_of("exp", {ended(0, 0.1), ended(1, 0.2)}),
                                  row_of("exp", {ended(0, 0.1), ended(1, 0.2)}), row_of("baseline", {ended(0, inf)})};
  mark_best(rows);
  EXPECT_EQ(best_of(rows), (std::vector{false, false, true, false, true}));  // of two equal rows the first
}

TEST(Statistics, SuccessIsReadOffTheJudgedSplit) {
  auto scene = scene_with(10);
  scene.judged = 1;
  scene.success_norm = 3;
  std::vector<RunRecord> runs{ended(0, 0.2), ended(1, 0.4), ended(2, inf)};  // 2 and 4 on the second split
  runs[0].sparsity_error = 0.001;
  runs[1].sparsity_error = 0.5;
  const auto statistics = statistics_of(runs, scene);
  EXPECT_EQ(statistics.success.count, 1);
  EXPECT_EQ(statistics.sparsity_error, 0.001);  // of the run that succeeded
  Recorder recorder(0, 2, {}, 0);
  const std::vector<double> losses{1e-9, 1};
  recorder.take(0, losses.data());
  recorder.check(0, std::vector{5.0, not_a_number}.data(), 3, std::vector{1.0, 0.5}.data());
  EXPECT_TRUE(recorder.take(1, losses.data()));
  recorder.check(50, std::vector{3.0, 4.0}.data(), 3, std::vector{0.5, 1.0}.data());
  EXPECT_TRUE(recorder.take(51, std::vector{inf, 1.0}.data()));
  EXPECT_FALSE(recorder.take(52, std::vector{1.0, not_a_number}.data()));
  // Best at step 50 the one, at step 0 the other.
  EXPECT_EQ(lines_in(csv_files.back(), recorder.finish()), "0,diverged,51,,50,true\n1,diverged,52,,,false\n");
}

TEST(Statistics, RowsAreNamedByWhatTellsThemApart) {
  ExperimentResult result;
  result.scenes = {scene_with(10), scene_with(10)};
  result.variants = {row_of("relu", {ended(0, 1)}), row_of("relu", {ended(0, 10)}), row_of("exp", {ended(0, 5)}),
                     row_of("exp", {ended(0, 4)}), row_of("npu", {ended(0, 8)}, 0.5)};
  std::tie(result.variants[0].depth, result.variants[0].width) = std::pair(2, 2);
  std::tie(result.variants[1].depth, result.variants[1].width) = std::pair(3, 16);
  result.variants[3].scene = result.variants[4].scene = 1;
  EXPECT_TRUE(result.sizes());
  EXPECT_FALSE(result.grid());
  EXPECT_EQ(row_name(result.variants[1], result), "relu 3×16");
  result.variants[2].learning_rate = 0.1;
  EXPECT_TRUE(result.grid());
  EXPECT_EQ(row_name(result.variants[3], result), "exp, adam, lr 0.01");
  mark_best(result.variants);
  EXPECT_EQ(best_of(result.variants), (std::vector{true, false, true, true, true}));  // each of its scene
}
}  // namespace
}  // namespace conv_mult
