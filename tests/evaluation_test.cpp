#include "conv_mult/run/evaluation.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace conv_mult {
namespace {

TEST(Evaluation, QuantilesOfAnEvenSampleInterpolate) {
  // numpy.quantile([1, 2, 3, 4], [0, .25, .5, .75, 1]) = 1, 1.75, 2.5, 3.25, 4
  const auto spread = spread_of({4, 1, 3, 2});
  ASSERT_TRUE(spread);
  EXPECT_DOUBLE_EQ(spread->min, 1);
  EXPECT_DOUBLE_EQ(spread->q1, 1.75);
  EXPECT_DOUBLE_EQ(spread->median, 2.5);
  EXPECT_DOUBLE_EQ(spread->q3, 3.25);
  EXPECT_DOUBLE_EQ(spread->max, 4);
  EXPECT_FALSE(spread_of({}));
  EXPECT_EQ(spread_of({7})->q3, 7);
}

TEST(Evaluation, WilsonIntervalsOfTheLiterature) {
  // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662, 15 of 148 gives 0.0624 to 0.1605,
  // 0 of 20 gives 0 to 0.1611, 1 of 29 gives 0.0061 to 0.1718.
  const auto expect = [](std::int64_t count, std::int64_t of, double low, double high) {
    const auto rate = wilson(count, of);
    EXPECT_NEAR(rate.low, low, 5e-5) << count << " of " << of;
    EXPECT_NEAR(rate.high, high, 5e-5) << count << " of " << of;
    EXPECT_DOUBLE_EQ(rate.rate, static_cast<double>(count) / static_cast<double>(of));
  };
  expect(81, 263, 0.2553, 0.3662);
  expect(15, 148, 0.0624, 0.1605);
  expect(0, 20, 0, 0.1611);
  expect(1, 29, 0.0061, 0.1718);
  EXPECT_EQ(wilson(20, 20).high, 1);
  EXPECT_EQ(wilson(0, 20).low, 0);
}

constexpr double inf = std::numeric_limits<double>::infinity();
const double not_a_number = std::nan("");

SceneResult scene_with(double target_norm) {
  SceneResult scene;
  scene.success_error = 0.05;
  scene.success_norm = 0.05 * target_norm;
  scene.splits = {{"train", 1, target_norm, 100}, {"moved", 2, 20, 200}};
  return scene;
}

ExperimentResult result_with(double target_norm) {
  ExperimentResult result;
  result.header.scenes = {scene_with(target_norm)};
  return result;
}

/// The records of runs with these losses, [step][run].
std::vector<RunRecord> record(const std::vector<std::vector<double>>& losses, std::int64_t steps,
                              std::int64_t log_every = 1, double success_loss = 0.5) {
  Recorder recorder(7, static_cast<std::int64_t>(losses.front().size()), {steps, log_every, success_loss});
  std::int64_t step = 0;
  for (const auto& each : losses) {
    recorder.take(step++, each.data());
  }
  return recorder.finish();
}

std::vector<double> steps_of(const RunRecord& run) {
  std::vector<double> steps;
  for (const auto& point : run.curve) {
    steps.push_back(static_cast<double>(point.step));
  }
  return steps;
}

/// A finished run that ended with this loss; not finite: diverged.
RunRecord ended(std::int64_t seed, double loss) {
  auto run = record({{1}, {loss}}, 1).front();
  run.seed = seed;
  if (run.final_loss) {
    run.split_losses = {loss, 10 * loss};
  }
  return run;
}

TEST(Evaluation, QuantilesReachInfinityOnlyWhereTheyMust) {
  const auto spread = spread_of({1, 2, inf, 3, inf});
  EXPECT_EQ(spread->median, 3);
  EXPECT_EQ(spread->q1, 2);
  EXPECT_EQ(spread->q3, inf);
  EXPECT_EQ(spread->max, inf);
  EXPECT_EQ(spread_of({inf, inf})->median, inf);
}

TEST(Evaluation, RunsAreRecordedSideBySide) {
  const auto runs = record({{20, 20, 20}, {0.51, 19, inf}, {0.5, 18, 0.1}, {0.7, 17, 0.1}}, 3);
  ASSERT_EQ(runs.size(), 3U);
  EXPECT_EQ(runs[0].seed, 7);
  EXPECT_EQ(runs[0].status, RunStatus::ok);
  EXPECT_EQ(runs[0].final_loss, 0.7);
  EXPECT_EQ(runs[0].first_success_step, 2);
  EXPECT_EQ(runs[1].seed, 8);
  EXPECT_FALSE(runs[1].first_success_step);
  EXPECT_EQ(runs[2].status, RunStatus::diverged);  // and what comes after does not count
  EXPECT_EQ(runs[2].last_step, 1);
  EXPECT_FALSE(runs[2].final_loss);
  EXPECT_FALSE(runs[2].first_success_step);
  EXPECT_EQ(steps_of(runs[2]), (std::vector<double>{0, 1}));
}

TEST(Evaluation, CurvesKeepEveryNthStepAndTheLast) {
  const auto runs = record({{5, 5}, {4, 4}, {3, not_a_number}, {2, 2}, {1, 1}, {0, 0}}, 5, 3);
  EXPECT_EQ(steps_of(runs[0]), (std::vector<double>{0, 3, 5}));
  EXPECT_EQ(steps_of(runs[1]), (std::vector<double>{0, 2}));
  const auto interrupted = record({{5}, {0.4}, {3}}, 5, 100).front();
  EXPECT_EQ(interrupted.status, RunStatus::interrupted);
  EXPECT_FALSE(interrupted.final_loss);
  EXPECT_EQ(interrupted.first_success_step, 1);  // between two points of the curve
  EXPECT_EQ(steps_of(interrupted), (std::vector<double>{0, 2}));
}

TEST(Evaluation, ARecorderKnowsWhenNothingIsLeft) {
  Recorder recorder(0, 2, {10, 1, 0.5});
  const double first[] = {1, not_a_number};
  const double second[] = {inf, 1};
  recorder.take(0, first);
  EXPECT_FALSE(recorder.all_diverged());
  recorder.take(1, second);
  EXPECT_TRUE(recorder.all_diverged());
}

TEST(Evaluation, WithoutATargetThereIsNoSuccess) {
  const auto runs = record({{0}, {0}}, 1, 1, 0);
  EXPECT_FALSE(runs[0].first_success_step);
  const auto statistics = statistics_of(runs, scene_with(0));
  EXPECT_EQ(statistics.success.count, 0);
  EXPECT_FALSE(statistics.relative_error);
  EXPECT_EQ(statistics.dead, 0);
}

TEST(Evaluation, DivergedRunsAreCountedNotAveraged) {
  const std::vector<RunRecord> runs{ended(0, inf), ended(1, 0.4), ended(2, 9.995)};
  const auto statistics = statistics_of(runs, scene_with(10));
  EXPECT_EQ(statistics.diverged, 1);
  EXPECT_EQ(statistics.dead, 1);  // 9.995 is within 0.1 % of the norm
  EXPECT_EQ(statistics.success.count, 1);
  EXPECT_EQ(statistics.success.of, 3);
  EXPECT_DOUBLE_EQ(statistics.final_loss->median, (0.4 + 9.995) / 2);
  EXPECT_DOUBLE_EQ(*statistics.relative_error, (0.4 + 9.995) / 2 / 10);
  ASSERT_EQ(statistics.split_errors.size(), 2U);
  EXPECT_DOUBLE_EQ(statistics.split_errors[0]->min, 0.04);
  EXPECT_DOUBLE_EQ(statistics.split_errors[1]->max, 99.95 / 20);
  EXPECT_FALSE(statistics_of({runs[0]}, scene_with(10)).final_loss);
  EXPECT_FALSE(statistics_of({runs[0]}, scene_with(10)).split_errors[1]);
}

TEST(Evaluation, RunsThatNeverSucceedAreCensoredNotDropped) {
  std::vector<RunRecord> runs{ended(0, 9), ended(1, inf), ended(2, 0.1), ended(3, 0.1), ended(4, 8)};
  runs[2].first_success_step = 100;
  runs[3].first_success_step = 301;
  runs[4].first_success_step = 200;  // succeeded once, and lost it again
  const auto statistics = statistics_of(runs, scene_with(10));
  EXPECT_EQ(statistics.first_success, 200);
  EXPECT_EQ(statistics.never_succeeded, 2);
  EXPECT_EQ(statistics.success.count, 2);
}

TEST(Evaluation, InterruptedRunsAreNoResult) {
  std::vector<RunRecord> runs{ended(0, 0.1), record({{5}}, 3).front()};
  const auto statistics = statistics_of(runs, scene_with(10));
  EXPECT_EQ(statistics.success.of, 1);
  EXPECT_EQ(statistics.never_succeeded, 0);
  EXPECT_EQ(statistics.diverged, 0);
}

TEST(Evaluation, TheShownRunIsTheMedian) {
  const std::vector<double> odd{5, 1, inf, 4, 2, 3};  // five finite ones: 3 is their median
  std::vector<RunRecord> runs;
  for (std::size_t i = 0; i < odd.size(); ++i) {
    runs.push_back(ended(static_cast<std::int64_t>(i), odd[i]));
  }
  EXPECT_EQ(median_run(runs), 5U);
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

TEST(Evaluation, PairsAreOfTheSameSeed) {
  // Seeds        1 (theirs only)  2: lower, ours succeeds  3: higher, theirs does  4: tie, both
  //              5: we diverge    6: both diverge: a tie   7: they diverge         8 (ours only)
  const auto ours = row_of("exp", {ended(2, 0.2), ended(3, 8), ended(4, 0.5), ended(5, inf),
                                   ended(6, not_a_number), ended(7, 9), ended(8, 1)});
  const auto theirs = row_of("baseline", {ended(1, 1), ended(2, 0.8), ended(3, 0.4), ended(4, 0.5),
                                          ended(5, 9), ended(6, inf), ended(7, inf)});
  const auto result = compare(ours, theirs, result_with(10));
  EXPECT_EQ(result.variant, "exp");
  EXPECT_EQ(result.reference, "baseline");
  EXPECT_EQ(result.lower.count, 2);
  EXPECT_EQ(result.lower.of, 6);
  EXPECT_EQ(result.ties, 2);
  EXPECT_EQ(result.only_variant, 1);
  EXPECT_EQ(result.only_reference, 1);
  EXPECT_EQ(result.both_succeed, 1);
  EXPECT_EQ(result.neither, 3);
  EXPECT_DOUBLE_EQ(result.ratio->min, 0.25);
  EXPECT_DOUBLE_EQ(result.ratio->median, 1);
  EXPECT_DOUBLE_EQ(result.ratio->max, 20);
}

TEST(Evaluation, RowsAreComparedWithinTheirOptimizerAndRate) {
  auto result = result_with(10);
  result.variants = {row_of("baseline", {ended(0, 5)}, 0.1), row_of("baseline", {ended(0, 6)}, 0.2),
                     row_of("exp", {ended(0, 1)}, 0.1), row_of("exp", {ended(0, 12)}, 0.2)};
  const auto comparisons = comparisons_of(result);
  ASSERT_EQ(comparisons.size(), 2U);
  EXPECT_EQ(comparisons[0].learning_rate, 0.1);
  EXPECT_DOUBLE_EQ(comparisons[0].ratio->median, 0.2);
  EXPECT_DOUBLE_EQ(comparisons[1].ratio->median, 2);
}

TEST(Evaluation, TheBestRowIsTheMostSuccessful) {
  std::vector<VariantResult> rows{
      row_of("exp", {ended(0, 0.4), ended(1, 9)}), row_of("exp", {ended(0, 0.3), ended(1, 0.5)}),
      row_of("exp", {ended(0, 0.1), ended(1, 0.2)}), row_of("exp", {ended(0, 0.1), ended(1, 0.2)}),
      row_of("baseline", {ended(0, inf)})};
  mark_best(rows);
  const auto best = [&](std::size_t i) { return rows[i].best; };
  EXPECT_FALSE(best(0));
  EXPECT_FALSE(best(1));
  EXPECT_TRUE(best(2));  // of two equal rows the first
  EXPECT_FALSE(best(3));
  EXPECT_TRUE(best(4));
}

TEST(Evaluation, SuccessIsReadOffTheJudgedSplit) {
  auto scene = scene_with(10);
  scene.judged = 1;
  scene.success_norm = 3;
  std::vector<RunRecord> runs{ended(0, 0.2), ended(1, 0.4), ended(2, inf)};  // 2 and 4 on the second split
  runs[0].sparsity_error = 0.001;
  runs[1].sparsity_error = 0.5;
  const auto statistics = statistics_of(runs, scene);
  EXPECT_EQ(statistics.success.count, 1);
  EXPECT_EQ(statistics.sparsity_error, 0.001);  // of the run that succeeded
  Recorder recorder(0, 2, {100, 1, 0});
  const double losses[] = {1e-9, 1};
  const double first[] = {5, not_a_number};
  const double second[] = {3, 4};
  recorder.take(0, losses);
  recorder.check(0, first, 3);
  recorder.take(1, losses);
  recorder.check(50, second, 3);
  const auto checked = recorder.finish();
  EXPECT_EQ(checked[0].first_success_step, 50);
  EXPECT_FALSE(checked[1].first_success_step);
}

TEST(Evaluation, RowsAreNamedAndComparedWithinTheirScene) {
  auto result = result_with(10);
  result.header.scenes.push_back(result.header.scenes.front());
  result.header.scenes.back().name = "noise 1 to 2";
  result.sizes = true;
  result.variants = {row_of("exp", {ended(0, 5)}), row_of("relu", {ended(0, 1)}),
                     row_of("relu", {ended(0, 10)}), row_of("exp", {ended(0, 4)}),
                     row_of("npu", {ended(0, 8)}, 0.5)};
  result.variants[1].depth = result.variants[1].width = 2;
  result.variants[2].depth = 3;
  result.variants[2].width = 16;
  result.variants[3].scene = result.variants[4].scene = 1;
  const auto comparisons = comparisons_of(result);
  ASSERT_EQ(comparisons.size(), 3U);
  EXPECT_EQ(comparisons[0].variant, "relu 2×2");
  EXPECT_EQ(comparisons[1].variant, "relu 3×16");
  EXPECT_DOUBLE_EQ(comparisons[1].ratio->median, 2);
  EXPECT_EQ(comparisons[2].scene, "noise 1 to 2");
  EXPECT_DOUBLE_EQ(comparisons[2].ratio->median, 2);  // no row of its rate: against the scene's first
  mark_best(result.variants);
  EXPECT_TRUE(result.variants[1].best);
  EXPECT_FALSE(result.variants[2].best);
  EXPECT_TRUE(result.variants[3].best);  // of its scene
}

}  // namespace
}  // namespace conv_mult
