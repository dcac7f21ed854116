#include "conv_mult/data/heldout.hpp"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

namespace conv_mult {
namespace {

using Place = std::tuple<std::int64_t, std::int64_t>;

Place place_of(const Rectangle& r) { return {r.top, r.left}; }

TEST(HeldOut, EachSplitChangesWhatItsNameSays) {
  const SceneConfig train;
  const auto splits = make_splits(train, {50, 1, 0.5, 4});
  ASSERT_EQ(splits.size(), 4U);
  EXPECT_EQ(splits[0].name, "train");
  EXPECT_EQ(splits[0].scenes.size(), 1U);
  EXPECT_EQ(splits[1].name, "moved");
  EXPECT_EQ(splits[2].name, "values");
  EXPECT_EQ(splits[3].name, "both");
  for (std::size_t i = 1; i < 4; ++i) {
    ASSERT_EQ(splits[i].scenes.size(), 50U);
    std::set<std::tuple<Place, Place>> places;
    std::set<double> values;
    for (const auto& scene : splits[i].scenes) {
      places.insert({place_of(scene.a), place_of(scene.b)});
      values.insert({scene.a.value, scene.b.value});
    }
    EXPECT_EQ(places.size(), i == 2 ? 1U : 50U) << splits[i].name;
    EXPECT_EQ(values.size(), i == 1 ? 2U : 100U) << splits[i].name;
  }
  EXPECT_EQ(splits[1].scenes[0].a.value, train.a.value);
  EXPECT_EQ(place_of(splits[2].scenes[0].b), place_of(train.b));
}

TEST(HeldOut, RectanglesKeepTheirSizeOverlapAndStayInside) {
  SceneConfig train;
  train.height = 12;
  train.width = 9;
  train.a = {0, 0, 12, 2, 1};  // as tall as the image
  train.b = {0, 0, 3, 3, 2};
  std::set<Place> places;
  for (const auto& split : make_splits(train, {1000, 7, -1, 1})) {
    for (const auto& scene : split.scenes) {
      EXPECT_EQ(scene.a.height, 12);
      EXPECT_EQ(scene.b.width, 3);
      EXPECT_TRUE(overlap(scene.a, scene.b));
      for (const auto& r : {scene.a, scene.b}) {
        EXPECT_TRUE(r.top >= 0 && r.left >= 0 && r.top + r.height <= 12 && r.left + r.width <= 9);
        EXPECT_TRUE(split.name == "train" || split.name == "moved" || (r.value >= -1 && r.value < 1));
      }
      places.insert(place_of(scene.b));
    }
  }
  EXPECT_EQ(places.size(), 10U * 7U);  // every place of b comes up
}

TEST(HeldOut, ValuesFillTheirRange) {
  double sum = 0;
  const auto splits = make_splits(SceneConfig{}, {1000, 3, 10, 20});
  for (const auto& scene : splits[2].scenes) {
    sum += scene.a.value + scene.b.value;
  }
  // Mean of 2000 uniform numbers on [10, 20]: 15 with a standard error of 10 / sqrt(12 * 2000) = 0.065.
  EXPECT_NEAR(sum / 2000, 15, 4 * 0.065);
}

TEST(HeldOut, MoreScenesBeginWithTheFewer) {
  const auto few = make_splits(SceneConfig{}, {3, 1, 0.5, 4});
  const auto many = make_splits(SceneConfig{}, {8, 1, 0.5, 4});
  const auto other = make_splits(SceneConfig{}, {3, 2, 0.5, 4});
  for (std::size_t split = 1; split < 4; ++split) {
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(place_of(few[split].scenes[i].a), place_of(many[split].scenes[i].a));
      EXPECT_EQ(few[split].scenes[i].b.value, many[split].scenes[i].b.value);
    }
  }
  EXPECT_NE(place_of(few[1].scenes[0].a), place_of(other[1].scenes[0].a));
  EXPECT_EQ(make_splits(SceneConfig{}, {0, 1, 0.5, 4}).size(), 1U);
}

// The C++ standard fixes std::seed_seq and std::mt19937_64 ([rand.util.seedseq], [rand.eng.mers]). These
// numbers come from an implementation of its formulas in Python, so they hold on any machine.
TEST(HeldOut, ScenesAreTheSameEverywhere) {
  const auto splits = make_splits(SceneConfig{}, {1, 1, 0.5, 4});
  EXPECT_EQ(place_of(splits[1].scenes[0].a), Place(29, 21));
  EXPECT_EQ(place_of(splits[1].scenes[0].b), Place(6, 40));
  EXPECT_EQ(splits[2].scenes[0].a.value, 1.3894216628647857);
  EXPECT_EQ(splits[2].scenes[0].b.value, 0.6658676787817184);
}

}  // namespace
}  // namespace conv_mult
