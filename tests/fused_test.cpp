#include "conv_mult/model/fused.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <hwy/highway.h>
#include <torch/types.h>

#include <cmath>
#include <limits>

#include "scenes.hpp"

namespace conv_mult {
namespace {

struct Evaluation {
  at::Tensor losses, gradient;  // [N], [N, 2 K^2 + 1]
};

Evaluation fused(const Model& model, const Dataset& data, LossKind loss = LossKind::l2) {
  if (data.form != DataForm::patches) {
    FusedImage layer(model, data, loss);
    const auto losses = layer.losses_and_gradient();
    return {losses, layer.parameters().grad()};
  }
  FusedPatches layer(model, data, loss);
  const auto losses = layer.losses_and_gradient();
  const auto gradient = layer.parameters().grad().transpose(1, 2).flatten(0, 1);
  return {losses, gradient.narrow(0, 0, model.replicas())};
}

Evaluation by_autograd(Model& model, const Dataset& data, LossKind loss = LossKind::l2) {
  for (auto& parameter : model.parameters) {
    parameter.mutable_grad().reset();
  }
  const auto losses = losses_of(loss, forward(model, data), data);
  losses.sum().backward();
  return {losses.detach(), at::cat({model.parameters[0].grad().flatten(1), model.parameters[1].grad()}, 1)};
}

double relative_difference(const at::Tensor& x, const at::Tensor& y) {
  return ((x - y).abs().max() / y.abs().max()).item<double>();
}

// 1, 3 and 99 patches: a remainder of 4. Rows of 1 to 1,030 pixels: parts of a vector, several blocks.
TEST(Fused, LossAndGradientEqualAutograd) {
  for (const auto& [height, width] : {std::pair{1, 1}, {1, 3}, {9, 11}, {3, 64}, {70, 37}, {2, 1030}}) {
    const auto scene = random_scene(height, width);
    for (const std::int64_t kernel_size : {1, 3, 5, 9}) {
      for (const auto form : {DataForm::image, DataForm::patches}) {
        const auto data = make_dataset(scene, form, kernel_size);
        for (const auto variant : {Variant::baseline, Variant::exp}) {
          for (const std::int64_t replicas : {1, 16, 37}) {
            auto model = make_model({variant, kernel_size}, SeedRange{5, replicas}, at::kDouble, at::kCPU);
            for (const auto loss : {LossKind::l2, LossKind::mse}) {
              const auto expected = by_autograd(model, data, loss);
              const auto actual = fused(model, data, loss);
              SCOPED_TRACE(testing::Message()
                           << height << 'x' << width << " K=" << kernel_size << ' ' << to_string(form) << ' '
                           << to_string(variant) << ' ' << to_string(loss));
              EXPECT_LE(relative_difference(actual.losses, expected.losses), 1e-12);
              EXPECT_LE(relative_difference(actual.gradient, expected.gradient), 1e-11);
            }
          }
        }
      }
    }
  }
}

TEST(Fused, Float32IsAsGoodAsItsType) {
  for (const auto form : {DataForm::image, DataForm::patches}) {
    const auto data = make_dataset(SceneConfig{}, at::kFloat, form, 3);
    const auto exact = make_dataset(SceneConfig{}, at::kDouble, form, 3);
    auto model = make_model({Variant::exp, 3}, SeedRange{0, 40}, at::kFloat, at::kCPU);
    auto exact_model = make_model({Variant::exp, 3}, SeedRange{0, 40}, at::kDouble, at::kCPU);
    const auto actual = fused(model, data);
    const auto expected = by_autograd(exact_model, exact);
    EXPECT_LE(relative_difference(actual.losses.to(at::kDouble), expected.losses), 1e-6);
    EXPECT_LE(relative_difference(actual.gradient.to(at::kDouble), expected.gradient), 1e-6);
  }
}

TEST(Fused, GradientOfAZeroLossIsZero) {
  const auto zero = torch::zeros({1, 1, 4, 4}, at::kDouble);
  auto model = make_model({Variant::baseline, 3}, SeedRange{0, 2}, at::kDouble, at::kCPU);
  {
    const at::NoGradGuard no_grad;
    model.parameters[1].zero_();
  }
  for (const auto form : {DataForm::image, DataForm::patches}) {
    const auto result = fused(model, make_dataset(make_scene(zero, zero), form, 3));
    EXPECT_TRUE(torch::equal(result.losses, torch::zeros(2, at::kDouble)));
    EXPECT_TRUE(torch::equal(result.gradient, torch::zeros({2, 19}, at::kDouble)));
  }
}

/// On a black pixel with target 0 the loss of replica i is exp(bias i).
template <typename Scalar>
void expect_exp(DataForm form, const std::vector<double>& arguments, double tolerance) {
  const auto dtype = sizeof(Scalar) == 4 ? at::kFloat : at::kDouble;
  const auto zero = torch::zeros({1, 1, 1, 1}, dtype);
  const auto data = make_dataset(make_scene(zero, zero), form, 1);
  const auto count = static_cast<std::int64_t>(arguments.size());
  auto model = make_model({Variant::exp, 1}, SeedRange{0, count}, dtype, at::kCPU);
  {
    const at::NoGradGuard no_grad;
    model.parameters[1].copy_(torch::tensor(arguments, at::kDouble).unsqueeze(1));
  }
  const auto losses = fused(model, data).losses;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto x = static_cast<Scalar>(arguments[static_cast<std::size_t>(i)]);
    const Scalar expected = std::exp(x);
    const auto actual = losses[i].item<Scalar>();
    if (std::isnan(expected) || std::isinf(expected)) {
      EXPECT_TRUE(std::isnan(expected) ? std::isnan(actual) : actual == expected) << x << " gave " << actual;
    } else {
      EXPECT_NEAR(actual, expected, static_cast<Scalar>(tolerance) * expected) << x;
    }
  }
}

TEST(Fused, ExpHasItsLimitsAndItsDigits) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> special{0, -0.0, inf, -inf, std::nan(""), 1e30, -1e30};
  // The loss is sqrt(exp(x)^2): the square must not leave the range of the type either.
  std::vector<double> usual;
  for (double x = -40; x <= 40; x += 0.0371) {
    usual.push_back(x);
  }
  for (const auto form : {DataForm::image, DataForm::patches}) {
    expect_exp<float>(form, special, 0);
    expect_exp<double>(form, special, 0);
    expect_exp<float>(form, usual, 3e-7);
    expect_exp<double>(form, usual, 6e-16);
  }
}

