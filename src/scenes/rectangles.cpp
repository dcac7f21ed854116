// Two filled rectangles. Does a model multiply, or does it know these two? Three splits keep their sizes:
//   moved:  in other places: first a's is drawn, of all inside the image, then b's, of all where it overlaps a;
//   values: the same places, both values drawn uniformly from --heldout-values;
//   both:   other places and other values.
// Each split has a stream of --heldout-seed: the same on every machine, and more scenes begin with the fewer.

#include <ATen/Functions.h>
#include "scenes/scene.hpp"

namespace conv_mult {
namespace {
/// Along one axis: where each run begins, which is where something begins or ends, int64 [h]; each pixel's run, [H].
std::pair<at::Tensor, at::Tensor> runs_along(std::int64_t length, std::set<std::int64_t> edges) {
  edges.insert(0);
  edges.erase(length);
  const auto begins = at::tensor(std::vector(edges.begin(), edges.end()), at::kLong);
  return {begins, at::searchsorted(begins, at::arange(length), false, true) - 1};
}

using Pair = std::pair<Rectangle, Rectangle>;  // a, b

void move(Pair& pair, const ImageSize& size, Random& random) {
  auto& [a, b] = pair;
  a.top = random.whole(0, size.height - a.height);
  a.left = random.whole(0, size.width - a.width);
  const auto overlapping = [&](std::int64_t begin, std::int64_t size_a, std::int64_t size_b, std::int64_t image) {
    return random.whole(std::max<std::int64_t>(0, begin - size_b + 1), std::min(image - size_b, begin + size_a - 1));
  };
  b.top = overlapping(a.top, a.height, b.height, size.height);
  b.left = overlapping(a.left, a.width, b.width, size.width);
}
}  // namespace

Scene make_rectangles(const ImageSize& size, const Rectangle& a, const Rectangle& b) {
  const auto [rows, row_of] = runs_along(size.height, {a.top, a.top + a.height, b.top, b.top + b.height});
  const auto [columns, column_of] = runs_along(size.width, {a.left, a.left + a.width, b.left, b.left + b.width});
  const auto image = [&, &tops = rows, &lefts = columns](const Rectangle& r) {
    const auto covered = (tops.ge(r.top) & tops.lt(r.top + r.height)).unsqueeze(1);  // runs of rows
    const auto mask = covered & lefts.ge(r.left) & lefts.lt(r.left + r.width);
    return at::zeros({1, 1, mask.size(0), mask.size(1)}, at::kDouble).masked_fill(mask, r.value);
  };
  return make_scene(image(a), image(b), row_of, column_of);
}

std::vector<SceneSource> rectangles(const Config& config) {
  const Pair train{config.rect_a, config.rect_b};
  const auto scene_of = [size = config.size](const Pair& p) { return make_rectangles(size, p.first, p.second); };
  SceneSource source{"rectangles", "", config.size.height, config.size.width, [=] { return scene_of(train); }};
  const auto add = [&](const char* name, const char* text, std::int64_t scenes, bool moved, bool values) {
    Random random(config.heldout_seed, static_cast<std::uint32_t>(source.splits.size()));
    std::vector<Pair> pairs(static_cast<std::size_t>(scenes), train);
    for (auto& pair : pairs) {
      if (moved) { move(pair, config.size, random); }
      if (values) {
        pair.first.value = random.between(config.heldout_values.low, config.heldout_values.high);
        pair.second.value = random.between(config.heldout_values.low, config.heldout_values.high);
      }
    }
    const auto draw = [=](std::int64_t i, std::int64_t) { return scene_of(pairs[static_cast<std::size_t>(i)]); };
    source.splits.push_back({name, text, scenes, draw});  // one at a time: each has runs of its own
  };
  add("train", "", 1, false, false);
  if (config.heldout_scenes > 0) {
    add("moved", "other places", config.heldout_scenes, true, false);
    add("values", "other values", config.heldout_scenes, false, true);
    add("both", "other places and values", config.heldout_scenes, true, true);
  }
  return {source};
}
}  // namespace conv_mult
