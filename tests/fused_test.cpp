#include <hwy/highway.h>
#include <torch/optim.h>
#include "cases.hpp"
#include "options/text.hpp"

namespace conv_mult {
namespace {
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double pi = 3.14159265358979323846;

struct Evaluation {
  at::Tensor losses, gradient;  // [N], [N, P]
};

Evaluation fused(const Model& model, const Dataset& data, LossKind loss = LossKind::l2) {
  FusedLayer layer(model, data, loss);
  return {layer.losses_and_gradient(), layer.rows_of(layer.parameters().grad())};
}

Evaluation by_autograd(const Model& original, const Dataset& data, LossKind loss = LossKind::l2) {
  const auto model = make_model(original.architecture, weights_of(original).to(original.parameters[0].scalar_type()));
  const auto losses = losses_of(loss, forward(model, data), data);
  losses.sum().backward();
  return {losses.detach(), gradient_of(model)};
}

class Fused : public EachVariant {
 protected:
  void SetUp() override {
    if (fused_forms(small_rectangles(), 1).empty()) { GTEST_SKIP() << "has no fused pass"; }
  }

  /// The forms that there is a pass for: patches with counts and without, images.
  std::vector<Dataset> fused_forms(const Scene& scene, std::int64_t kernel_size) const {
    std::vector<Dataset> with_pass;
    for (const auto& data : forms(scene, kernel_size)) {
      const bool of_patches = data.form == DataForm::patches && variant_.patch_pass;
      const bool of_image = data.form == DataForm::image && (variant_.image_pass || variant_.network_pass);
      if (of_patches || of_image) { with_pass.push_back(data); }
    }
    return with_pass;
  }

