#include <nlohmann/json.hpp>
#include "cases.hpp"
#include "executable.hpp"
#include "options/text.hpp"
#include "variants/common.hpp"

namespace conv_mult {
namespace {
TrainingConfig config_of(OptimizerKind optimizer, double learning_rate, std::int64_t steps,
                         LossKind loss = LossKind::l2, const Sparsity& sparsity = {}) {
  TrainingConfig config;
  config.optimizer = optimizer;
  config.learning_rate = learning_rate;
  config.steps = steps;
  config.loss = loss;
  config.sparsity = sparsity;
  return config;
}

at::Tensor train_seeds(const Architecture& architecture, SeedRange seeds, const TrainingData& data,
                       const TrainingConfig& config) {
  auto model = make_model(architecture, seeds, data.first.target.scalar_type(), at::kCPU);
  return train_all(model, data, config);
}

class Trainer : public EachVariant {};
CONV_MULT_FOR_EACH_VARIANT(Trainer);

// reference/record.py made the numbers with Debian's python3-torch. exp's curve is chaotic: rounding errors of 1e-14 at
// step 100 are some 1e-3 at step 1000, in float64, too. There PyTorch 1.13 and 2.15 differ by up to 6e-3 from each
// other, and one version on two kinds of processors by up to 1.1e-2.
TEST(Trainer, FollowsPyTorchsLossCurves) {
  if (checked_build) { GTEST_SKIP() << "minutes for numbers that the release build shows"; }
  const auto reference = nlohmann::json::parse(read(TEST_REFERENCE_FILE));
  ASSERT_GE(reference.at("cases").size(), 18U);
  for (const auto& expected : reference.at("cases")) {
    SCOPED_TRACE(expected.dump());
    const bool single = expected.at("dtype") == "float32";
    const auto* variant = find_variant(expected.at("variant").get<std::string>());
    const auto scene = cast(default_rectangles(), single ? at::kFloat : at::kDouble);
    auto config = config_of({}, expected.at("learning_rate"), expected.at("losses").contains("1000") ? 1000 : 100);
    ASSERT_TRUE(parse(expected.at("optimizer").get<std::string>(), config.optimizer));
    const auto losses =
        train_seeds({variant, {}}, {expected.at("seed"), 1}, {make_dataset(scene, DataForm::literal, 1), {}}, config);
    for (const auto& [step, loss] : expected.at("losses").items()) {
      const bool chaotic = variant == &variants::exp && std::stoi(step) > 100;
      const double tolerance = chaotic ? 5e-2 : single ? 1e-4 : 1e-9;
      EXPECT_NEAR(losses[std::stoi(step)].item<double>() / loss.get<double>(), 1, tolerance) << step;
    }
  }
}

TEST(Trainer, LearningRateFallsToZero) {
  auto config = config_of(OptimizerKind::sgd, 0.1, 2);
  config.decay = Decay::cosine;
  EXPECT_NEAR(learning_rate_at(config, 1), 0.1 * (1 + std::cos(std::acos(-1.0) / 2)) / 2, 1e-15);
  config.decay = Decay::linear;  // of two steps the second with half the rate
  const TrainingData data{make_dataset(random_scene(4, 4), DataForm::image, 1), {}};
  auto model = make_model({&variants::baseline, {}}, {0, 1}, at::kDouble, at::kCPU);
  const auto falling = train_seeds(model.architecture, {0, 1}, data, config);
  train_all(model, data, config_of(OptimizerKind::sgd, 0.1, 1));
  const auto half = train_all(model, data, config_of(OptimizerKind::sgd, 0.05, 1));
  EXPECT_LE(relative_difference(falling[2], half[1]), 1e-12);
}

TEST_P(Trainer, EveryFormFollowsAutograd) {
  if (variant_.noisy_output != nullptr) { GTEST_SKIP() << "draws noise for each receptive field of a form"; }
  auto by_autograd = variant_;
  by_autograd.patch_pass = {};
  const auto scene = random_scene(5, 6);
  const auto first = forms(scene);
  const auto second = forms(make_scene(scene.a / 2, scene.b));
  for (const auto kind : all_optimizers) {
    for (const bool redraws : {false, true}) {
      auto config = config_of(kind, 1e-3, 60, redraws ? LossKind::mse : LossKind::l2, {10, 20, 40});
      config.npu_l1 = {0.01, 0.1, 30};
      const auto curve = [&](const Variant& variant, std::size_t i) {
        const auto redraw = [&, i] { return second[i]; };
        return train_seeds({&variant, architecture().size}, {0, 3},
                           {first[i], redraws ? std::function(redraw) : nullptr}, config);
      };
      const auto expected = curve(by_autograd, first.size() - 1);
      EXPECT_GT((expected[1] - expected[60]).abs().max().item<double>(), 1e-5);
      for (std::size_t i = 0; i < first.size(); ++i) {
        EXPECT_LE(worst_difference(curve(variant_, i), expected), 1e-9) << text_of(kind) << " form " << i;
      }
    }
  }
}

TEST_P(Trainer, ReplicasAreSingleRuns) {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    for (const auto& data : forms(cast(small_rectangles(), dtype))) {
      // To the last bit where a replica is a lane, whatever its neighbours are, or the lanes are its channels.
      const bool patches = data.form == DataForm::patches;
      const bool in_lanes = patches ? bool{variant_.patch_pass} : data.form == DataForm::image && variant_.network_pass;
      for (const auto kind : all_optimizers) {
        const bool adam = kind == OptimizerKind::adam || kind == OptimizerKind::adamw;
        if (!in_lanes && (dtype == at::kFloat || !adam)) { continue; }
        const std::int64_t steps = checked_build ? 8 : 40;
        const auto loss = kind == OptimizerKind::adam ? LossKind::l2 : LossKind::mse;
        const auto config = config_of(kind, 1e-3, steps, loss, {1, steps / 4, 3 * steps / 4});
        const auto all = train_seeds(architecture(), {0, 40}, {data, {}}, config);
        for (const auto& [seed, count] : {SeedRange{0, 1}, {15, 1}, {16, 1}, {7, 30}, {39, 1}}) {
          const auto part = train_seeds(architecture(), {seed, count}, {data, {}}, config);
          const auto same = all.narrow(1, seed, count);
          EXPECT_TRUE(in_lanes ? identical(part, same) : worst_difference(part, same) <= 1e-9)
              << text_of(data.form) << ' ' << text_of(kind) << " seed " << seed;
        }
      }
    }
  }
}

TEST_P(Trainer, AReplicaThatOverflowsChangesNoOther) {
  const auto config = config_of(OptimizerKind::adam, 0.01, 60);
  for (const auto& data : forms(cast(small_rectangles(), at::kFloat))) {
    for (const double poison : {1e30, std::nan("")}) {
      auto weights = weights_of(make_model(architecture(), {0, 20}, at::kFloat, at::kCPU));
      weights[7].fill_(poison);
      auto sick = make_model(architecture(), weights.to(at::kFloat));
      const auto actual = train_all(sick, {data, {}}, config);
      const auto expected = train_seeds(architecture(), {0, 20}, {data, {}}, config);
      EXPECT_TRUE(actual.select(1, 7).isnan().all().item<bool>() || poison > 0);
      actual.select(1, 7).copy_(expected.select(1, 7));
      const double close = &variant_ == &variants::product_unit ? 1e-4 : 0;  // LibTorch's cosine of 16 numbers
      EXPECT_TRUE(actual.allclose(expected, close, 0, true)) << text_of(data.form);
    }
  }
}

TEST_P(Trainer, NoOptimizerGetsBelowTheFloor) {
  if (checked_build) { GTEST_SKIP() << "minutes for numbers that the release build shows"; }
  for (const auto& data : forms(small_rectangles())) {
    const auto floor = variant_.floor == nullptr ? std::nullopt : variant_.floor(data, architecture().size);
    if (!floor) { GTEST_SKIP() << "is not known"; }
    for (const auto kind : all_optimizers) {
      const auto losses = train_seeds(architecture(), {4, 1}, {data, {}}, config_of(kind, 1e-3, 2000));
      EXPECT_GE(losses.min().item<double>(), *floor * (1 - 1e-12)) << text_of(kind);
    }
  }
}

TEST_P(Trainer, ChecksAndCallersSeeTheModelAfterSoManyUpdates) {
  const auto config = [](std::int64_t steps) { return config_of(OptimizerKind::adam, 0.01, steps); };
  for (const auto& data : forms(small_rectangles())) {
    SCOPED_TRACE(text_of(data.form));
    const auto expect_losses_of = [&](const Model& model, const at::Tensor& losses, std::int64_t steps) {
      EXPECT_EQ(losses.size(0), steps + 1);
      EXPECT_LE(worst_difference(losses[steps], losses_of(LossKind::l2, forward(model, data), data)), 1e-12);
    };
    auto model = make_model(architecture(), {0, 2}, at::kDouble, at::kCPU);
    std::vector<std::int64_t> steps;
    const auto on_check = [&](std::int64_t step) {
      auto alone = make_model(architecture(), {0, 2}, at::kDouble, at::kCPU);
      expect_losses_of(alone, train_all(alone, {data, {}}, config(step)), step);
      EXPECT_TRUE(torch::equal(weights_of(model), weights_of(alone))) << step;
      steps.push_back(step);
    };
    auto checked = config(10);
    checked.check_every = 4;
    expect_losses_of(model, train_all(model, {data, {}}, checked, on_check), 10);
    EXPECT_EQ(steps, (std::vector<std::int64_t>{0, 4, 8}));
  }
}

TEST_P(Trainer, WeightsStayWhereTheyAreProjected) {
  if (variant_.project == nullptr) { GTEST_SKIP() << "has no limits"; }
  for (const auto& data : forms(random_scene(3, 4))) {
    auto model = make_model(architecture(), {0, 3}, at::kDouble, at::kCPU);
    train_all(model, {data, {}}, config_of(OptimizerKind::adam, 0.3, 20));
    EXPECT_TRUE(torch::equal(weights_of(model), weights_of(model).clamp(0, 1))) << text_of(data.form);
  }
}

TEST(Trainer, DefaultsReachTheFloor) {
  if (checked_build) { GTEST_SKIP() << "minutes for numbers that the release build shows"; }
  const auto data = make_dataset(cast(default_rectangles(), at::kFloat), DataForm::automatic, 3);
  const double floor = *best_affine(data, {3});
  const auto losses = train_seeds({&variants::baseline, {}}, {0, 100}, {data, {}}, {})[-1];
  EXPECT_GE(losses.min().item<double>(), floor * (1 - 1e-6));  // 1e-6: the loss is a float32
  EXPECT_GE((losses <= 1.001 * floor).sum().item<int>(), 95);
}

TEST(Trainer, TheSparsityRegulariserComesInAsItsScheduleSays) {
  // One weight of nmu below a half, one above: the regulariser's gradient is strength / 2 and -strength / 2.
  const auto image = make_dataset(random_scene(3, 4), DataForm::image, 1, variants::nmu.encode);
  const auto after = [&](std::int64_t steps, const Sparsity& sparsity) {
    auto model = make_model({&variants::nmu, {1}}, torch::tensor({{0.4, 0.6}}, at::kDouble));
    train_all(model, {unfolded(image, 1), {}}, config_of(OptimizerKind::sgd, 1e-3, steps, LossKind::mse, sparsity));
    return weights_of(model);
  };
  const auto pull = torch::tensor({{-1.0, 1.0}}, at::kDouble);
  const auto without = after(1, {0, 0, 0});
  EXPECT_TRUE(torch::allclose(after(1, {10, 0, 0}) - without, 1e-3 * 5 * pull, 0, 1e-15));
  EXPECT_TRUE(torch::equal(after(1, {10, 0, 4}), without));  // the first step is still at 0
  const auto two = after(2, {0, 0, 0});
  EXPECT_TRUE(torch::allclose(after(2, {10, 0, 4}) - two, 1e-3 * 5 / 4 * pull, 0, 1e-15));  // a quarter
  EXPECT_TRUE(torch::equal(after(2, {10, 1, 4}), two));
}
}  // namespace
}  // namespace conv_mult
