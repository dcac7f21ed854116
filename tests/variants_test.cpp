#include <torch/nn/modules/conv.h>
#include "cases.hpp"

namespace conv_mult {
namespace {
Model solution_of(const Architecture& architecture) {
  return {architecture, architecture.variant->solution(architecture.size)};
}

class Variants : public EachVariant {};
CONV_MULT_FOR_EACH_VARIANT(Variants);

TEST_P(Variants, LooksLikeNoOther) {
  for (const auto* other : all_variants) {
    EXPECT_TRUE(other == &variant_ || (other->colour != variant_.colour && other->point != variant_.point));
  }
}

TEST_P(Variants, ConvolutionsStartAsPyTorchsOwn) {
  torch::manual_seed(5);
  const auto parameters = make_model(architecture(), {5, 1}, at::kFloat, at::kCPU).parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& weight = parameters[i];  // [N, out, in, K, K]
    if (weight.dim() != 5) { GTEST_SKIP() << "is no convolution, or not from here on"; }
    const bool bias = i + 1 < parameters.size() && parameters[i + 1].dim() == 2;
    const torch::nn::Conv2d layer(torch::nn::Conv2dOptions(weight.size(2), weight.size(1), weight.size(3)).bias(bias));
    EXPECT_TRUE(torch::equal(weight[0], layer->weight));
    if (bias) { EXPECT_TRUE(torch::equal(parameters[++i][0], layer->bias)); }
  }
}

TEST_P(Variants, StartsUniformlyInItsIntervals) {
  const auto model = make_model(architecture(), {0, 500}, at::kDouble, at::kCPU);
  const auto parameters = architecture().parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, shape, low, high, normal] = parameters[i];
    SCOPED_TRACE(name);
    const auto& values = model.parameters[i];
    EXPECT_EQ(values[0].sizes(), at::IntArrayRef(shape));
    // Mean and deviation of n draws have deviations of at most deviation / sqrt(n).
    const double deviation = normal ? high : (high - low) / std::sqrt(12);
    const double error = 4 * deviation / std::sqrt(static_cast<double>(values.numel())) + 1e-7;  // drawn in float32
    EXPECT_NEAR(values.mean().item<double>(), normal ? low : (low + high) / 2, error);
    EXPECT_NEAR(values.std().item<double>(), deviation, error);
    if (normal) { continue; }
    EXPECT_NEAR(values.min().item<double>(), low, 0.02 * (high - low) + 1e-7);
    EXPECT_NEAR(values.max().item<double>(), high, 0.02 * (high - low) + 1e-7);
  }
}

TEST(Variants, UnitsStartAsTheirPapersAsk) {
  using Intervals = std::vector<std::pair<double, double>>;
  const auto expect = [](const Variant& variant, const Intervals& expected) {
    Intervals intervals;
    for (const auto& parameter : variant.parameters({})) { intervals.emplace_back(parameter.low, parameter.high); }
    EXPECT_EQ(intervals, expected) << variant.name;
  };
  const std::pair glorot(-std::sqrt(6.0 / 19), std::sqrt(6.0 / 19));
  expect(variants::nmu, {{0.25, 0.75}});
  expect(variants::nac_mul, {glorot, glorot});
  expect(variants::nalu, {glorot, glorot, glorot});
  expect(variants::npu, {glorot, {0.5, 0.5}});
  expect(variants::inalu, {{0, 0.2}, {0.88, 0.2}, {0.5, 0.2}, {0.88, 0.2}, {0.5, 0.2}});
}

TEST_P(Variants, AReplicaStartsAsItsSeedDoesAloneAndAgainFromItsWeights) {
  const auto batch = weights_of(make_model(architecture(), {40, 5}, at::kFloat, at::kCPU));
  EXPECT_EQ(batch.size(1), parameter_count(architecture()));
  for (std::int64_t i = 0; i < 5; ++i) {
    const auto alone = make_model(architecture(), {40 + i, 1}, at::kDouble, at::kCPU);
    const auto again = make_model(architecture(), batch.narrow(0, i, 1));
    EXPECT_TRUE(std::equal(alone.parameters.begin(), alone.parameters.end(), again.parameters.begin(), at::equal));
  }
}

/// Outputs, [P], for the receptive fields x, [P, 18], whose NaN are padding, from one replica's weights p alone.
using Definition = at::Tensor (*)(const at::Tensor& x, const at::Tensor& p);

at::Tensor part(const at::Tensor& p, std::int64_t i) { return p.narrow(0, 18 * i, 18); }
at::Tensor affine(const at::Tensor& x, const at::Tensor& p) { return (part(p, 0) * x).nansum(1) + p[18]; }
at::Tensor log_of(const at::Tensor& x) { return (x.abs() + 1e-7).log(); }
at::Tensor sign(const at::Tensor& x, const at::Tensor& w) { return (std::acos(-1) * (x.lt(0) * w).sum(1)).cos(); }
at::Tensor nac(const at::Tensor& p) { return part(p, 0).tanh() * part(p, 1).sigmoid(); }
at::Tensor nac_mul(const at::Tensor& x, const at::Tensor& p) { return (nac(p) * log_of(x)).nansum(1).exp(); }