  /// Weights that spread beyond where they start, some of them exactly 0 and exactly 1.
  Model anywhere(std::int64_t kernel_size, SeedRange seeds, double spread = 1,
                 at::ScalarType dtype = at::kDouble) const {
    auto weights = weights_of(make_model(architecture(kernel_size), seeds, at::kDouble, at::kCPU));
    spread = std::min(spread, (variant_.takes == Takes::images ? 0.5 : 3.0) / static_cast<double>(kernel_size));
    weights += spread * (7 * torch::arange(1, 1 + weights.size(1), at::kDouble)).sin();
    weights.masked_fill_(weights.gt(1.2), 1).masked_fill_(weights.abs().lt(0.1), 0);
    return make_model(architecture(kernel_size), weights.to(dtype));
  }
};
CONV_MULT_FOR_EACH_VARIANT(Fused);

void on_every_instruction_set(const std::function<void()>& use) {
  for (const auto target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    use();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

using Problem = std::array<std::int64_t, 4>;  // height, width, kernel size, replicas

// 1, 3 and 99 patches: a remainder of 4; 1,550: of the blocks. Rows of 1 to 1,030 pixels: parts of a vector, several
// blocks.
const std::vector<Problem> problems{{1, 1, 1, 37}, {1, 1, 5, 1},  {1, 3, 3, 16},  {9, 11, 1, 16},  {9, 11, 3, 37},
                                    {9, 11, 9, 5}, {3, 64, 5, 2}, {31, 50, 3, 3}, {2, 1030, 1, 3}, {2, 1030, 3, 1}};

TEST_P(Fused, OnEveryInstructionSetLossAndGradientEqualAutograd) {
  for (const auto& [height, width, kernel_size, replicas] : problems) {
    for (const auto& data : fused_forms(scene_with_zeros(height, width), kernel_size)) {
      const auto model = anywhere(kernel_size, {5, replicas});
      for (const auto loss : both_losses) {
        SCOPED_TRACE(testing::Message() << width << " K=" << kernel_size << " form " << static_cast<int>(data.form));
        const auto expected = by_autograd(model, data, loss);
        on_every_instruction_set([&] {
          const auto actual = fused(model, data, loss);
          EXPECT_LE(relative_difference(actual.losses, expected.losses), 1e-12);
          EXPECT_LE(relative_difference(actual.gradient, expected.gradient), 1e-11);
        });
      }
    }
  }
}

// Many patches, too: float32 would lose digits if they were summed up one after the other.
TEST_P(Fused, Float32IsAsGoodAsItsType) {
  for (const auto& [height, width, kernel_size, replicas] :
       {Problem{9, 11, 1, 40}, {9, 11, 3, 40}, {500, 1000, 1, 4}}) {
    for (const auto& data : fused_forms(cast(scene_with_zeros(height, width), at::kFloat), kernel_size)) {
      if (replicas == 4 && data.root_count.defined()) { continue; }  // the same patches again
      const auto exact = data.to(at::kDouble, at::kCPU);             // the same numbers, rounded logarithms included
      const auto model = anywhere(kernel_size, {5, replicas}, 0.3, at::kFloat);
      const auto expected = by_autograd(make_model(model.architecture, weights_of(model)), exact, LossKind::mse);
      const auto actual = fused(model, data, LossKind::mse);
      const auto usual = by_autograd(model, data, LossKind::mse);
      // Where exponents are some 50, half a bit of them is 2e-6 of the output: nobody has more digits there.
      EXPECT_LE(relative_difference(actual.losses, expected.losses),
                std::max(3e-6, 4 * relative_difference(usual.losses, expected.losses)));
      EXPECT_LE(relative_difference(actual.gradient, expected.gradient),
                std::max(3e-6, 4 * relative_difference(usual.gradient, expected.gradient)));
    }
  }
}

TEST_P(Fused, WhatIsNotFiniteStaysInItsReplica) {
  for (const auto& data : fused_forms(scene_with_zeros(3, 5), 1)) {
    const auto healthy = anywhere(1, {0, 20});
    const auto expected = fused(healthy, data).losses;
    for (const double poison : {inf, -inf, std::nan(""), 1e200, -1e200, 900.0, -900.0}) {
      for (std::int64_t k = 0; k < parameter_count(architecture(1)); ++k) {
        SCOPED_TRACE(testing::Message() << "weight " << k << " is " << poison);
        auto weights = weights_of(healthy).clone();
        weights[7][k] = poison;
        const auto sick = make_model(architecture(1), weights);
        const auto actual = fused(sick, data);
        const auto usual = by_autograd(sick, data).losses;
        EXPECT_TRUE(torch::equal(actual.losses.isnan(), usual.isnan())) << actual.losses << usual;
        EXPECT_TRUE(torch::equal(actual.losses.isinf(), usual.isinf())) << actual.losses << usual;
        actual.losses[7] = expected[7];
        EXPECT_TRUE(torch::equal(actual.losses, expected));
      }
    }
  }
}

// Of odd and even numbers of channels, more than are taken at a time and than a vector has, and of every activation.
// Whether replicas or channels are the lanes, a replica has the same bits.
TEST(Fused, NetworksOfAnySizeWhateverTheLanesAre) {
  for (const auto* variant : {&variants::relu, &variants::stacked_exp}) {
    for (const auto& size : {Size{3, 1, 4}, {1, 2, 3}, {3, 3, 9}, {5, 2, 18}, {3, 4, 1}, {3, 3, 35}}) {
      SCOPED_TRACE(testing::Message() << variant->name << " of width " << size.width);
      for (const auto dtype : {at::kDouble, at::kFloat}) {
        const auto data = make_dataset(cast(random_scene(6, 19), dtype), DataForm::image, 1);
        const auto model = make_model({variant, size}, {3, 20}, dtype, at::kCPU);
        for (const auto loss : both_losses) {
          const auto expected = by_autograd(model, data, loss);
          on_every_instruction_set([&, &size = size] {
            const auto actual = fused(model, data, loss);
            EXPECT_LE(relative_difference(actual.losses, expected.losses), dtype == at::kFloat ? 1e-4 : 1e-12);
            EXPECT_LE(relative_difference(actual.gradient, expected.gradient), dtype == at::kFloat ? 1e-4 : 1e-11);
            for (const std::int64_t replica : {0, 15, 16, 19}) {
              const auto alone = fused(make_model({variant, size}, {3 + replica, 1}, dtype, at::kCPU), data, loss);
              EXPECT_TRUE(torch::equal(alone.losses[0], actual.losses[replica]));
              EXPECT_TRUE(torch::equal(alone.gradient[0], actual.gradient[replica]));
            }
          });
        }
      }
    }
  }
}

TEST(Fused, UpdatesAreThoseOfTorchsOptimizers) {
  using namespace torch::optim;
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const auto data = make_dataset(cast(small_rectangles(), dtype), DataForm::patches, 3);
    for (const auto kind : all_optimizers) {
      FusedLayer layer(make_model({&variants::exp, {3}}, {3, 5}, dtype, at::kCPU), data, LossKind::l2);
      const std::vector<at::Tensor> same{layer.parameters().detach().clone()};
      std::unique_ptr<Optimizer> optimizer = std::make_unique<SGD>(same, SGDOptions(0.01));
      if (kind == OptimizerKind::adam) { optimizer = std::make_unique<Adam>(same, AdamOptions(0.01)); }
      if (kind == OptimizerKind::adamw) { optimizer = std::make_unique<AdamW>(same, AdamWOptions(0.01)); }
      if (kind == OptimizerKind::rmsprop) { optimizer = std::make_unique<RMSprop>(same, RMSpropOptions(0.01)); }
      for (int step = 0; step < 100; ++step) {
        same[0].mutable_grad() = at::randn_like(same[0]);
        layer.parameters().grad().copy_(same[0].grad());
        layer.update(kind, 0.01);
        optimizer->step();
      }
      EXPECT_LE(relative_difference(layer.parameters(), same[0]), dtype == at::kFloat ? 1e-6 : 1e-14) << text_of(kind);
    }
  }
}

TEST(Fused, NaluDoesNotHideAPathThatExplodes) {
  // The gate is 1, so the power has the factor 0; and the power is infinite.
  const auto huge = torch::full({1, 1, 1, 1}, 1e200, at::kDouble);
  const auto data = unfolded(make_dataset(make_scene(huge, huge), DataForm::image, 1, variants::nalu.encode), 1);
  const auto model = make_model({&variants::nalu, {1}}, torch::tensor({{9, 9, 9, 9, 1, 1}}, at::kDouble));
  EXPECT_TRUE(std::isnan(by_autograd(model, data).losses.item<double>()));
  EXPECT_TRUE(std::isnan(fused(model, data).losses.item<double>()));
}

TEST_P(Fused, GradientOfAZeroLossIsZero) {
  const auto one = torch::ones({1, 1, 1, 1}, at::kDouble);
  for (auto data : fused_forms(make_scene(one, one), 3)) {
    const auto model = make_model(architecture(), {3, 1}, at::kDouble, at::kCPU);
    data.target.zero_();
    const auto size = fused(model, data).losses.item<double>();  // sqrt(out^2)
    data.target.fill_(forward(model, data).item<double>() < 0 ? -size : size);
    const auto result = fused(model, data);
    EXPECT_EQ(result.losses.item<double>(), 0);
    EXPECT_TRUE(torch::equal(result.gradient, torch::zeros_like(result.gradient)));
  }
}

TEST_P(Fused, ThreadsDoNotChangeABit) {
  if (!variant_.image_pass) { GTEST_SKIP() << "has no pass that threads share"; }
  const auto image = make_dataset(random_scene(300, 301), DataForm::image, 1, variant_.encode);  // several bands
  const auto model = anywhere(1, {5, 300});
  const auto alone = fused(model, image);
  set_thread_count(4);
  const auto together = fused(model, image);
  set_thread_count(1);
  EXPECT_TRUE(torch::equal(alone.losses, together.losses));
  EXPECT_TRUE(torch::equal(alone.gradient, together.gradient));
}

/// Npu on one patch of K = 1 with target 0, a replica for each w. Its loss is |exp(w log r) cos(pi w n)| with r =
/// magnitude; the other pixel has the logarithm 0.
Evaluation npu(const at::Tensor& w, double magnitude, double negative) {
  const auto one = torch::ones_like(w);
  const Dataset patch{DataForm::patches,
                      torch::tensor({magnitude, 1.0, 1.0, 1.0, negative, 0.0}, w.options()).view({1, 6, 1, 1}),
                      torch::zeros({1, 1, 1, 1}, w.options())};
  return fused(make_model({&variants::npu, {1}}, at::stack({w, 0 * one, one, one}, 1)), patch);
}

TEST(Fused, LogarithmsAndCosinesHaveTheirDigits) {
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const double tolerance = dtype == at::kFloat ? 5e-7 : 1e-15;
    const auto at_weight = [&](double w, double magnitude) { return npu(torch::full({1}, w, dtype), magnitude, 0); };
    // At w = 0 the output is 1 and its derivative the logarithm itself.
    for (double exponent = -30; exponent < 30; exponent += 0.137) {
      const double x = torch::tensor(std::exp(exponent), dtype).item<double>();
      const double expected = std::log(x);
      EXPECT_NEAR(at_weight(0, x).gradient[0][0].item<double>(), expected, tolerance * std::abs(expected)) << x;
    }
    for (const double x : {0.0, -0.0, inf, -1.0, -inf, std::nan("")}) {
      EXPECT_TRUE(identical(at_weight(1, x).losses, torch::full({1}, std::exp(std::log(x)), dtype))) << x;
    }
    const auto w = at::linspace(-100, 100, 4001, at::kDouble).to(dtype);  // every twentieth: 0, 1/2 and 1, too
    const auto actual = npu(w, 1, 1);
    for (std::int64_t i = 0; i < w.numel(); ++i) {
      const double t = std::remainder(w[i].item<double>(), 2);
      EXPECT_NEAR(actual.losses[i].item<double>(), std::abs(std::cos(pi * t)), tolerance) << t;
      if (std::abs(std::abs(t) - 0.5) > 1e-3) {
        const double slope = -pi * std::sin(pi * t) * (std::cos(pi * t) < 0 ? -1 : 1);
        EXPECT_NEAR(actual.gradient[i][0].item<double>(), slope, 4 * tolerance) << t;
      }
    }
  }
}

// On a black pixel with target 0 the loss of replica i is exp(bias i), as sqrt(exp(x)^2): the square must not leave the
// range of the type either.
TEST(Fused, ExpHasItsLimitsAndItsDigits) {
  const std::vector<double> special{0, -0.0, inf, -inf, std::nan(""), 1e30, -1e30};
  std::vector<double> usual;
  for (double x = -40; x <= 40; x += 0.0371) { usual.push_back(x); }
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const auto zero = torch::zeros({1, 1, 1, 1}, dtype);
    for (const auto& [arguments, tolerance] : {std::pair{special, 0.0}, {usual, dtype == at::kFloat ? 3e-7 : 6e-16}}) {
      const auto x = torch::tensor(arguments, dtype);
      auto exact = x.to(at::kDouble).clone();
      std::for_each_n(exact.data_ptr<double>(), exact.numel(), [](double& value) { value = std::exp(value); });
      const auto model = make_model({&variants::exp, {1}}, at::constant_pad_nd(x.unsqueeze(1), {2, 0}));
      for (const auto form : {DataForm::image, DataForm::patches}) {
        const auto losses = fused(model, make_dataset(make_scene(zero, zero), form, 1)).losses;
        const auto wrong = ~losses.isclose(exact.to(dtype), tolerance, 0, true);
        EXPECT_FALSE(wrong.any().item<bool>()) << x.masked_select(wrong) << losses.masked_select(wrong);
      }
    }
  }
}
}  // namespace
}  // namespace conv_mult
