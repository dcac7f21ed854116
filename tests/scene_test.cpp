#include "conv_mult/data/scene.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

namespace conv_mult {
namespace {

TEST(Scene, DrawsTheRectanglesWhereTheyBelong) {
  SceneConfig config;
  config.height = 3;
  config.width = 4;
  config.a = {0, 1, 2, 2, 3.0};
  config.b = {1, 2, 2, 2, -2.0};
  const auto scene = make_rectangles(config, at::kDouble);
  const auto a = torch::tensor({{0., 3., 3., 0.}, {0., 3., 3., 0.}, {0., 0., 0., 0.}}, at::kDouble);
  const auto b = torch::tensor({{0., 0., 0., 0.}, {0., 0., -2., -2.}, {0., 0., -2., -2.}}, at::kDouble);
  const auto target = torch::tensor({{0., 0., 0., 0.}, {0., 0., -6., 0.}, {0., 0., 0., 0.}}, at::kDouble);
  EXPECT_TRUE(torch::equal(scene.a[0][0], a));
  EXPECT_TRUE(torch::equal(scene.b[0][0], b));
  EXPECT_TRUE(torch::equal(scene.target[0][0], target));
  EXPECT_TRUE(torch::equal(encode(scene, Encoding::plain), torch::stack({a, b}).unsqueeze(0)));
}

TEST(Scene, DefaultsOverlapIn750Pixels) {
  const auto scene = make_rectangles(SceneConfig{}, at::kFloat);
  EXPECT_EQ(scene.target.sizes(), (std::vector<std::int64_t>{1, 1, 100, 100}));
  EXPECT_EQ((scene.target == 2).sum().item<std::int64_t>(), 25 * 30);  // rows 40..64, columns 35..64
  EXPECT_EQ((scene.target != 0).sum().item<std::int64_t>(), 25 * 30);
}

TEST(Scene, TheNormOfTheTargetNeedsNoImage) {
  SceneConfig config;
  const auto expect_norm_of_the_image = [&] {
    EXPECT_NEAR(target_norm(config), make_rectangles(config, at::kDouble).target.norm().item<double>(),
                1e-12);
  };
  expect_norm_of_the_image();
  config.b.value = -0.3;
  config.a = {50, 50, 50, 50, 7};
  expect_norm_of_the_image();
  config.a = {0, 0, 40, 100, 1};  // touches b from above
  expect_norm_of_the_image();
  EXPECT_EQ(target_norm(config), 0);
}

TEST(Scene, NoiseIsUniformOnItsRanges) {
  Random random(3, 0);
  const auto scene = make_noise({{-6, -2}, {2, 3}}, 2, 100, 200, random, at::kDouble);
  EXPECT_EQ(scene.a.sizes(), (at::IntArrayRef{2, 1, 100, 200}));
  EXPECT_TRUE(torch::equal(scene.target, scene.a * scene.b));
  for (const auto& image : {scene.a, scene.b}) {
    EXPECT_TRUE((((image >= -6) & (image < -2)) | ((image >= 2) & (image < 3))).all().item<bool>());
    // 40,000 draws: a share of 4/5 has a deviation of 0.002, the mean of the lower range one of 0.0065.
    const auto lower = image.masked_select(image < 0);
    EXPECT_NEAR(static_cast<double>(lower.numel()) / 40000, 0.8, 0.008);
    EXPECT_NEAR(lower.mean().item<double>(), -4, 0.026);
  }
  EXPECT_LT((scene.a * scene.b).mean().item<double>() / (2.7 * 2.7),
            1.1);  // independent: the product of means
  Random again(3, 0);
  const auto alone = make_noise({{-6, -2}, {2, 3}}, 1, 100, 200, again, at::kDouble);
  EXPECT_TRUE(torch::equal(alone.b[0], scene.b[0]));  // more scenes begin with the fewer
}

TEST(Scene, EncodingsAreWhatTheySay) {
  const auto scene =
      make_scene(torch::tensor({{{{-2.0, 0.0}}}}, at::kDouble), torch::tensor({{{{3.0, 0.5}}}}, at::kDouble));
  const double e = 1e-7;
  const double f = std::pow(2, -23);
  const auto expect = [&](Encoding encoding, const std::vector<double>& numbers) {
    const auto channels = static_cast<std::int64_t>(numbers.size() / 2);
    const auto expected = torch::tensor(numbers, at::kDouble).reshape({1, channels, 1, 2});
    EXPECT_TRUE(torch::allclose(encode(scene, encoding), expected, 1e-15, 0)) << encode(scene, encoding);
  };
  const std::vector<double> logarithms{std::log(2 + e), std::log(e), std::log(3 + e), std::log(0.5 + e)};
  expect(Encoding::plain, {-2, 0, 3, 0.5});
  expect(Encoding::logarithm, logarithms);
  expect(Encoding::plain_logarithm,
         {-2, 0, 3, 0.5, logarithms[0], logarithms[1], logarithms[2], logarithms[3]});
  expect(Encoding::marked, {-2, 0, 3, 0.5, 1, 1, 1, 1});
  expect(Encoding::polar, {2 + f, f, 3 + f, 0.5 + f, 1, 1, 1, 1, 1, 0, 0, 0});
}

}  // namespace
}  // namespace conv_mult
