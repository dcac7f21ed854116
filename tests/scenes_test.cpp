#include <gtest/gtest.h>
#include <torch/types.h>
#include "scenes/scene.hpp"

namespace conv_mult {
namespace {
TEST(Scenes, RectanglesAreWhereTheyBelong) {
  const auto scene = whole(make_rectangles({3, 4}, {0, 1, 2, 2, 3}, {1, 2, 2, 2, -2}));
  const std::vector<double> pixels{0, 3, 3, 0, 0, 3, 3,  0,  0, 0, 0,  0,   // a
                                   0, 0, 0, 0, 0, 0, -2, -2, 0, 0, -2, -2,  // b
                                   0, 0, 0, 0, 0, 0, -6, 0,  0, 0, 0,  0};  // target
  const auto expected = torch::tensor(pixels, at::kDouble).view({1, 3, 3, 4});
  EXPECT_TRUE(torch::equal(at::cat({plain(scene), scene.target}, 1), expected));
}

/// Where the filled rectangle of an image [1, 1, H, W] is, and its value.
Rectangle rectangle_in(const at::Tensor& image) {
  const auto filled = image[0][0].nonzero();
  const auto place = at::cat({filled.amin(0), filled.amax(0) - filled.amin(0) + 1});
  const auto* const p = place.data_ptr<std::int64_t>();
  EXPECT_EQ(filled.size(0), p[2] * p[3]);
  return {p[0], p[1], p[2], p[3], image.sum().div(filled.size(0)).item<double>()};
}

/// The rectangles a and b of each scene of a split.
std::vector<std::pair<Rectangle, Rectangle>> pairs_of(const Split& split) {
  std::vector<std::pair<Rectangle, Rectangle>> pairs;
  for (std::int64_t i = 0; i < split.scenes; ++i) {
    const auto scene = whole(split.draw(i, 1));
    pairs.emplace_back(rectangle_in(scene.a), rectangle_in(scene.b));
  }
  return pairs;
}

using Place = std::pair<std::int64_t, std::int64_t>;

std::vector<Split> splits_of(const Config& config) { return sources_of(config).at(0).splits; }

TEST(Scenes, EachSplitOfRectanglesChangesWhatItsNameSays) {
  Config config;
  config.size = {12, 9};
  config.rect_a = {0, 0, 12, 2, 1};  // as tall as the image
  config.rect_b = {0, 0, 3, 3, 2};
  config.heldout_scenes = 1000;
  config.heldout_seed = 7;
  config.heldout_values = {-1, 1};
  const auto splits = splits_of(config);
  ASSERT_EQ(splits.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    SCOPED_TRACE(splits[i].name);
    EXPECT_EQ(splits[i].name, (std::array{"train", "moved", "values", "both"}[i]));
    ASSERT_EQ(splits[i].scenes, i == 0 ? 1 : 1000);
    std::set<Place> places_of_a, places_of_b;
    std::set<double> values;
    for (const auto& [a, b] : pairs_of(splits[i])) {
      EXPECT_EQ(std::tuple(a.height, a.width, b.height, b.width), std::tuple(12, 2, 3, 3));
      EXPECT_TRUE(a.left < b.left + 3 && b.left < a.left + 2);  // they overlap
      EXPECT_TRUE(i >= 2 || std::pair(a.value, b.value) == std::pair(1.0, 2.0));
      places_of_a.insert({a.top, a.left});
      places_of_b.insert({b.top, b.left});
      values.insert({a.value, b.value});
    }
    const bool moved = i == 1 || i == 3;
    EXPECT_EQ(places_of_a.size(), moved ? 8U : 1U);  // all there are
    EXPECT_EQ(places_of_b.size(), moved ? 10U * 7U : 1U);
    EXPECT_EQ(*places_of_a.begin(), Place(0, 0));
    EXPECT_EQ(*places_of_b.begin(), Place(0, 0));
    if (i < 2) { continue; }
    EXPECT_EQ(values.size(), 2000U);
    EXPECT_TRUE(*values.begin() >= -1 && *values.rbegin() <= 1);
    // Of 2000 uniform numbers on [-1, 1] the mean has a deviation of 0.013.
    EXPECT_NEAR(std::accumulate(values.begin(), values.end(), 0.0) / 2000, 0, 4 * 0.013);
  }
  config.heldout_scenes = 0;
  EXPECT_EQ(splits_of(config).size(), 1U);
}

Config noise_config(std::int64_t scenes) {
  Config config;
  config.scenes = {"noise"};
  config.size = {100, 200};
  config.ranges = {{5, 6}};
  config.test_ranges = {{{-6, -2}, {2, 3}}};
  config.heldout_scenes = scenes;
  config.heldout_seed = 3;
  return config;
}

TEST(Scenes, NoiseIsUniformOnItsRanges) {
  const auto splits = splits_of(noise_config(2));
  ASSERT_EQ(splits.size(), 3U);
  const auto scene = splits[2].draw(0, 2);
  EXPECT_EQ(scene.a.sizes(), (at::IntArrayRef{2, 1, 100, 200}));
  EXPECT_TRUE(torch::equal(scene.target, scene.a * scene.b));
  for (const auto& image : {scene.a, scene.b}) {
    EXPECT_TRUE((((image >= -6) & (image < -2)) | ((image >= 2) & (image < 3))).all().item<bool>());
    // 40,000 draws: a share of 4/5 has a deviation of 0.002, the mean of the lower range one of 0.0065.
    const auto lower = image.masked_select(image < 0);
    EXPECT_NEAR(static_cast<double>(lower.numel()) / 40000, 0.8, 0.008);
    EXPECT_NEAR(lower.mean().item<double>(), -4, 0.026);
  }
  // Independent: the product of the means, (-4 * 4 + 2.5) / 5 each.
  EXPECT_NEAR(scene.target.mean().item<double>(), 2.7 * 2.7, 0.2);
  const auto inside = splits[1].draw(0, 2);
  EXPECT_TRUE(((inside.b >= 5) & (inside.b < 6)).all().item<bool>());
  EXPECT_FALSE(torch::equal(inside.b[0], inside.b[1]));
  EXPECT_FALSE(torch::equal(inside.b[0], splits[0].draw(0, 1).b[0]));
}

TEST(Scenes, MoreScenesBeginWithTheFewer) {
  for (auto config : {Config(), noise_config(3)}) {
    const auto targets = [&](std::int64_t scenes, std::int64_t seed) {  // of the third in each split
      config.heldout_scenes = scenes;
      config.heldout_seed = seed;
      std::vector<at::Tensor> third;
      for (const auto& split : splits_of(config)) {
        third.push_back(whole(split.draw(split.name == "train" ? 0 : 2, 1)).target);
      }
      return at::cat(third);
    };
    EXPECT_TRUE(torch::equal(targets(3, 1), targets(8, 1)));
    EXPECT_FALSE(torch::equal(targets(3, 1), targets(3, 2)));
  }
}

// The C++ standard fixes std::seed_seq and std::mt19937_64 ([rand.util.seedseq], [rand.eng.mers]). These numbers come
// from an implementation of its formulas in Python, so they hold on any machine.
TEST(Scenes, HeldOutScenesAreTheSameEverywhere) {
  const auto splits = splits_of({});
  const auto [a, b] = pairs_of(splits[1])[0];
  EXPECT_EQ(std::tuple(a.top, a.left, b.top, b.left), std::tuple(29, 21, 6, 40));
  EXPECT_EQ(splits[2].draw(0, 1).a.max().item<double>(), 1.3894216628647857);
  EXPECT_EQ(splits[2].draw(0, 1).b.max().item<double>(), 0.6658676787817184);
}

TEST(Scenes, SourcesAreInTheOrderOfTheirKinds) {
  auto config = noise_config(1);
  config.scenes = {"noise", "rectangles"};
  config.ranges = {{-2, 2}, {5, 6}};
  config.test_ranges.push_back({{7, 8}});
  std::string names;
  for (const auto& source : sources_of(config)) { names += source.name + '\n'; }
  EXPECT_EQ(names, "rectangles\nnoise -2 to 2\nnoise 5 to 6\n");
  EXPECT_THROW(sources_of(noise_config(0)), UsageError);
}
}  // namespace
}  // namespace conv_mult
