#include "cases.hpp"
#include "run/experiment.hpp"

namespace conv_mult {
namespace {
Config noise_config(bool resample, Interval range = {-2, 2}) {
  Config config;
  config.scenes = {"noise"};
  config.ranges = {range};
  config.test_ranges = {{{-6, -2}, {2, 6}}};
  config.resample = resample;
  config.size = {6, 7};
  config.kernel_size = 1;
  config.loss = LossKind::mse;
  return config;
}

/// With what it refers to.
struct OwnTask {
  explicit OwnTask(const Config& config) : sources(sources_of(config)), task(config, sources[0]) {}

  std::vector<SceneSource> sources;
  Task task;
  const SceneResult& record = task.record();
};

class Tasks : public EachVariant {};
CONV_MULT_FOR_EACH_VARIANT(Tasks);

TEST_P(Tasks, IsTrainedOnTheSameScenesStepAfterStep) {
  const OwnTask own(noise_config(true));
  for (int block = 0; block < 2; ++block) {  // of seeds: each begins anew
    const auto draw = own.sources[0].stream();
    auto scenes = draw();
    auto data = own.task.training_data(architecture(1), at::kDouble, at::kCPU);
    for (std::int64_t step = 0; step < 150; ++step) {  // beyond what is drawn at once
      const auto next = step % scenes.a.size(0);
      if (step > 0) { data.first = data.redraw(); }
      if (step > 0 && next == 0) { scenes = draw(); }
      const auto scene = make_scene(scenes.a.narrow(0, next, 1), scenes.b.narrow(0, next, 1));
      const auto image = make_dataset(scene, DataForm::image, 1, variant_.encode);
      const auto expected = data.first.form == DataForm::patches ? unfolded(image, 1) : image;
      ASSERT_TRUE(torch::equal(data.first.target, expected.target)) << step;
      ASSERT_TRUE(torch::equal(data.first.input, expected.input)) << step;
    }
  }
}

TEST_P(Tasks, ErrorsAndPicturesAreThoseOfWholeImages) {
  auto noise = noise_config(false, {-1, 1});
  noise.test_ranges = {{{-0.5, 1.5}}};
  Config rectangles;
  rectangles.rect_b.value = 0.5;
  for (const auto& config : {noise, rectangles}) {
    const OwnTask own(config);
    const auto model = make_model(architecture(), {0, 3}, at::kDouble, at::kCPU);
    const auto on = [&](const Scene& scenes) {
      const auto image = make_dataset(scenes, DataForm::image, 1, variant_.encode);
      return variant_.takes == Takes::patches ? unfolded(image, 3) : image;
    };
    for (std::size_t i = 0; i < own.sources[0].splits.size(); ++i) {
      const auto& split = own.sources[0].splits[i];
      auto squares = torch::zeros({3}, at::kDouble);
      double target = 0;
      for (std::int64_t scene = 0; scene < split.scenes; ++scene) {
        const auto data = on(split.draw(scene, 1));
        squares += losses_of(LossKind::l2, forward(model, data), data).detach().square();
        target = std::hypot(target, data.target.norm().item<double>());
      }
      EXPECT_LE(worst_difference(own.task.errors(model, i), squares.sqrt()), 1e-11) << split.name;
      EXPECT_NEAR(own.record.splits[i].target_norm, target, 1e-9);
    }
    EXPECT_LT(own.task.training_data(architecture(), at::kFloat, at::kCPU).first.rows(), 3000);  // no whole image
    const auto alone = make_model(architecture(), {1, 1}, at::kDouble, at::kCPU);
    const auto pixels = forward(alone, on(own.sources[0].train())).flatten().to(at::kFloat);
    EXPECT_LE(worst_difference(own.task.render(alone).flatten(), pixels), 1e-6);
  }
}

TEST(Tasks, NearExactIsAProductOfFactorsThatAreOffByOneInAHundredThousand) {
  for (const bool resample : {false, true}) {
    auto config = noise_config(resample);
    const OwnTask own(config);
    EXPECT_EQ(own.record.name, "noise -2 to 2");
    EXPECT_EQ(own.record.test, "-6 to -2 and 2 to 6");
    EXPECT_EQ(own.record.splits[own.record.judged].name, "outside");
    const auto almost =
        make_model({&variants::bilinear, {1}}, (1 - 1e-5) * torch::tensor({{1.0, 0.0, 0.0, 1.0}}, at::kDouble));
    EXPECT_NEAR(own.record.success_norm / own.task.errors(almost, own.record.judged).item<double>(), 1, 1e-9);
    config.success = {true, {}, 1e-5, 0.25};
    EXPECT_DOUBLE_EQ(OwnTask(config).record.success_norm, std::sqrt(0.25 * 10 * 6 * 7));
    config.success = {true, 0.03};
    const OwnTask relative(config);
    EXPECT_EQ(relative.record.judged, 0U);
    EXPECT_DOUBLE_EQ(relative.record.success_norm, 0.03 * relative.record.splits[0].target_norm);
    EXPECT_EQ(relative.task.resampled(), resample);
  }
  Config rectangles;
  EXPECT_EQ(OwnTask(rectangles).record.success_error, 0.05);
  rectangles.success.given = true;
  const OwnTask own(rectangles);
  const double off = 2 - 2 * std::pow(1 - 1e-5, 2);  // of 1 times 2, on 750 pixels
  EXPECT_NEAR(own.record.success_norm / (off * std::sqrt(750)), 1, 1e-6);
  EXPECT_EQ(own.record.judged, 0U);
}

TEST(Tasks, TheFloorOfTheBaselineOnNoiseIsItsClosedForm) {
  // Best affine function of a and b, uniform on a width w: mean squared error w^4 / 144, whatever the place.
  auto config = noise_config(false, {10, 20});
  config.size.height = config.size.width = 300;
  const auto floor = [&](const Variant& variant, std::int64_t kernel_size = 1) {
    return OwnTask(config).task.floor({&variant, {kernel_size}});
  };
  EXPECT_NEAR(*floor(variants::baseline) * 144 / 1e4, 1, 0.02);  // 90,000 pixels; 0.6 % is one deviation
  config.resample = true;
  EXPECT_DOUBLE_EQ(*floor(variants::baseline), 1e4 / 144);
  EXPECT_EQ(*floor(variants::nmu), 0);
  EXPECT_FALSE(floor(variants::exp));
  config.loss = LossKind::l2;
  EXPECT_FALSE(floor(variants::baseline));
  config = noise_config(false, {1e300, 1.1e300});  // its product overflows
  EXPECT_FALSE(floor(variants::baseline));
  config = {};
  EXPECT_NEAR(*floor(variants::baseline, 3), 35.7466, 5e-5);
  EXPECT_EQ(*floor(variants::exp, 3), 0);
}

TEST(Tasks, ATrainedBaselineLandsOnItsFloor) {
  auto config = noise_config(true, {0, 2});
  config.size.height = 16;
  config.size.width = 32;
  const OwnTask own(config);
  TrainingConfig training;
  training.steps = 4000;
  training.loss = LossKind::mse;
  auto model = make_model({&variants::baseline, {1}}, {0, 4}, at::kFloat, at::kCPU);
  train_all(model, own.task.training_data(model.architecture, at::kFloat, at::kCPU), training);
  const auto norms = own.task.errors(make_model(model.architecture, weights_of(model)), 0);
  const auto ratio = norms.square() / own.record.splits[0].pixels * 144 / 16;
  EXPECT_LE((ratio - 1).abs().max().item<double>(), 0.06);  // 5,120 pixels: 2.5 % a deviation
}
}  // namespace
}  // namespace conv_mult
