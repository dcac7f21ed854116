#include "conv_mult/data/heldout.hpp"

#include <algorithm>

#include "conv_mult/data/random.hpp"

namespace conv_mult {
namespace {

void move(SceneConfig& scene, Random& random) {
  auto& [top_a, left_a, height_a, width_a, value_a] = scene.a;
  auto& [top_b, left_b, height_b, width_b, value_b] = scene.b;
  top_a = random.whole(0, scene.height - height_a);
  left_a = random.whole(0, scene.width - width_a);
  const auto overlapping = [&](std::int64_t begin, std::int64_t size_a, std::int64_t size_b,
                               std::int64_t image) {
    return random.whole(std::max<std::int64_t>(0, begin - size_b + 1),
                        std::min(image - size_b, begin + size_a - 1));
  };
  top_b = overlapping(top_a, height_a, height_b, scene.height);
  left_b = overlapping(left_a, width_a, width_b, scene.width);
}

}  // namespace

std::vector<SceneSplit> make_splits(const SceneConfig& train, const HeldOutConfig& config) {
  std::vector<SceneSplit> splits{{"train", {train}}};
  if (config.scenes == 0) {
    return splits;
  }
  const auto draw = [&](const std::string& name, bool moved, bool values) {
    Random random(config.seed, static_cast<std::uint32_t>(splits.size()));
    SceneSplit split{name, {}};
    for (std::int64_t i = 0; i < config.scenes; ++i) {
      SceneConfig scene = train;
      if (moved) {
        move(scene, random);
      }
      if (values) {
        scene.a.value = random.between(config.low, config.high);
        scene.b.value = random.between(config.low, config.high);
      }
      split.scenes.push_back(scene);
    }
    splits.push_back(std::move(split));
  };
  draw("moved", true, false);
  draw("values", false, true);
  draw("both", true, true);
  return splits;
}

}  // namespace conv_mult
