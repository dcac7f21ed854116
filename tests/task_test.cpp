#include "conv_mult/run/task.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

#include "conv_mult/model/optimum.hpp"

namespace conv_mult {
namespace {

Config noise_config(bool resample, Interval range = {-2, 2}) {
  Config config;
  config.scenes = {SceneKind::noise};
  config.noise = {{range, {{-6, -2}, {2, 6}}}};
  config.resample = resample;
  config.scene.height = 6;
  config.scene.width = 7;
  config.kernel_size = 1;
  config.training.loss = LossKind::mse;
  return config;
}

std::vector<std::string> names_of(const Task& task) {
  std::vector<std::string> names;
  for (const auto& split : task.record().splits) {
    names.push_back(split.name);
  }
  return names;
}

double worst_difference(const at::Tensor& x, const at::Tensor& y) {
  return ((x - y).abs() / y.abs()).max().item<double>();
}

TEST(Task, SplitsOfEachKindOfScene) {
  using Names = std::vector<std::string>;
  const Config rectangles;
  EXPECT_EQ(names_of(Task(rectangles, 0)), (Names{"train", "moved", "values", "both"}));
  const auto fixed = noise_config(false);
  EXPECT_EQ(names_of(Task(fixed, 0)), (Names{"train", "inside", "outside"}));
  const auto resampled = noise_config(true);
  const Task task(resampled, 0);
  EXPECT_EQ(names_of(task), (Names{"inside", "outside"}));
  EXPECT_EQ(task.record().name, "noise -2 to 2");
  EXPECT_EQ(task.record().test, "-6 to -2 and 2 to 6");
  EXPECT_EQ(task.record().splits[0].pixels, 10 * 6 * 7);
}

TEST(Task, ScenesAreRectanglesAndThenEachNoise) {
  auto config = noise_config(false);
  config.scenes = {SceneKind::noise, SceneKind::rectangles};
  config.scene = SceneConfig{};
  config.noise.push_back({{5, 6}, {{7, 8}}});
  ASSERT_EQ(scene_count(config), 3U);
  EXPECT_EQ(Task(config, 0).record().name, "rectangles");
  EXPECT_EQ(Task(config, 1).record().name, "noise -2 to 2");
  EXPECT_EQ(Task(config, 2).record().name, "noise 5 to 6");
}

TEST(Task, EveryVariantIsTrainedOnTheSameScenesStepAfterStep) {
  const auto config = noise_config(true);
  const Task task(config, 0);
  Random random(config.scene_seed, 0);
  const auto expected = make_noise({{-2, 2}}, 150, 6, 7, random, at::kDouble);  // beyond any chunk of them
  for (const auto variant : all_variants) {
    const Architecture architecture{variant, 1, 1, 1};
    for (int block = 0; block < 2; ++block) {  // of seeds: each begins anew
      auto data = task.training_data(architecture, at::kDouble, at::kCPU);
      for (std::int64_t step = 0; step < 150; ++step) {
        if (step > 0) {
          data.first = data.redraw();
        }
        ASSERT_TRUE(torch::equal(data.first.target.flatten(), expected.target[step].flatten()))
            << to_string(variant) << " step " << step;
        if (encoding_of(variant) == Encoding::plain) {
          const auto channels = data.first.form == DataForm::patches ? data.first.input.flatten(1).t()
                                                                     : data.first.input[0].flatten(1);
          ASSERT_TRUE(torch::equal(channels[0], expected.a[step].flatten()));
          ASSERT_TRUE(torch::equal(channels[1], expected.b[step].flatten()));
        }
      }
    }
  }
}

TEST(Task, ReplicasEqualSingleRunsOnEveryScene) {
  auto rectangles = Config();
  rectangles.scene.height = rectangles.scene.width = 20;
  rectangles.scene.a = {4, 3, 9, 10, 1};
  rectangles.scene.b = {8, 7, 8, 9, 2};
  auto noise = noise_config(true, {1, 2});
  noise.kernel_size = 3;
  for (const auto& config : {rectangles, noise}) {
    const Task task(config, 0);
    for (const auto variant : all_variants) {
      const Architecture architecture{variant, 3, is_deep(variant) ? 2 : 1, is_deep(variant) ? 4 : 1};
      TrainingConfig training;
      training.steps = 60;
      training.learning_rate = 0.003;
      training.loss = config.training.loss;
      training.sparsity = {10, 20, 40};
      const auto curves = [&](SeedRange seeds) {
        auto model = make_model(architecture, seeds, at::kDouble, at::kCPU);
        std::vector<at::Tensor> losses;
        TrainingCallbacks callbacks;
        callbacks.on_losses = [&](std::int64_t, const at::Tensor& block) {
          losses.push_back(block.clone());
          return true;
        };
        train(model, task.training_data(architecture, at::kDouble, at::kCPU), training, callbacks);
        return at::cat(losses);
      };
      const auto batch = curves({10, 5});
      ASSERT_TRUE(batch.isfinite().all().item<bool>()) << to_string(variant);
      for (std::int64_t i = 0; i < 5; ++i) {
        EXPECT_LE(worst_difference(batch.select(1, i), curves({10 + i, 1}).select(1, 0)), 1e-9)
            << task.record().name << ' ' << to_string(variant) << " seed " << 10 + i;
      }
    }
  }
}

TEST(Task, NearExactIsWhatAnNmuHasThatIsOffByOneInAHundredThousand) {
  for (const bool resample : {false, true}) {
    auto config = noise_config(resample);
    const Task task(config, 0);
    EXPECT_EQ(task.record().splits[task.record().judged].name, "outside");
    EXPECT_TRUE(task.success_needs_checks());
    const Architecture nmu{Variant::nmu, 1};
    const auto almost = make_model(nmu, torch::full({1, 2}, 1 - 1e-5, at::kDouble));
    EXPECT_NEAR(task.record().success_norm / task.errors(almost, task.record().judged).item<double>(), 1,
                1e-9);
    config.success.noise = 0.03;
    const Task relative(config, 0);
    EXPECT_EQ(relative.record().judged, 0U);
    EXPECT_DOUBLE_EQ(relative.record().success_norm, 0.03 * relative.record().splits[0].target_norm);
    EXPECT_EQ(relative.success_needs_checks(), resample);
  }
  Config rectangles;
  rectangles.success.rectangles.reset();
  const Task task(rectangles, 0);
  // 750 pixels of 1 times 2: with w = 1 - e each, ((1 - e) 1 + e) ((1 - e) 2 + e) = 2 - e; the rest: a 0 is
  // e.
  const double e = 1e-5;
  const auto& [height, width, a, b] = rectangles.scene;
  const auto count = [](const Rectangle& r) { return static_cast<double>(r.height * r.width); };
  const double only_a = count(a) - 750;
  const double only_b = count(b) - 750;
  const double neither = static_cast<double>(height * width) - only_a - only_b - 750;
  const double expected = std::sqrt(750 * e * e + only_a * e * e + only_b * std::pow(e * (2 - e), 2) +
                                    neither * std::pow(e * e, 2));
  EXPECT_NEAR(task.record().success_norm / expected, 1, 1e-6);
  EXPECT_FALSE(task.success_needs_checks());
}

TEST(Task, ErrorsAreThoseOverWholeImages) {
  auto config = noise_config(false);
  config.kernel_size = 3;
  const Task task(config, 0);
  Random random(config.held_out.seed, 2);
  const auto outside = make_noise({{-6, -2}, {2, 6}}, 10, 6, 7, random, at::kDouble);
  EXPECT_NEAR(task.record().splits[2].target_norm, outside.target.norm().item<double>(), 1e-9);
  EXPECT_TRUE((outside.a.abs() >= 2).all().item<bool>());
  const Architecture baseline{Variant::baseline, 3};
  const auto model = make_model(baseline, {0, 3}, at::kDouble, at::kCPU);
  const auto whole = forward(model, make_image_dataset(outside, DataForm::literal));
  const auto expected = (whole - outside.target).norm(2, at::IntArrayRef{0, 2, 3});
  EXPECT_LE(worst_difference(task.errors(model, 2), expected), 1e-12);
  for (const auto variant : {Variant::relu, Variant::stacked_exp}) {  // a shortened image against a whole one
    Config rectangles;
    rectangles.scene.b.value = 0.5;
    const Task scene(rectangles, 0);
    const auto deep = make_model({variant, 3, 4, 2}, {0, 2}, at::kDouble, at::kCPU);
    const auto image = make_image_dataset(make_rectangles(rectangles.scene, at::kDouble), DataForm::image);
    EXPECT_LE(worst_difference(scene.errors(deep, 0), losses_of(LossKind::l2, forward(deep, image), image)),
              1e-12);
    EXPECT_LT(scene.training_data(deep.architecture, at::kFloat, at::kCPU).first.rows(), 3000);
    const auto alone = make_model({variant, 3, 4, 2}, {1, 1}, at::kDouble, at::kCPU);
    EXPECT_TRUE(torch::allclose(scene.render(alone), forward(alone, image)[0][0], 1e-12));
  }
}

TEST(Task, TheFloorOfTheBaselineOnNoiseIsItsClosedForm) {
  // Best affine function of a and b, uniform on a width w: mean squared error w^4 / 144, whatever the place.
  auto config = noise_config(false, {10, 20});
  config.scene.height = config.scene.width = 300;
  const Architecture baseline{Variant::baseline, 1};
  const double sampled = *Task(config, 0).floor(baseline);
  EXPECT_NEAR(sampled, 1e4 / 144, 0.02 * 1e4 / 144);  // of 90,000 pixels; 0.6 % is one deviation
  config.resample = true;
  EXPECT_DOUBLE_EQ(*Task(config, 0).floor(baseline), 1e4 / 144);
  EXPECT_EQ(*Task(config, 0).floor({Variant::nmu, 1}), 0);
  EXPECT_FALSE(Task(config, 0).floor({Variant::exp, 1}));
  config.training.loss = LossKind::l2;
  EXPECT_FALSE(Task(config, 0).floor(baseline));
  const Config rectangles;
  EXPECT_NEAR(*Task(rectangles, 0).floor({Variant::baseline, 3}), 35.7466, 5e-5);
  EXPECT_EQ(*Task(rectangles, 0).floor({Variant::exp, 3}), 0);
  const auto huge = noise_config(false, {1e300, 1.1e300});  // its product overflows
  EXPECT_FALSE(Task(huge, 0).floor(baseline));
}

TEST(Task, ATrainedBaselineLandsOnItsFloor) {
  auto config = noise_config(true, {0, 2});
  config.scene.height = 16;
  config.scene.width = 32;
  const Task task(config, 0);
  const Architecture baseline{Variant::baseline, 1};
  TrainingConfig training;
  training.steps = 4000;
  training.loss = LossKind::mse;
  auto model = make_model(baseline, {0, 4}, at::kFloat, at::kCPU);
  TrainingCallbacks callbacks;
  callbacks.on_losses = [](std::int64_t, const at::Tensor&) { return true; };
  train(model, task.training_data(baseline, at::kFloat, at::kCPU), training, callbacks);
  const auto norms = task.errors(make_model(baseline, weights_of(model)), 0);
  const auto mse = norms.square() / task.record().splits[0].pixels;
  EXPECT_LE(worst_difference(mse, torch::full_like(mse, 16.0 / 144)),
            0.06);  // 5,120 pixels: 2.5 % a deviation
}

}  // namespace
}  // namespace conv_mult