TEST(Fused, EveryInstructionSetOfThisMachineAgrees) {
  const auto targets = hwy::SupportedAndGeneratedTargets();
  ASSERT_FALSE(targets.empty());
  for (const auto form : {DataForm::image, DataForm::patches}) {
    const auto data = make_dataset(random_scene(7, 99), form, 3);
    auto model = make_model({Variant::exp, 3}, SeedRange{5, 21}, at::kDouble, at::kCPU);
    const auto expected = by_autograd(model, data);
    for (const auto target : targets) {
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      const auto actual = fused(model, data);
      EXPECT_LE(relative_difference(actual.losses, expected.losses), 1e-12) << hwy::TargetName(target);
      EXPECT_LE(relative_difference(actual.gradient, expected.gradient), 1e-11) << hwy::TargetName(target);
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
}

TEST(Fused, ThreadsDoNotChangeABit) {
  const auto data = make_dataset(random_scene(300, 301), DataForm::image, 3);  // several bands
  auto model = make_model({Variant::exp, 3}, SeedRange{5, 3}, at::kFloat, at::kCPU);
  const auto alone = fused(model, data);
  at::set_num_threads(4);
  const auto together = fused(model, data);
  at::set_num_threads(1);
  EXPECT_TRUE(torch::equal(alone.losses, together.losses));
  EXPECT_TRUE(torch::equal(alone.gradient, together.gradient));
}

}  // namespace
}  // namespace conv_mult
