#include "conv_mult/run/evaluation.hpp"

#include <gtest/gtest.h>

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

TEST(Evaluation, ARunIsAssessedByItsLosses) {
  const auto run = assess(3, {20, 0.51, 0.5, 0.7}, false, 10);  // success: at most 0.05 * 10
  EXPECT_EQ(run.seed, 3);
  EXPECT_EQ(run.status, RunStatus::ok);
  EXPECT_EQ(run.final_loss, 0.7);
  EXPECT_EQ(run.first_success_step, 2);
  EXPECT_EQ(assess(0, {20, 19}, true, 10).status, RunStatus::interrupted);
  EXPECT_FALSE(assess(0, {20, 19}, false, 10).first_success_step);
  EXPECT_FALSE(assess(0, {0, 0}, false, 0).first_success_step);  // nothing to multiply, no success
}

TEST(Evaluation, DivergedRunsAreCountedNotAveraged) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<RunRecord> runs{assess(0, {1, inf}, false, 10), assess(1, {1, 0.4}, false, 10),
                                    assess(2, {1, 9.995}, false, 10)};
  EXPECT_EQ(runs[0].status, RunStatus::diverged);
  EXPECT_FALSE(runs[0].final_loss);
  const auto statistics = statistics_of(runs, 10);
  EXPECT_EQ(statistics.diverged, 1);
  EXPECT_EQ(statistics.dead, 1);  // 9.995 is within 0.1 % of the norm
  EXPECT_EQ(statistics.success.count, 1);
  EXPECT_EQ(statistics.success.of, 3);
  EXPECT_DOUBLE_EQ(statistics.final_loss->median, (0.4 + 9.995) / 2);
  EXPECT_DOUBLE_EQ(*statistics.relative_error, (0.4 + 9.995) / 2 / 10);
  EXPECT_FALSE(statistics_of({runs[0]}, 10).final_loss);
  EXPECT_FALSE(statistics_of({runs[1]}, 0).relative_error);
}

}  // namespace
}  // namespace conv_mult
