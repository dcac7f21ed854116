#include "conv_mult/model/fused.hpp"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <hwy/highway.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "conv_mult/run/trainer.hpp"
#include "scenes.hpp"

namespace conv_mult {
namespace {

struct Evaluation {
  at::Tensor losses, gradient;  // [N], [N, P]
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
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : model.parameters) {
    gradients.push_back(parameter.grad().flatten(1));
  }
  return {losses.detach(), at::cat(gradients, 1)};
}

constexpr std::array units{Variant::nmu, Variant::nac_mul, Variant::nalu, Variant::npu};

/// Pixels of [-1, 1], some of them exactly 0, in two images that are 0 at different places.
Scene scene_with_zeros() {
  const auto scene = random_scene(9, 11);
  return make_scene(scene.a * scene.a.abs().gt(0.3), scene.b * scene.b.abs().gt(0.2));
}

/// With counts and without.
std::vector<Dataset> patches_for(Variant variant, std::int64_t kernel_size, const Scene& scene) {
  const auto encoding = encoding_of(variant);
  return {make_dataset(scene, DataForm::patches, kernel_size, encoding),
          unfolded(make_image_dataset(scene, DataForm::image, encoding), kernel_size)};
}

/// Weights from anywhere: nmu's at both limits, too, so that factors are 0, npu's gates on both sides of
/// both.
Model unit_model(Variant variant, std::int64_t kernel_size, SeedRange seeds,
                 at::ScalarType dtype = at::kDouble) {
  auto model = make_model({variant, kernel_size}, seeds, at::kDouble, at::kCPU);
  const at::NoGradGuard no_grad;
  if (variant == Variant::nmu) {
    model.parameters[0].copy_((3 * model.parameters[0] - 1).clamp(0, 1));
  } else if (variant == Variant::npu) {
    auto& gate = model.parameters[1];
    gate.copy_((model.parameters[0] * 7).sin() + 0.5);  // [-0.5, 1.5]
    gate.masked_fill_(gate.gt(1.3), 1).masked_fill_(gate.lt(-0.3), 0);
  }
  return make_model(model.architecture, weights_of(model).to(dtype));
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

TEST(Fused, UnitsEqualAutograd) {
  for (const auto variant : units) {
    for (const std::int64_t kernel_size : {1, 3}) {
      for (const auto& data : patches_for(variant, kernel_size, scene_with_zeros())) {
        for (const std::int64_t replicas : {1, 16, 37}) {
          auto model = unit_model(variant, kernel_size, {5, replicas});
          for (const auto loss : {LossKind::l2, LossKind::mse}) {
            const auto expected = by_autograd(model, data, loss);
            const auto actual = fused(model, data, loss);
            SCOPED_TRACE(testing::Message() << to_string(variant) << " K=" << kernel_size << " N=" << replicas
                                            << ' ' << to_string(loss));
            EXPECT_LE(relative_difference(actual.losses, expected.losses), 1e-12);
            EXPECT_LE(relative_difference(actual.gradient, expected.gradient), 1e-11);
          }
        }
      }
    }
  }
}

// Several blocks of patches and a remainder, in float64.
TEST(Fused, ManyPatchesEqualAutograd) {
  for (const auto variant : {Variant::exp, Variant::nmu, Variant::nac_mul, Variant::nalu, Variant::npu}) {
    const auto data =
        unfolded(make_image_dataset(random_scene(31, 50), DataForm::image, encoding_of(variant)), 3);
    auto model = make_model({variant, 3}, {5, 3}, at::kDouble, at::kCPU);
    for (const auto loss : {LossKind::l2, LossKind::mse}) {
      const auto expected = by_autograd(model, data, loss);
      const auto actual = fused(model, data, loss);
      EXPECT_LE(relative_difference(actual.losses, expected.losses), 1e-12) << to_string(variant);
      EXPECT_LE(relative_difference(actual.gradient, expected.gradient), 1e-11) << to_string(variant);
    }
  }
}

TEST(Fused, ADerivativeOfAProductNeedsNoFactor) {
  // Two black pixels with w = 1: both factors are 0, so all derivatives are. One of them: all but its own
  // are.
  const auto scene = make_scene(torch::tensor({0.0, 0.0, 3.0}, at::kDouble).view({1, 1, 1, 3}),
                                torch::tensor({0.0, 2.0, 0.0}, at::kDouble).view({1, 1, 1, 3}));
  auto data = unfolded(make_image_dataset(scene, DataForm::image, Encoding::marked), 1);
  data.target += 1;  // so that the error is -1 everywhere
  const auto model = make_model({Variant::nmu, 1}, torch::ones({1, 2}, at::kDouble));
  const auto result = fused(model, data, LossKind::mse);
  EXPECT_EQ(result.losses.item<double>(), 1);
  // d out / d w = (x - 1) times the other factor: (0, 0), (-2, 0), (0, -3); times 2 * -1 / 3 pixels.
  EXPECT_TRUE(torch::allclose(result.gradient, torch::tensor({{4.0 / 3, 2.0}}, at::kDouble), 1e-14));
}

TEST(Fused, Float32UnitsAreAsGoodAsTheirType) {
  for (const auto variant : units) {
    for (const std::int64_t kernel_size : {1, 3}) {
      const auto scene = scene_with_zeros();
      const auto data =
          patches_for(variant, kernel_size, make_scene(scene.a.to(at::kFloat), scene.b.to(at::kFloat)))[0];
      auto exact = data;  // the same numbers, rounded logarithms included
      for (auto* numbers : {&exact.input, &exact.target, &exact.root_count}) {
        *numbers = numbers->to(at::kDouble);
      }
      auto model = unit_model(variant, kernel_size, {5, 40}, at::kFloat);
      auto exact_model = make_model(model.architecture, weights_of(model));
      const auto expected = by_autograd(exact_model, exact, LossKind::mse);
      const auto differences = [&](const Evaluation& single) {
        return std::array{relative_difference(single.losses.to(at::kDouble), expected.losses),
                          relative_difference(single.gradient.to(at::kDouble), expected.gradient)};
      };
      const auto actual = differences(fused(model, data, LossKind::mse));
      const auto usual = differences(by_autograd(model, data, LossKind::mse));
      // Where exponents are some 50, half a bit of them is 2e-6 of the output: nobody has more digits there.
      for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_LE(actual[i], std::max(1e-6, 4 * usual[i])) << to_string(variant) << " K=" << kernel_size;
      }
    }
  }
}

TEST(Fused, Float32KeepsItsDigitsOnManyPatches) {
  const auto scene = random_scene(500, 1000);
  for (const auto variant : {Variant::exp, Variant::nmu, Variant::nac_mul, Variant::nalu, Variant::npu}) {
    const auto exact = unfolded(make_image_dataset(scene, DataForm::image, encoding_of(variant)), 1);
    auto data = exact;
    data.input = exact.input.to(at::kFloat);
    data.target = exact.target.to(at::kFloat);
    const auto model = make_model({variant, 1}, {0, 4}, at::kDouble, at::kCPU);
    const auto single = make_model({variant, 1}, {0, 4}, at::kFloat, at::kCPU);
    const auto expected = fused(model, exact, LossKind::mse);
    const auto actual = fused(single, data, LossKind::mse);
    EXPECT_LE(relative_difference(actual.losses.to(at::kDouble), expected.losses), 2e-6)
        << to_string(variant);
    EXPECT_LE(relative_difference(actual.gradient.to(at::kDouble), expected.gradient), 2e-6)
        << to_string(variant);
  }
}

TEST(Fused, InAnyCompanyAUnitHasTheSameBits) {
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    for (const auto variant : units) {
      const auto scene = scene_with_zeros();
      const auto data = patches_for(variant, 3, make_scene(scene.a.to(dtype), scene.b.to(dtype)))[0];
      const auto of_seeds = [&](SeedRange seeds) {
        auto model = unit_model(variant, 3, seeds, dtype);
        TrainingConfig config;
        config.steps = 40;
        config.sparsity = {1, 10, 30};
        TrainingCallbacks callbacks;
        callbacks.on_losses = [](std::int64_t, const at::Tensor&) { return true; };
        train(model, {data, {}}, config, callbacks);
        return weights_of(model);
      };
      const auto all = of_seeds({0, 75});
      EXPECT_TRUE(torch::equal(all.narrow(0, 30, 33), of_seeds({30, 33}))) << to_string(variant);
      for (const std::int64_t seed : {0, 15, 16, 40, 74}) {
        EXPECT_TRUE(torch::equal(all.narrow(0, seed, 1), of_seeds({seed, 1})))
            << to_string(variant) << " seed " << seed;
      }
    }
  }
}

