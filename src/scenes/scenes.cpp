#include <algorithm>
#include <utility>
#include "scenes/scene.hpp"

namespace conv_mult {
const std::vector<SceneKind> scene_kinds{{"rectangles", rectangles}, {"noise", noise}};

std::vector<SceneSource> sources_of(const Config& config) {
  std::vector<SceneSource> sources;
  for (const auto& kind : scene_kinds) {
    if (std::find(config.scenes.begin(), config.scenes.end(), kind.name) == config.scenes.end()) { continue; }
    for (auto& source : kind.sources(config)) {
      if (config.resample && !source.stream) {
        throw UsageError("--resample: " + source.name + " cannot be drawn anew; allowed: only with --scene noise");
      }
      sources.push_back(std::move(source));
    }
  }
  return sources;
}
}  // namespace conv_mult
