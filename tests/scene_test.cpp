#include "conv_mult/data/scene.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

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
  EXPECT_TRUE(torch::equal(scene.input(), torch::stack({a, b}).unsqueeze(0)));
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

}  // namespace
}  // namespace conv_mult
