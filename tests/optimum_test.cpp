#include "conv_mult/model/optimum.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

#include "conv_mult/model/variants.hpp"
#include "scenes.hpp"

namespace conv_mult {
namespace {

Scene row_scene(const std::vector<double>& a, const std::vector<double>& b) {
  return make_scene(torch::tensor(a, at::kDouble).reshape({1, 1, 1, -1}),
                    torch::tensor(b, at::kDouble).reshape({1, 1, 1, -1}));
}

TEST(Optimum, TheTruthTableOfAnd) {
  // By hand: a, b over {0, 1}^2, K = 1. By symmetry the best affine fit of a b is (a + b)/2 - 1/4: the
  // residual is
  // +-1/4 at each of the four points, orthogonal to 1, a and b. Loss sqrt(4/16) = 1/2.
  const auto scene = row_scene({0, 0, 1, 1}, {0, 1, 0, 1});
  for (const auto form : {DataForm::image, DataForm::patches}) {
    const auto optimum = best_affine(make_dataset(scene, form, 1), 1);
    EXPECT_NEAR(optimum.loss, 0.5, 1e-14);
    EXPECT_NEAR(optimum.weight[0].item<double>(), 0.5, 1e-14);
    EXPECT_NEAR(optimum.weight[1].item<double>(), 0.5, 1e-14);
    EXPECT_NEAR(optimum.bias, -0.25, 1e-14);
  }
}

TEST(Optimum, CountsWeighThePatches) {
  // The same with (1, 1) three times, counts n = (1, 1, 1, 3). Only u = (1, -1, -1, 1) is orthogonal to 1, a
  // and b, so the residual is r = c u / n with u.r = u.target = 1: c = 1 / (1 + 1 + 1 + 1/3) = 0.3 = sum(n
  // r^2).
  const auto scene = row_scene({0, 0, 1, 1, 1, 1}, {0, 1, 0, 1, 1, 1});
  EXPECT_NEAR(best_affine(make_dataset(scene, DataForm::patches, 1), 1).loss, std::sqrt(0.3), 1e-14);
  EXPECT_NEAR(best_affine(make_dataset(scene, DataForm::image, 1), 1).loss, std::sqrt(0.3), 1e-14);
}

TEST(Optimum, UniformNoiseApproachesItsClosedForm) {
  // Mean squared error of the best affine function of independent uniform a, b on [0, 1]: w^4 / 144 with w
  // = 1.
  torch::manual_seed(1);
  const auto a = torch::rand({1, 1, 500, 500}, at::kDouble);
  const auto b = torch::rand({1, 1, 500, 500}, at::kDouble);
  const double loss = best_affine(make_image_dataset(make_scene(a, b), DataForm::image), 3).loss;
  EXPECT_NEAR(loss * loss / (500 * 500) * 144, 1, 0.01);  // standard error of the mean: about 0.2 %
}

TEST(Optimum, RankDeficientProblemsAreSolvedExactly) {
  // b = 2 a, so its column repeats a's; over a in {0, 1} the product 2 a^2 = 2 a is affine: loss 0.
  for (const auto form : {DataForm::image, DataForm::patches}) {
    EXPECT_EQ(best_affine(make_dataset(row_scene({0, 1, 1, 0}, {0, 2, 2, 0}), form, 1), 1).loss, 0);
  }
  // A 1x1 image meets 17 of 18 weights with padding only.
  EXPECT_EQ(best_affine(make_image_dataset(random_scene(1, 1), DataForm::image), 3).loss, 0);
  // A zero target is met by zero weights.
  const auto zero = torch::zeros({1, 1, 5, 5}, at::kDouble);
  const auto optimum = best_affine(make_image_dataset(make_scene(zero, zero), DataForm::image), 3);
  EXPECT_EQ(optimum.loss, 0);
  EXPECT_EQ(optimum.weight.abs().max().item<double>(), 0);
}

TEST(Optimum, FormsAndBlocksAgree) {
  SceneConfig config;
  config.height = 300;
  config.width = 400;  // 120,000 pixels: two blocks of rows
  const auto scene = make_rectangles(config, at::kDouble);
  const double image = best_affine(make_dataset(scene, DataForm::image, 3), 3).loss;
  const double patches = best_affine(make_dataset(scene, DataForm::patches, 3), 3).loss;
  EXPECT_NEAR(image / patches, 1, 1e-10);
}

TEST(Optimum, NoWeightsNearbyDoBetter) {
  const auto data = make_dataset(small_rectangles(), DataForm::image, 3);
  const auto optimum = best_affine(data, 3);
  auto model = make_model({Variant::baseline, 3}, SeedRange{0, 1}, at::kDouble, at::kCPU);
  const at::NoGradGuard no_grad;
  const auto loss_at = [&](const at::Tensor& weight, double bias) {
    model.parameters[0].copy_(weight.reshape({1, 1, 2, 3, 3}));
    model.parameters[1].fill_(bias);
    return losses_of(LossKind::l2, forward(model, data), data).item<double>();
  };
  EXPECT_NEAR(loss_at(optimum.weight, optimum.bias) / optimum.loss, 1, 1e-12);
  torch::manual_seed(2);
  for (int i = 0; i < 100; ++i) {
    EXPECT_GE(loss_at(optimum.weight + 0.01 * torch::randn({18}, at::kDouble), optimum.bias), optimum.loss);
  }
}

TEST(Optimum, FloorOfExpIsWhatItsSignCannotReach) {
  // exp > 0: a positive product can be approached, a negative one not at all.
  const auto positive = make_image_dataset(row_scene({0, 0, 1, 1}, {0, 2, 0, 2}), DataForm::literal);
  const auto negative = make_image_dataset(row_scene({0, 0, 1, 1}, {0, -2, 0, -2}), DataForm::literal);
  EXPECT_EQ(loss_floor(Variant::exp, positive, 1), 0);
  EXPECT_EQ(loss_floor(Variant::exp, negative, 1), 2);
  // The weights of the proof: T (a + b / 2) + log 2 - 2 T, with T large.
  auto model = make_model({Variant::exp, 1}, SeedRange{0, 1}, at::kDouble, at::kCPU);
  const at::NoGradGuard no_grad;
  model.parameters[0].copy_(torch::tensor({50.0, 25.0}, at::kDouble).reshape({1, 1, 2, 1, 1}));
  model.parameters[1].fill_(std::log(2.0) - 100);
  EXPECT_LT(losses_of(LossKind::l2, forward(model, positive), positive).item<double>(), 1e-12);
}

}  // namespace
}  // namespace conv_mult