/// NaN, infinite or neither, number by number.
void expect_same_kind(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_TRUE(torch::equal(actual.isnan(), expected.isnan())) << actual << expected;
  EXPECT_TRUE(torch::equal(actual.isinf(), expected.isinf())) << actual << expected;
}

TEST(Fused, WhatIsNotFiniteStaysInItsReplica) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  for (const auto variant : units) {
    const auto data = patches_for(variant, 1, scene_with_zeros())[0];
    const auto healthy = unit_model(variant, 1, {0, 20});
    const auto expected = fused(healthy, data);
    const auto count = weights_of(healthy).size(1);
    for (const double poison : {inf, -inf, std::nan(""), 1e200, -1e200, 900.0, -900.0}) {
      for (std::int64_t k = 0; k < count; ++k) {
        SCOPED_TRACE(testing::Message() << to_string(variant) << ": weight " << k << " is " << poison);
        auto weights = weights_of(healthy).clone();
        weights[7][k] = poison;
        auto sick = make_model(healthy.architecture, weights);
        const auto actual = fused(sick, data);
        expect_same_kind(actual.losses, by_autograd(sick, data).losses);
        for (std::int64_t i = 0; i < 20; ++i) {
          EXPECT_TRUE(i == 7 || (torch::equal(actual.losses[i], expected.losses[i]) &&
                                 torch::equal(actual.gradient[i], expected.gradient[i])))
              << "replica " << i;
        }
      }
    }
  }
}