const std::map<std::string, Definition> definitions{
    {"baseline", affine},
    {"exp", [](const at::Tensor& x, const at::Tensor& p) { return affine(x, p).exp(); }},
    {"log-exp", [](const at::Tensor& x, const at::Tensor& p) { return affine(log_of(x), p).exp(); }},
    {"product-unit",
     [](const at::Tensor& x, const at::Tensor& p) { return (p * log_of(x)).nansum(1).exp() * sign(x, p); }},
    {"nmu", [](const at::Tensor& x, const at::Tensor& p) { return (p * x + 1 - p).nan_to_num(1).prod(1); }},
    {"nac-mul", nac_mul},
    {"nalu",
     [](const at::Tensor& x, const at::Tensor& p) {
       const auto gate = (part(p, 2) * x).nansum(1).sigmoid();
       return gate * (nac(p) * x).nansum(1) + (1 - gate) * nac_mul(x, p);
     }},
    {"npu", [](const at::Tensor& x, const at::Tensor& p) {
       const auto gate = part(p, 1).clamp(0, 1);
       const auto r = gate * (x.abs() + std::pow(2, -23)) + 1 - gate;
       return (part(p, 0) * r.log()).nansum(1).exp() * sign(x, part(p, 0) * gate);
     }}};

TEST(Variants, OutputsAreThoseOfTheirDefinitions) {
  const auto scene = scene_with_zeros(4, 5);
  const auto padded = at::constant_pad_nd(plain(scene), {1, 1, 1, 1}, std::nan(""));
  const auto x = at::im2col(padded, {3, 3}, {1, 1}, {0, 0}, {1, 1})[0].t();
  for (const auto& [name, definition] : definitions) {
    const auto* variant = find_variant(name);
    auto weights = weights_of(make_model({variant, {3}}, {9, 1}, at::kDouble, at::kCPU));
    weights.slice(1, 18, 36) += torch::linspace(-1, 1, std::min<std::int64_t>(18, weights.size(1) - 18));
    const auto data = unfolded(make_dataset(scene, DataForm::image, 1, variant->encode), 3);
    const auto output = forward(make_model({variant, {3}}, weights), data).flatten();
    EXPECT_LE(worst_difference(output, definition(x, weights[0])), 1e-12) << name;
  }
}

TEST_P(Variants, GradientsEqualCentralDifferences) {
  const auto start = weights_of(make_model(architecture(), {1, 1}, at::kDouble, at::kCPU));
  const auto step = 1e-6 * torch::eye(start.size(1), at::kDouble);  // a replica for each parameter
  for (const auto& data : forms(random_scene(6, 5))) {
    for (const auto kind : both_losses) {
      const auto losses = [&](const Model& model) { return losses_of(kind, forward(model, data), data); };
      const auto model = make_model(architecture(), start);
      losses(model).backward();
      const auto above = losses(make_model(architecture(), start + step));
      const auto below = losses(make_model(architecture(), start - step));
      const auto difference = (above - below).detach() / 2e-6;
      const auto error = (gradient_of(model)[0] - difference).abs() / difference.abs().clamp_min(1);
      EXPECT_LE(error.max().item<double>(), 1e-7) << "form " << static_cast<int>(data.form) << error;
    }
  }
}

/// Whether the output is `expected`, [1, 1, H, W], up to roundings, in float64 and in float32.
void expect_output(const Model& model, const Scene& scene, const at::Tensor& expected, double rounding = 0) {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    const auto image = make_dataset(cast(scene, dtype), DataForm::image, 1, model.variant().encode);
    const auto data = model.variant().takes == Takes::images ? image : unfolded(image, 3);
    const auto output = forward(make_model(model.architecture, weights_of(model).to(dtype)), data);
    // 40 roundings: of the logarithms, which go up to 16, and of exp.
    const double most = std::max(rounding, dtype == at::kDouble ? 1e-14 : 5e-6);
    EXPECT_LE(worst_difference(output.flatten().to(at::kDouble), expected.flatten()), most);
  }
}

Scene positive_scene(double from) {
  return make_scene(torch::rand({1, 1, 7, 8}, at::kDouble) + from, torch::rand({1, 1, 7, 8}, at::kDouble) * 30 + from);
}

TEST_P(Variants, TheSolutionMultipliesPositiveNumbers) {
  if (variant_.solution == nullptr) { GTEST_SKIP() << "has none"; }
  const auto model = solution_of(architecture());
  const auto scene = positive_scene(0.3);
  expect_output(model, scene, scene.target, 1e-6);
  if (const auto error = sparsity_error(model)) { EXPECT_LT(error->item<double>(), 1e-12); }
}

