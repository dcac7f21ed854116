#include "conv_mult/model/variants.hpp"

#include <gtest/gtest.h>
#include <torch/nn/modules/conv.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "scenes.hpp"

namespace conv_mult {
namespace {

using Numbers = std::vector<double>;

Architecture architecture_of(Variant variant, std::int64_t kernel_size = 3) {
  return {variant, kernel_size, is_deep(variant) ? 3 : 1, is_deep(variant) ? 2 : 1};
}

/// All forms of the scene that the variant takes.
std::vector<Dataset> forms_of(const Scene& scene, Variant variant, std::int64_t kernel_size = 3) {
  const auto encoding = encoding_of(variant);
  const auto image = make_image_dataset(scene, DataForm::image, encoding);
  if (is_deep(variant)) {
    return {image};
  }
  auto forms = std::vector{*make_patch_dataset(scene, kernel_size, scene.target.numel(), encoding),
                           unfolded(image, kernel_size)};
  if (is_conv_layer(variant)) {
    forms.push_back(image);
  }
  return forms;
}

double loss_of(const Model& model, const Dataset& data, LossKind kind = LossKind::l2) {
  return losses_of(kind, forward(model, data), data).item<double>();
}

Model model_with(const Architecture& architecture, const Numbers& weights,
                 at::ScalarType dtype = at::kDouble) {
  return make_model(architecture, torch::tensor(weights, at::kDouble).to(dtype).unsqueeze(0));
}

/// `value` at the centre of both channels, `other` elsewhere.
Numbers at_centre(double value, double other, std::int64_t kernel_size = 3) {
  const auto field = static_cast<std::size_t>(kernel_size * kernel_size);
  Numbers numbers(2 * field, other);
  numbers[field / 2] = numbers[field + field / 2] = value;
  return numbers;
}

Numbers joined(const std::vector<Numbers>& parts) {
  Numbers all;
  for (const auto& part : parts) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

TEST(Variants, ConvolutionsStartAsPyTorchsOwn) {
  torch::manual_seed(5);
  const torch::nn::Conv2d first(torch::nn::Conv2dOptions(2, 1, 3));
  for (const auto variant : {Variant::baseline, Variant::exp, Variant::log_exp}) {
    const auto model = make_model({variant, 3}, {5, 1}, at::kDouble, at::kCPU);
    EXPECT_TRUE(torch::equal(model.parameters[0][0], first->weight.to(at::kDouble)));
    EXPECT_TRUE(torch::equal(model.parameters[1][0], first->bias.to(at::kDouble)));
  }
  torch::manual_seed(5);
  const torch::nn::Conv2d below(torch::nn::Conv2dOptions(2, 4, 3));
  const torch::nn::Conv2d between(torch::nn::Conv2dOptions(4, 4, 3));
  const torch::nn::Conv2d above(torch::nn::Conv2dOptions(4, 1, 3));
  const auto deep = make_model({Variant::relu, 3, 3, 4}, {5, 1}, at::kFloat, at::kCPU);
  ASSERT_EQ(deep.parameters.size(), 6U);
  EXPECT_TRUE(torch::equal(deep.parameters[0][0], below->weight));
  EXPECT_TRUE(torch::equal(deep.parameters[3][0], between->bias));
  EXPECT_TRUE(torch::equal(deep.parameters[4][0], above->weight));
}

TEST(Variants, UnitsStartAsTheirPapersAsk) {
  // Uniform on [low, high]: the mean of n draws is normal with a deviation of (high - low) / sqrt(12 n).
  const auto expect_uniform = [](const at::Tensor& values, double low, double high) {
    EXPECT_GE(values.min().item<double>(), low);
    EXPECT_LE(values.max().item<double>(), high);
    const double deviation = (high - low) / std::sqrt(12 * static_cast<double>(values.numel()));
    EXPECT_NEAR(values.mean().item<double>(), (low + high) / 2, 4 * deviation);
    EXPECT_NEAR(values.min().item<double>(), low, 0.01 * (high - low));
    EXPECT_NEAR(values.max().item<double>(), high, 0.01 * (high - low));
  };
  const auto start = [](Variant variant) {
    return make_model({variant, 3}, {0, 500}, at::kDouble, at::kCPU).parameters;
  };
  expect_uniform(start(Variant::nmu)[0], 0.25, 0.75);
  const double glorot = std::sqrt(6.0 / 19);
  for (const auto variant : {Variant::nac_mul, Variant::nalu}) {
    for (const auto& parameter : start(variant)) {
      expect_uniform(parameter, -glorot, glorot);
    }
  }
  expect_uniform(start(Variant::npu)[0], -glorot, glorot);
  EXPECT_TRUE((start(Variant::npu)[1] == 0.5).all().item<bool>());
}

TEST(Variants, AReplicaStartsAsItsSeedDoesAlone) {
  for (const auto variant : all_variants) {
    const auto architecture = architecture_of(variant);
    const auto batch = weights_of(make_model(architecture, {40, 5}, at::kFloat, at::kCPU));
    for (std::int64_t i = 0; i < 5; ++i) {
      const auto alone = weights_of(make_model(architecture, {40 + i, 1}, at::kFloat, at::kCPU));
      EXPECT_TRUE(torch::equal(batch[i], alone[0])) << to_string(variant);
    }
  }
}

TEST(Variants, AModelIsMadeAgainFromItsWeights) {
  for (const auto variant : all_variants) {
    const auto architecture = architecture_of(variant, 5);
    const auto model = make_model(architecture, {3, 2}, at::kDouble, at::kCPU);
    const auto rows = weights_of(model);
    EXPECT_EQ(rows.size(1), parameter_count(architecture));
    const auto again = make_model(architecture, rows.narrow(0, 1, 1));
    for (std::size_t i = 0; i < model.parameters.size(); ++i) {
      EXPECT_TRUE(torch::equal(again.parameters[i][0], model.parameters[i][1])) << to_string(variant);
    }
  }
  EXPECT_EQ(parameter_count({Variant::baseline, 3}), 19);
  EXPECT_EQ(parameter_count({Variant::nalu, 3}), 54);
  EXPECT_EQ(parameter_count({Variant::relu, 3, 3, 8}), 2 * 8 * 9 + 8 + 8 * 8 * 9 + 8 + 8 * 9 + 1);
}

TEST(Variants, EveryReplicaHasALossOfItsOwn) {
  for (const auto variant : all_variants) {
    for (const auto& data : forms_of(random_scene(6, 5), variant)) {
      for (const auto kind : {LossKind::l2, LossKind::mse}) {
        const auto batch = make_model(architecture_of(variant), {0, 4}, at::kDouble, at::kCPU);
        const auto losses = losses_of(kind, forward(batch, data), data);
        ASSERT_EQ(losses.sizes(), at::IntArrayRef{4});
        for (std::int64_t i = 0; i < 4; ++i) {
          const auto alone = make_model(architecture_of(variant), {i, 1}, at::kDouble, at::kCPU);
          EXPECT_NEAR(losses[i].item<double>() / loss_of(alone, data, kind), 1, 1e-13) << to_string(variant);
        }
      }
    }
  }
}

/// One replica's output for one receptive field, from the definitions in variants.hpp and nothing else. NaN
/// in the field is padding.
double by_definition(Variant variant, const Numbers& x, const Numbers& p) {
  const std::size_t fields = x.size();
  const auto sum = [&](const std::function<double(std::size_t)>& term) {
    double total = 0;
    for (std::size_t k = 0; k < fields; ++k) {
      total += std::isnan(x[k]) ? 0 : term(k);
    }
    return total;
  };
  const auto nac = [&](std::size_t k) { return std::tanh(p[k]) / (1 + std::exp(-p[fields + k])); };
  const auto log_of = [&](std::size_t k) { return std::log(std::abs(x[k]) + 1e-7); };
  const auto multiplied = [&] { return std::exp(sum([&](std::size_t k) { return nac(k) * log_of(k); })); };
  switch (variant) {
    case Variant::baseline:
      return sum([&](std::size_t k) { return p[k] * x[k]; }) + p[fields];
    case Variant::exp:
      return std::exp(sum([&](std::size_t k) { return p[k] * x[k]; }) + p[fields]);
    case Variant::log_exp:
      return std::exp(sum([&](std::size_t k) { return p[k] * log_of(k); }) + p[fields]);
    case Variant::nmu: {
      double product = 1;
      for (std::size_t k = 0; k < fields; ++k) {
        product *= std::isnan(x[k]) ? 1 : p[k] * x[k] + 1 - p[k];
      }
      return product;
    }
    case Variant::nac_mul:
      return multiplied();
    case Variant::nalu: {
      const double gate = 1 / (1 + std::exp(-sum([&](std::size_t k) { return p[2 * fields + k] * x[k]; })));
      return gate * sum([&](std::size_t k) { return nac(k) * x[k]; }) + (1 - gate) * multiplied();
    }
    case Variant::npu: {
      const auto gate = [&](std::size_t k) { return std::clamp(p[fields + k], 0.0, 1.0); };
      const double exponent = sum([&](std::size_t k) {
        return p[k] * std::log(gate(k) * (std::abs(x[k]) + std::pow(2, -23)) + 1 - gate(k));
      });
      const double turns = sum([&](std::size_t k) { return x[k] < 0 ? p[k] * gate(k) : 0; });
      return std::exp(exponent) * std::cos(std::acos(-1) * turns);
    }
    default:
      ADD_FAILURE() << "no receptive field of one layer";
      return 0;
  }
}

TEST(Variants, OutputsAreThoseOfTheirDefinitions) {
  const auto scene = random_scene(4, 5);
  const auto a = scene.a[0][0];
  const auto b = scene.b[0][0];
  for (const auto variant : all_variants) {
    if (is_deep(variant)) {
      continue;
    }
    auto model = make_model({variant, 3}, {9, 1}, at::kDouble, at::kCPU);
    if (variant == Variant::npu) {  // gates on both sides of their limits
      const at::NoGradGuard no_grad;
      model.parameters[1].copy_(torch::linspace(-0.5, 1.5, 18, at::kDouble).unsqueeze(0));
    }
    const auto weights = weights_of(model);
    const Numbers p(weights.data_ptr<double>(), weights.data_ptr<double>() + weights.numel());
    const auto data = unfolded(make_image_dataset(scene, DataForm::image, encoding_of(variant)), 3);
    const auto output = forward(model, data);
    for (std::int64_t y = 0; y < 4; ++y) {
      for (std::int64_t x = 0; x < 5; ++x) {
        Numbers field;
        for (const auto& image : {a, b}) {
          for (std::int64_t v = y - 1; v <= y + 1; ++v) {
            for (std::int64_t u = x - 1; u <= x + 1; ++u) {
              const bool inside = v >= 0 && v < 4 && u >= 0 && u < 5;
              field.push_back(inside ? image[v][u].item<double>() : std::nan(""));
            }
          }
        }
        EXPECT_NEAR(output[5 * y + x].item<double>() / by_definition(variant, field, p), 1, 1e-12)
            << to_string(variant) << " at " << y << ", " << x;
      }
    }
  }
}

TEST(Variants, DeepNetworksAreTheirLayersInARow) {
  const auto data = make_image_dataset(random_scene(6, 7), DataForm::image);
  for (const std::int64_t depth : {1, 2, 4}) {
    const auto relu = make_model({Variant::relu, 3, depth, 3}, {1, 2}, at::kDouble, at::kCPU);
    const auto stacked = make_model({Variant::stacked_exp, 3, depth, 3}, {1, 2}, at::kDouble, at::kCPU);
    for (std::int64_t i = 0; i < 2; ++i) {
      auto x = data.input;
      auto z = data.input;
      for (std::int64_t layer = 0; layer < depth; ++layer) {
        const auto at = static_cast<std::size_t>(2 * layer);
        x = at::conv2d(x, relu.parameters[at][i], relu.parameters[at + 1][i], 1, 1);
        x = layer == depth - 1 ? x : x.clamp_min(0);
        z = at::conv2d(z, stacked.parameters[at][i], stacked.parameters[at + 1][i], 1, 1).exp();
      }
      EXPECT_TRUE(torch::allclose(forward(relu, data).select(1, i), x.squeeze(1), 1e-12, 1e-14));
      EXPECT_TRUE(torch::allclose(forward(stacked, data).select(1, i), z.squeeze(1), 1e-12, 1e-14));
    }
  }
  const auto exp = make_model({Variant::exp, 3}, {4, 1}, at::kDouble, at::kCPU);
  const auto stack = make_model({Variant::stacked_exp, 3, 1, 8}, {4, 1}, at::kDouble, at::kCPU);
  EXPECT_TRUE(torch::allclose(forward(stack, data), forward(exp, data), 1e-14));
}

TEST(Variants, GradientsEqualCentralDifferences) {
  for (const auto variant : all_variants) {
    for (const auto& data : forms_of(random_scene(6, 5), variant)) {
      for (const auto kind : {LossKind::l2, LossKind::mse}) {
        auto model = make_model(architecture_of(variant), {1, 1}, at::kDouble, at::kCPU);
        losses_of(kind, forward(model, data), data).backward();
        const at::NoGradGuard no_grad;
        for (auto& parameter : model.parameters) {
          auto values = parameter.view({-1});
          for (std::int64_t i = 0; i < values.numel(); ++i) {
            constexpr double h = 1e-6;
            const double centre = values[i].item<double>();
            const auto loss_at = [&](double value) {
              values[i] = value;
              return loss_of(model, data, kind);
            };
            const double difference = (loss_at(centre + h) - loss_at(centre - h)) / (2 * h);
            values[i] = centre;
            const double gradient = parameter.grad().view({-1})[i].item<double>();
            EXPECT_NEAR(gradient, difference, 1e-7 * std::max(1.0, std::abs(difference)))
                << to_string(variant) << ' ' << to_string(data.form) << ' ' << to_string(kind)
                << " parameter " << i;
          }
        }
      }
    }
  }
}

/// The weights with which a unit multiplies, where they exist or can be approached to rounding.
Numbers exact_weights(Variant variant) {
  switch (variant) {
    case Variant::log_exp:
      return joined({at_centre(1, 0), {0}});
    case Variant::nmu:
      return at_centre(1, 0);
    case Variant::nac_mul:
      return joined({at_centre(40, 0), at_centre(80, 0)});
    case Variant::nalu:
      return joined({at_centre(40, 0), at_centre(80, 0), at_centre(-800, 0)});
    default:  // npu
      return joined({at_centre(1, 0), at_centre(1, 0.5)});
  }
}

TEST(Variants, ExactSolutionsMultiply) {
  const auto positive = make_scene(torch::rand({1, 1, 7, 8}, at::kDouble) + 0.1,
                                   torch::rand({1, 1, 7, 8}, at::kDouble) * 30 + 0.1);
  const auto any_sign = random_scene(7, 8);
  const auto with_zeros = small_rectangles();
  const auto expect_product = [](Variant variant, const Scene& scene, double added, double sign_of_negative) {
    for (const auto dtype : {at::kDouble, at::kFloat}) {
      const auto typed = make_scene(scene.a.to(dtype), scene.b.to(dtype));
      const auto factor = [&](const at::Tensor& x) {
        return (x.abs() + added) *
               torch::where(x < 0, torch::full_like(x, sign_of_negative), torch::ones_like(x));
      };
      const auto expected = (factor(scene.a) * factor(scene.b)).flatten();
      const auto model = model_with({variant, 3}, exact_weights(variant), dtype);
      const auto data = unfolded(make_image_dataset(typed, DataForm::image, encoding_of(variant)), 3);
      const auto error = (forward(model, data).flatten().to(at::kDouble) - expected).abs();
      // 40 roundings: of the logarithms, which go up to 16, and of exp.
      const double rounding = dtype == at::kDouble ? 1e-14 : 5e-6;
      EXPECT_TRUE((error <= rounding * expected.abs()).all().item<bool>())
          << to_string(variant) << ' ' << error.max().item<double>();
    }
  };
  constexpr double e = 1e-7;
  for (const auto& scene : {positive, any_sign, with_zeros}) {  // the logarithm knows no sign
    expect_product(Variant::log_exp, scene, e, 1);
    expect_product(Variant::nac_mul, scene, e, 1);
    expect_product(Variant::nmu, scene, 0, -1);
    expect_product(Variant::npu, scene, std::pow(2, -23), -1);
  }
  expect_product(Variant::nalu, positive, e, 1);  // elsewhere its gate would open the other path
}

TEST(Variants, TheExactSolutionOfLogExpIsTheProductToRounding) {
  const auto scene = make_rectangles(SceneConfig{}, at::kFloat);
  const auto model = model_with({Variant::log_exp, 3}, exact_weights(Variant::log_exp), at::kFloat);
  const auto data = make_dataset(SceneConfig{}, at::kFloat, DataForm::patches, 3, Encoding::logarithm);
  const auto output = data.picture(forward(model, data).flatten());
  EXPECT_LE((output - scene.target[0][0]).abs().max().item<double>(), 1e-6);
}

TEST(Variants, NmuIsClampedAndPulledToZeroAndOne) {
  auto model = model_with({Variant::nmu, 1}, {-0.25, 1.5});
  project(model);
  EXPECT_TRUE(torch::equal(weights_of(model), torch::tensor({{0.0, 1.0}}, at::kDouble)));
  model = model_with({Variant::nmu, 1}, {0.125, 0.75});
  const auto penalty = *sparsity_penalty(model);
  EXPECT_DOUBLE_EQ(penalty.item<double>(), (0.125 + 0.25) / 2);
  penalty.sum().backward();
  EXPECT_TRUE(torch::equal(model.parameters[0].grad(), torch::tensor({{0.5, -0.5}}, at::kDouble)));
  auto other = model_with({Variant::baseline, 1}, {-0.25, 1.5, 3});
  project(other);
  EXPECT_EQ(weights_of(other)[0][1].item<double>(), 1.5);
  EXPECT_FALSE(sparsity_penalty(other));
}

TEST(Variants, SparsityErrorIsTheWorstWeights) {
  const auto error = [](Variant variant, const Numbers& weights) {
    return sparsity_error(model_with({variant, 1}, weights))->item<double>();
  };
  EXPECT_DOUBLE_EQ(error(Variant::nmu, {1, 0.25}), 0.25);
  EXPECT_DOUBLE_EQ(error(Variant::log_exp, {-1, 1.25, 7}), 0.25);  // the bias is none of its weights
  EXPECT_DOUBLE_EQ(error(Variant::npu, {1, 0.875, 0.3, 0.3}), 0.125);
  EXPECT_NEAR(error(Variant::nac_mul, {40, -40, 80, std::log(3)}), 0.25, 1e-12);  // -sigmoid(log 3) = -3/4
  EXPECT_FALSE(sparsity_error(make_model({Variant::relu, 3, 2, 2}, {0, 1}, at::kDouble, at::kCPU)));
}

TEST(Variants, LossIsTheNormItselfOrItsMeanSquare) {
  const auto scene =
      make_scene(torch::full({1, 1, 1, 2}, 2.0, at::kDouble), torch::ones({1, 1, 1, 2}, at::kDouble));
  const auto data = make_image_dataset(scene, DataForm::literal);  // target (2, 2)
  const auto output = torch::tensor({5.0, 6.0}, at::kDouble).reshape({1, 1, 1, 2});
  EXPECT_DOUBLE_EQ(losses_of(LossKind::l2, output, data).item<double>(), 5);  // sqrt(3^2 + 4^2)
  EXPECT_DOUBLE_EQ(losses_of(LossKind::mse, output, data).item<double>(), 12.5);
  const auto patches = *make_patch_dataset(scene, 1, 2);  // one patch that stands for two pixels
  const auto five = torch::full({1, 1, 1, 1}, 5.0, at::kDouble);
  EXPECT_DOUBLE_EQ(losses_of(LossKind::mse, five, patches).item<double>(), 9);
}

TEST(Variants, GradientOfAZeroLossIsZeroNotNan) {
  const auto zero = torch::zeros({1, 1, 4, 4}, at::kDouble);
  const auto model = make_model({Variant::baseline, 3}, {0, 1}, at::kDouble, at::kCPU);
  {
    const at::NoGradGuard no_grad;
    model.parameters[1].zero_();
  }
  for (const auto form : {DataForm::image, DataForm::patches}) {
    const auto data = make_dataset(make_scene(zero, zero), form, 3);
    losses_of(LossKind::l2, forward(model, data), data).backward();
    EXPECT_EQ(model.parameters[1].grad().item<double>(), 0) << to_string(form);
  }
}

}  // namespace
}  // namespace conv_mult
