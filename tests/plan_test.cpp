#include "cases.hpp"
#include "run/experiment.hpp"

namespace conv_mult {
namespace {
TEST(Plan, ShardsArePartsOfTheSeedsWithoutGapOrOverlap) {
  for (const std::int64_t shards : {1, 2, 3, 7, 10}) {
    std::int64_t next = 5;
    for (std::int64_t i = 1; i <= shards; ++i) {
      Config config;
      std::tie(config.seed, config.seeds) = std::pair(5, 10);
      config.shard = {i, shards};
      const auto part = seeds_of_shard(config);
      EXPECT_EQ(part.first, next);
      EXPECT_GE(part.count, 10 / shards);
      EXPECT_LE(part.count, (10 + shards - 1) / shards);
      next += part.count;
    }
    EXPECT_EQ(next, 15);
  }
}

TEST(Plan, RowsAreEveryCombinationThatMeansAnything) {
  Config config;
  config.variants = {"exp", "relu"};
  config.depths = {2, 3};
  config.widths = {4, 8};
  config.scenes = {"rectangles", "noise"};
  config.optimizers = {OptimizerKind::sgd, OptimizerKind::adam};
  config.rates = {{"", 0.001}, {"exp", 0.005}, {"exp", 0.006}};
  config.steps = 7;
  const auto rows = make_plan(config).rows;
  ASSERT_EQ(rows.size(), 2U * (2 * 2 + 4 * 2));  // exp has no depth, but two rates
  EXPECT_FALSE(rows[0].key.depth);
  EXPECT_EQ(rows[0].architecture.size.depth, 1);
  EXPECT_EQ(rows[0].training.learning_rate, 0.005);
  EXPECT_EQ(rows[1].key.learning_rate, 0.006);
  EXPECT_EQ(rows[2].key.optimizer, "adam");
  EXPECT_EQ(rows[2].training.optimizer, OptimizerKind::adam);
  EXPECT_EQ(rows[4].key.depth, 2);
  EXPECT_EQ(rows[4].training.learning_rate, 0.001);
  EXPECT_EQ(rows[6].architecture.size.width, 8);
  EXPECT_EQ(rows[12].key.scene, 1U);
  EXPECT_EQ(rows[12].training.steps, 7);
}

TEST(Plan, ModelsAreInPlaceOfVariantsAndSizes) {
  const auto path = testing::TempDir() + "plan_test.pt";
  const auto model = make_model({&variants::relu, {5, 3, 2}}, {7, 1}, at::kDouble, at::kCPU);
  std::ofstream(path) << model_file(model);
  Config config;
  config.load_model = {path};
  const auto rows = make_plan(config).rows;
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].key.variant, "relu");
  EXPECT_EQ(rows[0].key.depth, 3);
  EXPECT_EQ(rows[0].architecture.size.kernel_size, 5);
  EXPECT_TRUE(weights_of({rows[0].architecture, rows[0].start}).equal(weights_of(model)));
  config.load_model = {path, path};
  EXPECT_THROW(make_plan(config), UsageError);
}

TEST(Plan, BlocksKeepAStepSmallAndThreadsBusy) {
  const auto block = [](const Variant& variant, const Size& size, DataForm form, std::int64_t rows, int seeds = 4000) {
    Config config;
    config.seeds = seeds;
    const auto values = at::zeros({1}).expand({rows});
    return block_size({config, {}, {{{}, {&variant, size}, {}, {}}}}, 0, {form, values, values});
  };
  EXPECT_EQ(block(variants::exp, {}, DataForm::patches, 68), 1024);
  EXPECT_EQ(block(variants::exp, {}, DataForm::image, 1 << 20), 1024);         // its pass keeps nothing
  EXPECT_EQ(block(variants::square, {3, 2, 1}, DataForm::image, 1 << 14), 4);  // 4 MiB over 16 tensors of 64 KiB
  EXPECT_EQ(block(variants::relu, {3, 2, 63}, DataForm::image, 1 << 16), 1024);
  EXPECT_EQ(block(variants::relu, {3, 2, 64}, DataForm::image, 1 << 16), 1);  // by autograd: above 256 MiB
  set_thread_count(2);
  EXPECT_EQ(block(variants::exp, {}, DataForm::patches, 68), 512);  // eight of them
  EXPECT_EQ(block(variants::exp, {}, DataForm::patches, 68, 100), 16);
  EXPECT_EQ(block(variants::relu, {3, 2, 15}, DataForm::image, 1 << 14, 5), 16);
  EXPECT_EQ(block(variants::relu, {3, 2, 16}, DataForm::image, 1 << 14, 5), 1);  // a seed fills vectors by itself
  set_thread_count(1);
}

// As where results cannot be written: nothing is won by the days that others would train.
TEST(Plan, ABlockThatFailsEndsTheOthers) {
  Config config;
  config.steps = 1'000'000'000;
  const auto plan = make_plan(config);
  set_thread_count(2);
  std::set<std::string> seen;
  const auto fail_when_both_train = [&](const Progress& progress) {
    seen.insert(progress.row);
    if (seen.size() == 2) { throw std::runtime_error("disk full"); }
  };
  EXPECT_THROW(run_experiment(plan, start_of(plan), {fail_when_both_train, {}, {}}), std::runtime_error);
  set_thread_count(1);
}
}  // namespace
}  // namespace conv_mult