TEST(Variants, SolutionsMultiplyWithTheirOffsetsAndSigns) {
  const auto positive = positive_scene(0.1);
  const auto expect = [](const Variant& variant, const Scene& scene, double added, double sign_of_negative) {
    SCOPED_TRACE(variant.name);
    const auto factor = [&](const at::Tensor& x) {
      return (x.abs() + added) * at::where(x < 0, sign_of_negative, 1.0);
    };
    expect_output(solution_of({&variant, {}}), scene, factor(scene.a) * factor(scene.b));
  };
  constexpr double e = 1e-7;
  for (const auto& scene : {positive, scene_with_zeros(7, 8), whole(default_rectangles())}) {
    expect(variants::log_exp, scene, e, 1);  // the logarithm knows no sign
    expect(variants::nac_mul, scene, e, 1);
    expect(variants::nmu, scene, 0, -1);
    expect(variants::npu, scene, std::pow(2, -23), -1);
    expect(variants::product_unit, scene, e, -1);
  }
  expect(variants::nalu, positive, e, 1);  // elsewhere its gate would open the other path
}

TEST(Variants, NoiseIsDividedOutWhereWeightsAreWhole) {
  const auto data = unfolded(make_dataset(random_scene(4, 4), DataForm::image, 1, variants::snmu.encode), 3);
  auto whole = solution_of({&variants::snmu, {}});
  EXPECT_TRUE(torch::allclose(forward_in_training(whole, data), forward(whole, data), 1e-12, 1e-14));
  const auto three = make_scene(torch::full({1, 1, 1, 1}, 3.0), torch::full({1, 1, 1, 1}, 3.0));
  const auto pixel = make_dataset(cast(three, at::kDouble), DataForm::image, 1, variants::snmu.encode);
  auto half = make_model({&variants::snmu, {1}}, torch::tensor({{0.5, 0.0}}, at::kDouble));
  const double n = 1 + 4 * Random(0, 16).unit();
  EXPECT_DOUBLE_EQ(forward_in_training(half, pixel).item<double>(), (3 * n + 1) / (n + 1));  // not 2
}

TEST(Variants, NmuIsClampedToZeroAndOne) {
  const auto weights = torch::tensor({{-0.25, 1.5}}, at::kDouble);
  variants::nmu.project({weights});
  EXPECT_TRUE(torch::equal(weights, torch::tensor({{0.0, 1.0}}, at::kDouble)));
}

TEST(Variants, SparsityErrorIsTheWorstWeights) {
  const auto error = [](const Variant& variant, const std::vector<double>& weights) {
    const auto row = torch::tensor(weights, at::kDouble).unsqueeze(0);
    return sparsity_error(make_model({&variant, {1}}, row))->item<double>();
  };
  EXPECT_DOUBLE_EQ(error(variants::nmu, {1, 0.25}), 0.25);
  EXPECT_DOUBLE_EQ(error(variants::log_exp, {-1, 1.25, 7}), 0.25);  // the bias is none of its weights
  EXPECT_DOUBLE_EQ(error(variants::npu, {1, 0.875, 0.3, 0.3}), 0.125);
  EXPECT_NEAR(error(variants::nac_mul, {40, -40, 80, std::log(3)}), 0.25, 1e-12);  // -sigmoid(log 3) = -3/4
  EXPECT_FALSE(sparsity_error(make_model({&variants::relu, {3, 2, 2}}, {0, 1}, at::kDouble, at::kCPU)));
}

TEST(Variants, LossIsTheNormItselfOrItsMeanSquare) {
  const auto two = torch::full({1, 1, 1, 2}, 2.0, at::kDouble);
  const auto scene = make_scene(two, two / 2);
  const auto data = make_dataset(scene, DataForm::literal, 1);  // target (2, 2)
  const auto output = torch::tensor({5.0, 6.0}, at::kDouble).reshape({1, 1, 1, 2});
  EXPECT_DOUBLE_EQ(losses_of(LossKind::l2, output, data).item<double>(), 5);  // sqrt(3^2 + 4^2)
  EXPECT_DOUBLE_EQ(losses_of(LossKind::mse, output, data).item<double>(), 12.5);
  const auto patches = make_dataset(scene, DataForm::patches, 1);  // one patch that stands for two pixels
  const auto five = torch::full({1, 1, 1, 1}, 5.0, at::kDouble);
  EXPECT_DOUBLE_EQ(losses_of(LossKind::mse, five, patches).item<double>(), 9);
}

TEST_P(Variants, GradientOfAZeroLossIsZeroNotNan) {
  for (auto data : forms(random_scene(4, 4))) {
    const auto model = make_model(architecture(), {0, 1}, at::kDouble, at::kCPU);
    data.target = forward(model, data).detach();
    losses_of(LossKind::l2, forward(model, data), data).backward();
    EXPECT_EQ(gradient_of(model).abs().max().item<double>(), 0) << static_cast<int>(data.form);
  }
}
}  // namespace
}  // namespace conv_mult
