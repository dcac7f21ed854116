// Every pixel of both images drawn uniformly from a range. Splits: `train`, the scene itself, unless it is drawn anew
// at every step; `inside`, others from the same range; `outside`, some from the test range.

#include <ATen/Functions.h>
#include "options/text.hpp"
#include "scenes/scene.hpp"

namespace conv_mult {
namespace {
enum Stream : std::uint32_t { training, inside, outside };

std::string text_of(const std::vector<Interval>& ranges) {
  std::string text;
  for (const auto& [low, high] : ranges) { text += fmt::format("{}{} to {}", text.empty() ? "" : " and ", low, high); }
  return text;
}

/// Draws so many pairs at each call: first a, then b of each, every pixel uniform on the union of the ranges.
std::function<Scene()> noise_of(const std::vector<Interval>& ranges, std::int64_t pairs, const ImageSize& size,
                                std::int64_t seed, Stream stream) {
  return [=, random = std::make_shared<Random>(seed, stream)] {
    double total = 0;
    for (const auto& [low, high] : ranges) { total += high - low; }
    auto images = at::empty({pairs, 2, size.height, size.width}, at::kDouble);
    std::generate_n(images.data_ptr<double>(), images.numel(), [&] {
      double along = random->between(0, total);
      auto part = ranges.begin();
      for (; part + 1 != ranges.end() && along >= part->high - part->low; ++part) { along -= part->high - part->low; }
      return part->low + along;
    });
    return make_scene(images.narrow(1, 0, 1), images.narrow(1, 1, 1));
  };
}

SceneSource source_of(const Config& config, const Interval& range, const std::vector<Interval>& test_range) {
  const auto train = [=] { return noise_of({range}, 1, config.size, config.scene_seed, training)(); };
  SceneSource source{"noise " + text_of({range}), text_of(test_range), config.size.height, config.size.width, train};
  const auto add = [&](const char* name, const char* text, const std::vector<Interval>& ranges, Stream stream) {
    const auto draw_all = noise_of(ranges, config.heldout_scenes, config.size, config.heldout_seed, stream);
    const auto all = std::async(std::launch::deferred, draw_all).share();  // once one is asked for
    source.splits.push_back({name, text, config.heldout_scenes, [all](std::int64_t first, std::int64_t count) {
                               const auto scenes = std::shared_future(all).get();
                               return make_scene(scenes.a.slice(0, first, first + count),
                                                 scenes.b.slice(0, first, first + count));
                             }});
  };
  if (config.resample) {
    const auto together = std::clamp<std::int64_t>(65536 / (config.size.height * config.size.width), 1, 64);
    source.stream = [=] { return noise_of({range}, together, config.size, config.scene_seed, training); };
    source.affine_error = std::pow(range.high - range.low, 4) / 144;  // of a b on a square of this width
  } else {
    source.splits.push_back({"train", "", 1, [=](std::int64_t /*first*/, std::int64_t /*count*/) { return train(); }});
  }
  add("inside", "other scenes", {range}, inside);
  add("outside", "the test range", test_range, outside);
  source.judged = source.splits.size() - 1;
  source.success = std::nullopt;
  return source;
}
}  // namespace

std::vector<SceneSource> noise(const Config& config) {
  refuse_if(config.heldout_scenes == 0,
            "--heldout-scenes: 0 leaves nothing to judge noise by; allowed: at least 1 with it");
  std::vector<SceneSource> sources;
  for (std::size_t i = 0; i < config.ranges.size(); ++i) {
    sources.push_back(source_of(config, config.ranges[i], config.test_ranges[i]));
  }
  return sources;
}
}  // namespace conv_mult
