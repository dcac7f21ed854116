#include "conv_mult/data/dataset.hpp"

#include <gtest/gtest.h>
#include <torch/nn/functional/fold.h>
#include <torch/types.h>

#include <cmath>

#include "conv_mult/model/variants.hpp"
#include "scenes.hpp"

namespace conv_mult {
namespace {

struct Gradient {
  double loss;
  at::Tensor weight, bias;
};

Gradient gradient_of(const Dataset& data, Variant variant, std::int64_t kernel_size) {
  auto model = make_model({variant, kernel_size}, SeedRange{3, 1}, at::kDouble, at::kCPU);
  const auto loss = losses_of(LossKind::l2, forward(model, data), data);
  loss.backward();
  return {loss.item<double>(), model.parameters[0].grad(), model.parameters[1].grad()};
}

void expect_forms_agree(const Scene& scene, std::int64_t kernel_size) {
  const auto image = make_dataset(scene, DataForm::image, kernel_size);
  const auto patches = make_dataset(scene, DataForm::patches, kernel_size);
  ASSERT_EQ(image.form, DataForm::image);
  ASSERT_EQ(patches.form, DataForm::patches);
  EXPECT_EQ(patches.root_count.square().sum().round().item<std::int64_t>(), scene.target.numel());
  EXPECT_NEAR(patches.target_norm(), scene.target.norm().item<double>(), 1e-12);
  for (const auto variant : {Variant::baseline, Variant::exp}) {
    SCOPED_TRACE(testing::Message() << scene.target.sizes() << ' ' << to_string(variant)
                                    << " K=" << kernel_size);
    const auto expected = gradient_of(image, variant, kernel_size);
    const auto actual = gradient_of(patches, variant, kernel_size);
    EXPECT_NEAR(actual.loss / expected.loss, 1, 1e-10);
    EXPECT_LE(relative_difference(actual.weight, expected.weight), 1e-10);
    EXPECT_LE(relative_difference(actual.bias, expected.bias), 1e-10);
  }
}

TEST(Dataset, BothFormsHaveTheSameLossAndGradientOnRectangles) {
  expect_forms_agree(make_rectangles(SceneConfig{}, at::kDouble), 3);
  for (const std::int64_t kernel_size : {1, 3, 5}) {
    expect_forms_agree(small_rectangles(), kernel_size);
  }
}

TEST(Dataset, BothFormsHaveTheSameLossAndGradientOnRandomImages) {
  for (const std::int64_t kernel_size : {1, 3, 7}) {
    expect_forms_agree(random_scene(9, 14), kernel_size);
  }
}

TEST(Dataset, BothFormsHaveTheSameLossAndGradientOnThinImages) {
  for (const std::int64_t kernel_size : {1, 3, 5}) {
    expect_forms_agree(random_scene(1, 1), kernel_size);
    expect_forms_agree(random_scene(1, 9), kernel_size);
    expect_forms_agree(random_scene(9, 1), kernel_size);
  }
}

TEST(Dataset, PatchesAreTheDistinctRowsOfUnfold) {
  const auto scene = small_rectangles();
  const auto patches = make_dataset(scene, DataForm::patches, 3);
  namespace F = torch::nn::functional;
  const auto unfolded =
      F::unfold(encode(scene, Encoding::plain), F::UnfoldFuncOptions(3).padding(1))[0].t();  // [H W, 2 K K]
  const auto [distinct, inverse, count] = torch::unique_dim(unfolded, 0, true, false, true);
  EXPECT_EQ(patches.rows(), distinct.size(0));
  // Every pixel finds its own receptive field and target again.
  EXPECT_TRUE(torch::equal(patches.input.flatten(1).index_select(0, patches.index.flatten()), unfolded));
  EXPECT_TRUE(torch::equal(patches.picture(patches.target.flatten()), scene.target[0][0]));
  EXPECT_TRUE(torch::allclose(std::get<0>(patches.root_count.square().flatten().sort()),
                              std::get<0>(count.to(at::kDouble).sort())));
}

/// Both ways to the patches of two rectangles, over the whole image and over its short form, in one order.
void expect_short_form_is_equal(const SceneConfig& config, std::int64_t kernel_size) {
  SCOPED_TRACE(testing::Message() << config.height << 'x' << config.width << " K=" << kernel_size);
  const auto scene = make_rectangles(config, at::kDouble);
  const auto whole = make_dataset(scene, DataForm::patches, kernel_size);
  const auto small = make_dataset(config, at::kDouble, DataForm::patches, kernel_size);
  ASSERT_EQ(small.rows(), whole.rows());
  EXPECT_TRUE(torch::equal(small.input, whole.input));
  EXPECT_TRUE(torch::equal(small.target, whole.target));
  EXPECT_TRUE(torch::equal(small.root_count, whole.root_count));
  EXPECT_TRUE(torch::equal(small.picture(small.target.flatten()), scene.target[0][0]));
  const auto number = torch::arange(whole.rows());
  EXPECT_TRUE(torch::equal(small.picture(number), whole.picture(number)));
}

TEST(Dataset, RectanglesNeedNoImageForTheirPatches) {
  SceneConfig config;
  for (const std::int64_t kernel_size : {1, 3, 5, 9, 31}) {
    expect_short_form_is_equal(config, kernel_size);
  }
  torch::manual_seed(11);
  for (int i = 0; i < 200; ++i) {  // touching borders and each other, equal edges, one pixel, whole images
    const auto draw = [](std::int64_t low, std::int64_t high) {
      return torch::randint(low, high + 1, {1}).item<std::int64_t>();
    };
    const std::int64_t height = draw(1, 24);
    const std::int64_t width = draw(1, 24);
    const auto rectangle = [&](double value) {
      const std::int64_t top = draw(0, height - 1);
      const std::int64_t left = draw(0, width - 1);
      return Rectangle{top, left, draw(1, height - top), draw(1, width - left), value};
    };
    expect_short_form_is_equal({height, width, rectangle(1), rectangle(2)}, 2 * draw(0, 3) + 1);
  }
}

TEST(Dataset, TheLargestSceneTakesNoMoreThanItsPatches) {
  SceneConfig config;
  config.height = config.width = 32768;
  config.a = {6000, 5000, 15000, 16000, 1};
  config.b = {13000, 11000, 13000, 15000, 2};
  const auto data = make_dataset(config, at::kFloat, DataForm::automatic, 3);
  EXPECT_EQ(data.form, DataForm::patches);
  EXPECT_EQ(data.rows(), 68);
  // sqrt(overlap) * 2, the overlap of rows 13000..20999 and columns 11000..20999
  EXPECT_NEAR(data.target_norm() / (2 * std::sqrt(8000.0 * 10000.0)), 1, 1e-6);
}

TEST(Dataset, DefaultSceneHas68DistinctReceptiveFields) {
  EXPECT_EQ(make_dataset(make_rectangles(SceneConfig{}, at::kFloat), DataForm::automatic, 3).rows(), 68);
}

TEST(Dataset, ManyDistinctFieldsAreNumberedRight) {
  const auto scene = random_scene(70, 80);  // 5,600 fields: the hash table grows several times
  const auto patches = make_dataset(scene, DataForm::patches, 3);
  EXPECT_EQ(patches.rows(), 70 * 80);
  EXPECT_TRUE(torch::equal(patches.index.flatten(), torch::arange(70 * 80)));
}

TEST(Dataset, AutoTakesPatchesBelowAQuarterOfThePixels) {
  const auto form_of = [](const std::vector<double>& values) {
    const auto a = torch::tensor(values, at::kDouble).reshape({1, 1, 1, -1});
    return make_dataset(make_scene(a, a), DataForm::automatic, 1).form;
  };
  // Three distinct values in 13 pixels are fewer than a quarter, in 12 pixels they are not.
  EXPECT_EQ(form_of({1, 2, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}), DataForm::patches);
  EXPECT_EQ(form_of({1, 2, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}), DataForm::image);
}

TEST(Dataset, PatchSearchGivesUpAboveItsLimit) {
  const auto scene = random_scene(4, 4);
  EXPECT_TRUE(make_patch_dataset(scene, 3, 16).has_value());
  EXPECT_FALSE(make_patch_dataset(scene, 3, 15).has_value());
}

}  // namespace
}  // namespace conv_mult
