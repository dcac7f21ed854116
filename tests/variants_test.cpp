#include "conv_mult/model/variants.hpp"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "scenes.hpp"

namespace conv_mult {
namespace {

TEST(Variants, StartFromPyTorchsOwnInitialisation) {
  torch::manual_seed(5);
  const torch::nn::Conv2d reference(torch::nn::Conv2dOptions(2, 1, 3).padding(1));
  for (const auto variant : {Variant::baseline, Variant::exp}) {
    const auto model = make_model(variant, 3, SeedRange{5, 1}, at::kDouble, at::kCPU);
    EXPECT_TRUE(torch::equal(model->conv->weight, reference->weight.to(at::kDouble)));
    EXPECT_TRUE(torch::equal(model->conv->bias, reference->bias.to(at::kDouble)));
  }
}

TEST(Variants, AReplicaStartsAsItsSeedDoesAlone) {
  const auto batch = make_model(Variant::exp, 3, SeedRange{40, 5}, at::kFloat, at::kCPU);
  for (std::int64_t i = 0; i < 5; ++i) {
    const auto alone = make_model(Variant::exp, 3, SeedRange{40 + i, 1}, at::kFloat, at::kCPU);
    EXPECT_TRUE(torch::equal(batch->conv->weight[i], alone->conv->weight[0]));
    EXPECT_TRUE(torch::equal(batch->conv->bias[i], alone->conv->bias[0]));
  }
}

TEST(Variants, AModelIsMadeAgainFromItsWeights) {
  const auto model = make_model(Variant::exp, 5, SeedRange{3, 2}, at::kFloat, at::kCPU);
  const auto rows = weights_of(model);
  ASSERT_EQ(rows.sizes(), (at::IntArrayRef{2, 51}));
  const auto* second = rows.data_ptr<double>() + 51;
  const auto again = make_model(Variant::exp, 5, std::vector<double>(second, second + 51), at::kFloat);
  EXPECT_TRUE(torch::equal(again->conv->weight[0], model->conv->weight[1]));
  EXPECT_TRUE(torch::equal(again->conv->bias[0], model->conv->bias[1]));
}

TEST(Variants, EveryReplicaHasALossOfItsOwn) {
  const auto scene = random_scene(6, 5);
  for (const auto form : {DataForm::image, DataForm::patches}) {
    const auto data = make_dataset(scene, form, 3);
    auto batch = make_model(Variant::exp, 3, SeedRange{0, 4}, at::kDouble, at::kCPU);
    const auto losses = l2_loss(batch->forward(data.input, data.form), data);
    ASSERT_EQ(losses.sizes(), at::IntArrayRef{4});
    for (std::int64_t i = 0; i < 4; ++i) {
      auto alone = make_model(Variant::exp, 3, SeedRange{i, 1}, at::kDouble, at::kCPU);
      const double loss = l2_loss(alone->forward(data.input, data.form), data).item<double>();
      EXPECT_NEAR(losses[i].item<double>() / loss, 1, 1e-14) << to_string(form);
    }
  }
}

TEST(Variants, ExpIsTheExponentialOfTheBaseline) {
  const auto input = small_rectangles().input();
  auto baseline = make_model(Variant::baseline, 3, SeedRange{0, 1}, at::kDouble, at::kCPU);
  auto exp = make_model(Variant::exp, 3, SeedRange{0, 1}, at::kDouble, at::kCPU);
  const auto z = baseline->forward(input, DataForm::image);
  EXPECT_TRUE(torch::equal(z, baseline->conv->forward(input)));
  EXPECT_TRUE(torch::equal(exp->forward(input, DataForm::image), z.exp()));
}

TEST(Variants, GradientsEqualCentralDifferences) {
  const auto scene = random_scene(6, 5);
  for (const auto form : {DataForm::image, DataForm::patches}) {
    const auto data = make_dataset(scene, form, 3);
    for (const auto variant : {Variant::baseline, Variant::exp}) {
      auto model = make_model(variant, 3, SeedRange{1, 1}, at::kDouble, at::kCPU);
      l2_loss(model->forward(data.input, data.form), data).backward();
      const at::NoGradGuard no_grad;
      for (auto& parameter : model->parameters()) {
        auto values = parameter.view({-1});
        for (std::int64_t i = 0; i < values.numel(); ++i) {
          constexpr double h = 1e-6;
          const double centre = values[i].item<double>();
          const auto loss_at = [&](double value) {
            values[i] = value;
            return l2_loss(model->forward(data.input, data.form), data).item<double>();
          };
          const double difference = (loss_at(centre + h) - loss_at(centre - h)) / (2 * h);
          values[i] = centre;
          EXPECT_NEAR(parameter.grad().view({-1})[i].item<double>(), difference, 1e-7)
              << to_string(variant) << ' ' << to_string(form) << " parameter " << i;
        }
      }
    }
  }
}

TEST(Variants, LossIsTheNormItself) {
  const auto scene =
      make_scene(torch::full({1, 1, 1, 2}, 2.0, at::kDouble), torch::ones({1, 1, 1, 2}, at::kDouble));
  const auto data = make_image_dataset(scene, DataForm::literal);  // target (2, 2)
  const auto output = torch::tensor({5.0, 6.0}, at::kDouble).reshape({1, 1, 1, 2});
  EXPECT_DOUBLE_EQ(l2_loss(output, data).item<double>(), 5);  // sqrt(3^2 + 4^2)
}

TEST(Variants, GradientOfAZeroLossIsZeroNotNan) {
  const auto zero = torch::zeros({1, 1, 4, 4}, at::kDouble);
  auto model = make_model(Variant::baseline, 3, SeedRange{0, 1}, at::kDouble, at::kCPU);
  {
    const at::NoGradGuard no_grad;
    model->conv->bias.zero_();
  }
  for (const auto form : {DataForm::image, DataForm::patches}) {
    const auto data = make_dataset(make_scene(zero, zero), form, 3);
    l2_loss(model->forward(data.input, data.form), data).backward();
    EXPECT_EQ(model->conv->bias.grad().item<double>(), 0) << to_string(form);
  }
}

}  // namespace
}  // namespace conv_mult
