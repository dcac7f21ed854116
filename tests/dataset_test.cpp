#include <torch/nn/functional/fold.h>
#include "cases.hpp"

namespace conv_mult {
namespace {
TEST(Dataset, PatchesAreTheDistinctRowsOfUnfold) {
  for (const auto& scene : {whole(default_rectangles()), whole(small_rectangles()), random_scene(70, 80),
                            random_scene(1, 1), random_scene(1, 9), random_scene(9, 1)}) {
    for (const std::int64_t kernel_size : {1, 3, 5, 7}) {
      SCOPED_TRACE(testing::Message() << scene.target.sizes() << " K=" << kernel_size);
      const auto patches = make_dataset(scene, DataForm::patches, kernel_size);
      const auto all = unfolded(make_dataset(scene, DataForm::image, kernel_size), kernel_size);
      namespace F = torch::nn::functional;
      const auto options = F::UnfoldFuncOptions(kernel_size).padding(kernel_size / 2);
      const auto fields = F::unfold(plain(scene), options)[0].t();  // [H W, 2 K K]
      EXPECT_TRUE(torch::equal(all.input.flatten(1), fields));
      EXPECT_TRUE(torch::equal(all.target.flatten(), scene.target.flatten()));
      const auto [distinct, inverse, count] = torch::unique_dim(fields, 0, true, true, true);
      EXPECT_EQ(patches.rows(), distinct.size(0));
      EXPECT_TRUE(patches.rows() < all.rows() || torch::equal(patches.input, all.input));  // in the image's order
      // Each of the distinct ones is there, with its count and the target of its pixels.
      const auto [found, of_row, once] = torch::unique_dim(patches.input.flatten(1), 0, true, true, true);
      EXPECT_TRUE(torch::equal(found, distinct));
      const auto counts = count.index_select(0, of_row).to(at::kDouble);
      EXPECT_TRUE(torch::allclose(patches.root_count.square().flatten(), counts, 1e-14, 0));
      const auto targets = torch::zeros(distinct.size(0), at::kDouble).index_put({of_row}, patches.target.flatten());
      EXPECT_TRUE(torch::equal(targets.index_select(0, inverse), scene.target.flatten()));
      EXPECT_EQ(patches.pixels(), scene.target.numel());
    }
  }
}

/// Both ways to the patches of two rectangles, over the whole image and over its runs, in one order.
void expect_runs_are_equal(const Scene& scene, std::int64_t kernel_size) {
  SCOPED_TRACE(testing::Message() << scene.height() << 'x' << scene.width() << " K=" << kernel_size);
  const auto full = make_dataset(whole(scene), DataForm::patches, kernel_size);
  const auto small = make_dataset(scene, DataForm::patches, kernel_size);
  ASSERT_EQ(small.rows(), full.rows());
  EXPECT_TRUE(torch::equal(small.input, full.input));
  EXPECT_TRUE(torch::equal(small.target, full.target));
  EXPECT_TRUE(torch::equal(small.root_count, full.root_count));
  EXPECT_EQ(small.pixels(), full.pixels());
  EXPECT_NEAR(target_norm(scene), target_norm(whole(scene)), 1e-12);
  const auto stored = shortened(scene, kernel_size / 2);
  EXPECT_TRUE(torch::equal(whole(stored).target, whole(scene).target));
  EXPECT_TRUE(torch::equal(whole(stored).a, whole(scene).a));
}

TEST(Dataset, RectanglesNeedNoImageForTheirPatches) {
  for (const std::int64_t kernel_size : {1, 3, 5, 9, 31}) { expect_runs_are_equal(default_rectangles(), kernel_size); }
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
    expect_runs_are_equal(make_rectangles({height, width}, rectangle(7), rectangle(-0.3)), 2 * draw(0, 3) + 1);
  }
}

TEST(Dataset, TheLargestSceneTakesNoMoreThanItsPatches) {
  EXPECT_EQ(make_dataset(default_rectangles(), DataForm::automatic, 3).rows(), 68);
  EXPECT_NEAR(target_norm(default_rectangles()), 2 * std::sqrt(25 * 30), 1e-12);
  const auto scene = make_rectangles({32768, 32768}, {6000, 5000, 15000, 16000, 1}, {13000, 11000, 13000, 15000, 2});
  const auto data = make_dataset(scene, DataForm::automatic, 3);
  EXPECT_EQ(data.form, DataForm::patches);
  EXPECT_EQ(data.rows(), 68);
  // sqrt(overlap) * 2, the overlap of rows 13000..20999 and columns 11000..20999
  EXPECT_NEAR((data.target * data.root_count).norm().item<double>() / (2 * std::sqrt(8000.0 * 10000.0)), 1, 1e-12);
}

TEST(Dataset, AutoTakesPatchesBelowAQuarterOfThePixels) {
  for (const std::int64_t pixels : {12, 13}) {  // of which three distinct values are a quarter, or fewer
    const auto a = torch::arange(1, pixels + 1, at::kDouble).clamp_max(3).view({1, 1, 1, -1});
    const auto form = make_dataset(make_scene(a, a), DataForm::automatic, 1).form;
    EXPECT_EQ(form, pixels == 12 ? DataForm::image : DataForm::patches);
  }
}
}  // namespace
}  // namespace conv_mult
