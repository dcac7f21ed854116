#include <stb/stb_image.h>
#include <torch/torch.h>
#include "executable.hpp"
#include "output/figures.hpp"

namespace conv_mult {
namespace {
at::Tensor image_of(std::int64_t height, std::int64_t width, const std::vector<float>& pixels) {
  return torch::tensor(pixels).view({height, width});
}

/// 2 × 3 images, one variant called "v_1".
ExperimentResult small_result() {
  ExperimentResult result;
  auto& scene = result.scenes.emplace_back();
  scene.a = image_of(2, 3, {0, 1, 2, 3, 4, 5});
  scene.b = image_of(2, 3, {1, 1, 1, 1, 1, 1});
  scene.target = image_of(2, 3, {0, 1, 2, 3, 4, 8});
  auto& row = result.variants.emplace_back();
  row.variant = "v_1";
  row.output = image_of(2, 3, {0, 1, 2.5F, 100, -100, NAN});
  return result;
}

/// Expects a PNG that shows these colours (row-major, 2 × 3), each as a square of 400 / 3 pixels.
void expect_png(const fs::path& path, std::vector<Rgb> colours) {
  int width = 0, height = 0, channels = 0;
  const std::shared_ptr<void> pixels(stbi_load(path.c_str(), &width, &height, &channels, 0), stbi_image_free);
  ASSERT_NE(pixels, nullptr) << path;
  const auto wanted = at::from_blob(colours.data(), {2, 3, 3}, at::kByte);
  const auto shown = at::from_blob(pixels.get(), {height, width, channels}, at::kByte);
  EXPECT_TRUE(shown.equal(wanted.repeat_interleave(400 / 3, 0).repeat_interleave(400 / 3, 1))) << path;
}

class Images : public TemporaryFolder {};

TEST_F(Images, ColoursAreInterpolatedBetweenStopsClampedAndMarkNan) {
  const auto of = [](double value) { return colour_of(value, {-1, 3}, {{0, 0, 0}, {100, 200, 50}, {200, 0, 250}}); };
  for (const double low : {-INFINITY, -7.0F, -1.0F}) { EXPECT_EQ(of(low), (Rgb{0, 0, 0})) << low; }
  EXPECT_EQ(of(0), (Rgb{50, 100, 25}));
  EXPECT_EQ(of(1), (Rgb{100, 200, 50}));
  EXPECT_EQ(of(2), (Rgb{150, 100, 150}));
  for (const double high : {3.0F, 7.0F, INFINITY}) { EXPECT_EQ(of(high), (Rgb{200, 0, 250})) << high; }
  EXPECT_EQ(of(NAN), (Rgb{128, 128, 128}));
}

TEST_F(Images, ViridisRisesInLuminanceAndZeroErrorIsWhite) {
  double before = -1;
  for (const auto& [red, green, blue] : sequential_colours) {
    const double luminance = 0.2126 * std::pow(red / 255.0, 2.2) + 0.7152 * std::pow(green / 255.0, 2.2) +
                             0.0722 * std::pow(blue / 255.0, 2.2);
    EXPECT_GT(luminance, before);
    before = luminance;
  }
  EXPECT_EQ(colour_of(0, {-3, 3}, diverging_colours), (Rgb{255, 255, 255}));
}

std::pair<double, double> ends(const Interval& scale) { return {scale.low, scale.high}; }

TEST_F(Images, TheSharedScaleSpansInputsAndTargetOnlyAndIsNeverEmpty) {
  auto scene = small_result().scenes[0];
  scene.b[0][0] = NAN;
  scene.b[0][1] = -2;
  EXPECT_EQ(ends(shared_scale(scene)), std::pair(-2.0, 8.0));
  for (const float flat : {NAN, 4.0F}) {
    scene.a = scene.b = scene.target = image_of(1, 1, {flat});
    const auto [low, high] = shared_scale(scene);
    EXPECT_LT(low, high);
    EXPECT_TRUE(low == flat || std::isnan(flat)) << low;
  }
}

TEST_F(Images, TheErrorScaleIsSymmetricOverAllVariantsAndOneWhereAllIsExact) {
  auto result = small_result();
  result.variants.push_back(result.variants.front());
  result.variants[1].output = image_of(2, 3, {0, 1, 2, 3, -300, INFINITY});
  EXPECT_EQ(ends(error_scale(result)), std::pair(-304.0, 304.0));
  result.variants[0].output = result.variants[1].output = result.scenes[0].target;
  EXPECT_EQ(ends(error_scale(result)), std::pair(-1.0, 1.0));
}

TEST_F(Images, HeatMapsShowEveryPixel) {
  write_heat_maps(small_result(), folder_);
  const auto shared = [](double value) { return colour_of(value, {0, 8}, sequential_colours); };
  const auto error = [](double value) { return colour_of(value, {-104, 104}, diverging_colours); };
  expect_png(folder_ / "a.png", {shared(0), shared(1), shared(2), shared(3), shared(4), shared(5)});
  expect_png(folder_ / "b.png", std::vector<Rgb>(6, shared(1)));
  expect_png(folder_ / "target.png", {shared(0), shared(1), shared(2), shared(3), shared(4), shared(8)});
  expect_png(folder_ / "output-v_1.png", {shared(0), shared(1), shared(2.5), shared(8), shared(0), Rgb{128, 128, 128}});
  expect_png(folder_ / "error-v_1.png", {error(0), error(0), error(0.5), error(97), error(-104), Rgb{128, 128, 128}});
}

TEST_F(Images, LargeImagesAreAveragedInBlocks) {
  const auto image = image_of(2, 5, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  EXPECT_TRUE(averaged(image, 5).equal(image));
  EXPECT_TRUE(averaged(image, 3).equal(image_of(1, 3, {4, 6, 7.5})));  // of 2 x 2, the last of 2 x 1
  EXPECT_TRUE(averaged(image, 1).equal(image_of(1, 1, {5.5})));
}
}  // namespace
}  // namespace conv_mult
