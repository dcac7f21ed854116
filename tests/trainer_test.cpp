#include "conv_mult/run/trainer.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "conv_mult/model/optimum.hpp"
#include "scenes.hpp"

namespace conv_mult {
namespace {

const OnProgress carry_on = [](std::int64_t, double) { return true; };

TrainingHistory train_from(Variant variant, std::int64_t seed, const Dataset& data,
                           const TrainingConfig& config) {
  auto model = make_model(variant, 3, seed, data.target.scalar_type(), at::kCPU);
  return train(model, data, config, carry_on);
}

OptimizerKind optimizer_named(const std::string& name) {
  for (const auto kind :
       {OptimizerKind::adam, OptimizerKind::adamw, OptimizerKind::rmsprop, OptimizerKind::sgd}) {
    if (to_string(kind) == name) {
      return kind;
    }
  }
  throw std::runtime_error(name);
}

// reference/record.py made the numbers with Debian's python3-torch.
TEST(Trainer, FollowsPyTorchsLossCurves) {
  std::ifstream file(TEST_REFERENCE_FILE);
  const auto reference = nlohmann::json::parse(file);
  ASSERT_GE(reference.at("cases").size(), 18U);
  for (const auto& expected : reference.at("cases")) {
    SCOPED_TRACE(expected.dump());
    const bool single = expected.at("dtype") == "float32";
    const auto variant = expected.at("variant") == "exp" ? Variant::exp : Variant::baseline;
    TrainingConfig config;
    config.optimizer = optimizer_named(expected.at("optimizer"));
    config.learning_rate = expected.at("learning_rate");
    config.steps = 0;
    for (const auto& [step, loss] : expected.at("losses").items()) {
      config.steps = std::max<std::int64_t>(config.steps, std::stoll(step));
    }
    const auto data = make_image_dataset(make_rectangles(SceneConfig{}, single ? at::kFloat : at::kDouble));
    const auto history = train_from(variant, expected.at("seed"), data, config);
    ASSERT_EQ(history.losses.size(), static_cast<std::size_t>(config.steps) + 1);
    for (const auto& [step, loss] : expected.at("losses").items()) {
      EXPECT_NEAR(history.losses[std::stoul(step)] / loss.get<double>(), 1, single ? 1e-4 : 1e-9)
          << "step " << step;
    }
  }
}

TEST(Trainer, DefaultsReachTheFloorAndTheProduct) {
  const auto data = make_dataset(make_rectangles(SceneConfig{}, at::kFloat), DataForm::automatic, 3);
  const double floor = best_affine(data, 3).loss;
  int baseline_ok = 0;
  int exp_ok = 0;
  for (std::int64_t seed = 0; seed < 10; ++seed) {
    const double baseline = train_from(Variant::baseline, seed, data, {}).losses.back();
    EXPECT_GE(baseline, floor * (1 - 1e-6)) << "seed " << seed;  // 1e-6: the loss is a float32
    baseline_ok += baseline <= 1.001 * floor ? 1 : 0;
    exp_ok += train_from(Variant::exp, seed, data, {}).losses.back() <= 0.05 * data.target_norm() ? 1 : 0;
  }
  EXPECT_GE(baseline_ok, 9);
  EXPECT_GE(exp_ok, 9);
}

TEST(Trainer, NoOptimizerGetsBelowTheFloor) {
  for (const auto form : {DataForm::image, DataForm::patches}) {
    const auto data = make_dataset(small_rectangles(), form, 3);
    const double floor = best_affine(data, 3).loss;
    for (const auto kind :
         {OptimizerKind::adam, OptimizerKind::adamw, OptimizerKind::rmsprop, OptimizerKind::sgd}) {
      const TrainingConfig config{kind, 1e-3, 2000};
      for (const double loss : train_from(Variant::baseline, 4, data, config).losses) {
        ASSERT_GE(loss, floor * (1 - 1e-12)) << to_string(kind);
      }
    }
  }
}

TEST(Trainer, ZeroStepsGiveTheUntrainedLoss) {
  const auto data = make_image_dataset(small_rectangles());
  auto model = make_model(Variant::exp, 3, 0, at::kDouble, at::kCPU);
  const double untrained = l2_loss(model->forward(data.input, data.form), data).item<double>();
  const auto history = train(model, data, {OptimizerKind::adam, 0.01, 0}, carry_on);
  ASSERT_EQ(history.losses.size(), 1U);
  EXPECT_EQ(history.losses[0], untrained);
}

TEST(Trainer, ADivergedRunEndsWithItsFirstLossThatIsNotFinite) {
  const auto data = make_image_dataset(small_rectangles());
  const auto history = train_from(Variant::baseline, 0, data, {OptimizerKind::sgd, 1e200, 5000});
  ASSERT_GE(history.losses.size(), 2U);
  ASSERT_LT(history.losses.size(), 5001U);
  EXPECT_FALSE(std::isfinite(history.losses.back()));
  for (std::size_t step = 0; step + 1 < history.losses.size(); ++step) {
    EXPECT_TRUE(std::isfinite(history.losses[step]));
  }
}

TEST(Trainer, StopsWhenToldTo) {
  const auto data = make_dataset(small_rectangles(), DataForm::patches, 3);
  auto model = make_model(Variant::exp, 3, 0, at::kDouble, at::kCPU);
  std::int64_t stopped_at = -1;
  const auto history =
      train(model, data, {OptimizerKind::adam, 0.01, 1'000'000}, [&](std::int64_t step, double) {
        stopped_at = step;
        return false;
      });
  EXPECT_TRUE(history.interrupted);
  EXPECT_EQ(history.losses.size(), static_cast<std::size_t>(stopped_at) + 1);
  EXPECT_LE(stopped_at, 1000);
}

}  // namespace
}  // namespace conv_mult