TEST(Fused, NaluDoesNotHideAPathThatExplodes) {
  // The gate is 1, so the power has the factor 0; and the power is infinite.
  const auto huge = torch::full({1, 1, 1, 1}, 1e200, at::kDouble);
  const auto data = patches_for(Variant::nalu, 1, make_scene(huge, huge))[1];
  auto model = make_model({Variant::nalu, 1}, torch::tensor({{9, 9, 9, 9, 1, 1}}, at::kDouble));
  EXPECT_TRUE(std::isnan(by_autograd(model, data).losses.item<double>()));
  EXPECT_TRUE(std::isnan(fused(model, data).losses.item<double>()));
}

TEST(Fused, TheSparsityGradientIsAutograds) {
  const auto data = patches_for(Variant::nmu, 1, scene_with_zeros())[0];
  auto model =
      make_model({Variant::nmu, 1}, torch::tensor({{0.5, 0.2}, {0.8, 1.0}, {0.0, 0.5}}, at::kDouble));
  FusedPatches layer(model, data, LossKind::l2);
  layer.losses_and_gradient();
  const auto without = by_autograd(model, data).gradient;
  model.parameters[0].mutable_grad().reset();
  sparsity_penalty(model)->sum().backward();
  const auto expected = without + 3 * model.parameters[0].grad();
  layer.add_sparsity_gradient(3);
  const auto actual = layer.parameters().grad().transpose(1, 2).flatten(0, 1).narrow(0, 0, 3);
  EXPECT_LE(relative_difference(actual, expected), 1e-11);
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

TEST(Fused, GradientOfAUnitsZeroLossIsZero) {
  const auto one = torch::ones({1, 1, 4, 4}, at::kDouble);
  for (const auto variant : units) {
    const auto data = patches_for(variant, 1, make_scene(one, one))[0];
    auto weights = torch::zeros({2, parameter_count({variant, 1})}, at::kDouble);
    if (variant == Variant::nalu) {
      weights.narrow(1, 4, 2).fill_(-1000);  // the gate is 0
    }
    const auto result = fused(make_model({variant, 1}, weights), data);
    EXPECT_TRUE(torch::equal(result.losses, torch::zeros(2, at::kDouble))) << to_string(variant);
    EXPECT_TRUE(torch::equal(result.gradient, torch::zeros_like(weights))) << to_string(variant);
  }
}

/// Npu on one patch of K = 1 with target 0. Its loss is |exp(w log r) cos(pi w g n)| with r = magnitude where
/// g is 1.
Dataset npu_patch(double magnitude, double negative, at::ScalarType dtype) {
  Dataset data;
  data.form = DataForm::patches;
  data.input =
      torch::tensor({magnitude, 1.0, 1.0, 1.0, negative, 0.0}, at::kDouble).to(dtype).view({1, 6, 1, 1});
  data.target = torch::zeros({1, 1, 1, 1}, dtype);
  return data;
}

void expect_logarithms(at::ScalarType dtype, double tolerance) {
  const auto at_weight = [&](double w, double magnitude) {  // the other pixel has the logarithm 0
    return fused(make_model({Variant::npu, 1}, torch::tensor({{w, 0.0, 1.0, 1.0}}, at::kDouble).to(dtype)),
                 npu_patch(magnitude, 0, dtype));
  };
  // At w = 0 the output is 1 and its derivative the logarithm itself.
  for (double exponent = -30; exponent < 30; exponent += 0.137) {
    const double x = torch::tensor(std::exp(exponent), at::kDouble).to(dtype).item<double>();
    const double expected = std::log(x);
    EXPECT_NEAR(at_weight(0, x).gradient[0][0].item<double>(), expected, tolerance * std::abs(expected)) << x;
  }
  constexpr double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(at_weight(1, 0.0).losses.item<double>(), 0);
  EXPECT_EQ(at_weight(1, -0.0).losses.item<double>(), 0);
  EXPECT_EQ(at_weight(1, inf).losses.item<double>(), inf);
  for (const double x : {-1.0, -inf, std::nan("")}) {
    EXPECT_TRUE(std::isnan(at_weight(1, x).losses.item<double>())) << x;
  }
}

void expect_cosines(at::ScalarType dtype, double tolerance) {
  constexpr double pi = 3.14159265358979323846;
  auto weights = torch::zeros({4001, 4}, at::kDouble);
  weights.narrow(1, 2, 2).fill_(1);
  weights.select(1, 0).copy_(
      at::linspace(-100, 100, 4001, at::kDouble));  // every twentieth: 0, 1/2 and 1, too
  weights = weights.to(dtype);
  const auto actual = fused(make_model({Variant::npu, 1}, weights), npu_patch(1, 1, dtype));
  for (std::int64_t i = 0; i < weights.size(0); ++i) {
    const double t = std::remainder(weights[i][0].item<double>(), 2);
    EXPECT_NEAR(actual.losses[i].item<double>(), std::abs(std::cos(pi * t)), tolerance) << t;
    if (std::abs(std::abs(t) - 0.5) > 1e-3) {
      const double slope = -pi * std::sin(pi * t) * (std::cos(pi * t) < 0 ? -1 : 1);
      EXPECT_NEAR(actual.gradient[i][0].item<double>(), slope, 4 * tolerance) << t;
    }
  }
}

TEST(Fused, LogarithmsAndCosinesHaveTheirDigits) {
  expect_logarithms(at::kFloat, 5e-7);
  expect_logarithms(at::kDouble, 1e-15);
  expect_cosines(at::kFloat, 5e-7);
  expect_cosines(at::kDouble, 1e-15);
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

/// Each instruction set of this machine against autograd.
void expect_targets_agree(Model model, const Dataset& data) {
  const auto expected = by_autograd(model, data);
  const auto targets = hwy::SupportedAndGeneratedTargets();
  ASSERT_FALSE(targets.empty());
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

TEST(Fused, EveryInstructionSetOfThisMachineAgrees) {
  for (const auto form : {DataForm::image, DataForm::patches}) {
    expect_targets_agree(make_model({Variant::exp, 3}, SeedRange{5, 21}, at::kDouble, at::kCPU),
                         make_dataset(random_scene(7, 99), form, 3));
  }
  for (const auto variant : units) {
    expect_targets_agree(unit_model(variant, 3, {5, 21}), patches_for(variant, 3, scene_with_zeros())[0]);
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
