#include "conv_mult/run/trainer.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <array>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "conv_mult/model/optimum.hpp"
#include "scenes.hpp"

namespace conv_mult {
namespace {

/// The losses of every replica: [steps + 1, N].
at::Tensor train_all(ConvLayer& model, const Dataset& data, const TrainingConfig& config) {
  std::vector<at::Tensor> blocks;
  std::int64_t next = 0;
  train(model, data, config, [&](std::int64_t step, const at::Tensor& losses) {
    EXPECT_EQ(step, next);
    next += losses.size(0);
    blocks.push_back(losses.clone());
    return true;
  });
  return at::cat(blocks);
}

at::Tensor train_all(Variant variant, SeedRange seeds, const Dataset& data, const TrainingConfig& config) {
  auto model = make_model(variant, 3, seeds, data.target.scalar_type(), at::kCPU);
  return train_all(model, data, config);
}

std::vector<double> train_one(Variant variant, std::int64_t seed, const Dataset& data,
                              const TrainingConfig& config) {
  const auto losses = train_all(variant, {seed, 1}, data, config).contiguous();
  return {losses.data_ptr<double>(), losses.data_ptr<double>() + losses.numel()};
}

double largest_relative_difference(const at::Tensor& x, const at::Tensor& y) {
  return ((x - y) / y).abs().max().item<double>();
}

constexpr std::array all_optimizers{OptimizerKind::adam, OptimizerKind::adamw, OptimizerKind::rmsprop,
                                    OptimizerKind::sgd};

OptimizerKind optimizer_named(const std::string& name) {
  for (const auto kind : all_optimizers) {
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
    const auto data = make_image_dataset(make_rectangles(SceneConfig{}, single ? at::kFloat : at::kDouble),
                                         DataForm::literal);
    const auto losses = train_one(variant, expected.at("seed"), data, config);
    ASSERT_EQ(losses.size(), static_cast<std::size_t>(config.steps) + 1);
    for (const auto& [step, loss] : expected.at("losses").items()) {
      EXPECT_NEAR(losses[std::stoul(step)] / loss.get<double>(), 1, single ? 1e-4 : 1e-9) << "step " << step;
    }
  }
}

// The fused passes against LibTorch's own operators and autograd.
TEST(Trainer, EveryFormFollowsTheLiteralImage) {
  const auto literal = make_dataset(SceneConfig{}, at::kDouble, DataForm::literal, 3);
  const auto image = make_dataset(SceneConfig{}, at::kDouble, DataForm::image, 3);
  const auto patches = make_dataset(SceneConfig{}, at::kDouble, DataForm::patches, 3);
  for (const auto kind : all_optimizers) {
    for (const auto variant : {Variant::baseline, Variant::exp}) {
      const TrainingConfig config{kind, kind == OptimizerKind::sgd ? 1e-4 : 0.01, 100};
      const auto expected = train_all(variant, {6, 1}, literal, config);
      for (const auto* data : {&image, &patches}) {
        const auto actual = train_all(variant, {6, 1}, *data, config);
        EXPECT_LE(largest_relative_difference(actual, expected), 1e-9)
            << to_string(kind) << ' ' << to_string(variant) << ' ' << to_string(data->form);
      }
    }
  }
}

TEST(Trainer, ReplicasFollowTheCurvesOfSingleRuns) {
  for (const auto form : {DataForm::literal, DataForm::image, DataForm::patches}) {
    const auto data = make_dataset(SceneConfig{}, at::kDouble, form, 3);
    for (const auto variant : {Variant::baseline, Variant::exp}) {
      const TrainingConfig config{OptimizerKind::adam, 0.01, 100};
      const auto batch = train_all(variant, {10, 6}, data, config);
      for (std::int64_t i = 0; i < 6; ++i) {
        EXPECT_LE(largest_relative_difference(batch.select(1, i),
                                              train_all(variant, {10 + i, 1}, data, config).select(1, 0)),
                  1e-9)
            << to_string(form) << ' ' << to_string(variant) << " seed " << 10 + i;
      }
    }
  }
}

TEST(Trainer, OnPatchesASeedHasTheSameBitsInAnyCompany) {
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const auto data = make_dataset(SceneConfig{}, dtype, DataForm::patches, 3);
    for (const auto kind : all_optimizers) {
      const TrainingConfig config{kind, 1e-3, 300};
      const auto batch = train_all(Variant::exp, {0, 75}, data, config);
      const auto part = train_all(Variant::exp, {30, 33}, data, config);
      EXPECT_TRUE(torch::equal(batch.narrow(1, 30, 33), part)) << to_string(kind);
      for (const std::int64_t seed : {0, 15, 16, 40, 74}) {
        EXPECT_TRUE(torch::equal(batch.narrow(1, seed, 1), train_all(Variant::exp, {seed, 1}, data, config)))
            << to_string(kind) << " seed " << seed;
      }
    }
  }
}

TEST(Trainer, AReplicaThatOverflowsChangesNoOther) {
  for (const auto form : {DataForm::literal, DataForm::image, DataForm::patches}) {
    const auto data = make_dataset(SceneConfig{}, at::kFloat, form, 3);
    const TrainingConfig config{OptimizerKind::adam, 0.01, 60};
    for (const double poison : {1e30, std::nan("")}) {
      auto healthy = make_model(Variant::exp, 3, SeedRange{0, 20}, at::kFloat, at::kCPU);
      auto sick = make_model(Variant::exp, 3, SeedRange{0, 20}, at::kFloat, at::kCPU);
      {
        const at::NoGradGuard no_grad;
        sick->conv->bias[7] = poison;
      }
      const auto expected = train_all(healthy, data, config);
      const auto actual = train_all(sick, data, config);
      EXPECT_FALSE(actual.select(1, 7).isfinite().any().item<bool>());
      for (std::int64_t i = 0; i < 20; ++i) {
        EXPECT_TRUE(i == 7 || torch::equal(actual.select(1, i), expected.select(1, i)))
            << to_string(form) << " replica " << i;
      }
    }
  }
}

TEST(Trainer, DefaultsReachTheFloorAndTheProduct) {
  const auto data = make_dataset(SceneConfig{}, at::kFloat, DataForm::automatic, 3);
  const double floor = best_affine(data, 3).loss;
  const auto baseline = train_all(Variant::baseline, {0, 100}, data, {})[-1];
  const auto exp = train_all(Variant::exp, {0, 100}, data, {})[-1];
  EXPECT_GE(baseline.min().item<double>(), floor * (1 - 1e-6));  // 1e-6: the loss is a float32
  EXPECT_GE((baseline <= 1.001 * floor).sum().item<int>(), 95);
  EXPECT_GE((exp <= 0.05 * data.target_norm()).sum().item<int>(), 95);
}

TEST(Trainer, NoOptimizerGetsBelowTheFloor) {
  for (const auto form : {DataForm::literal, DataForm::image, DataForm::patches}) {
    const auto data = make_dataset(small_rectangles(), form, 3);
    const double floor = best_affine(data, 3).loss;
    for (const auto kind : all_optimizers) {
      const TrainingConfig config{kind, 1e-3, 2000};
      for (const double loss : train_one(Variant::baseline, 4, data, config)) {
        ASSERT_GE(loss, floor * (1 - 1e-12)) << to_string(kind);
      }
    }
  }
}

TEST(Trainer, ZeroStepsGiveTheUntrainedLoss) {
  const auto data = make_image_dataset(small_rectangles(), DataForm::literal);
  auto model = make_model(Variant::exp, 3, SeedRange{0, 1}, at::kDouble, at::kCPU);
  const double untrained = l2_loss(model->forward(data.input, data.form), data).item<double>();
  const auto losses = train_one(Variant::exp, 0, data, {OptimizerKind::adam, 0.01, 0});
  ASSERT_EQ(losses.size(), 1U);
  EXPECT_EQ(losses[0], untrained);
}

TEST(Trainer, LeavesTheTrainedWeightsInTheModel) {
  for (const auto form : {DataForm::literal, DataForm::image, DataForm::patches}) {
    const auto data = make_dataset(small_rectangles(), form, 3);
    auto model = make_model(Variant::exp, 3, SeedRange{0, 3}, at::kDouble, at::kCPU);
    const auto last = train_all(model, data, {OptimizerKind::adam, 0.01, 200})[-1];
    const auto again = l2_loss(model->forward(data.input, data.form), data);
    EXPECT_LE(largest_relative_difference(again, last), 1e-13) << to_string(form);
  }
}

TEST(Trainer, StopsWhenToldTo) {
  const auto data = make_dataset(small_rectangles(), DataForm::patches, 3);
  auto model = make_model(Variant::exp, 3, SeedRange{0, 1}, at::kDouble, at::kCPU);
  int calls = 0;
  train(model, data, {OptimizerKind::adam, 0.01, 1'000'000}, [&](std::int64_t, const at::Tensor& losses) {
    EXPECT_LE(losses.size(0), 1000);
    return ++calls < 3;
  });
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace conv_mult
