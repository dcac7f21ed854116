#pragma once

#include <string>
#include <vector>

#include "conv_mult/config.hpp"

namespace conv_mult {

/// Scenes of one kind. A model's error on a split is that over all its scenes together: the L2 norm of all
/// errors, relative to the L2 norm of all targets.
struct SceneSplit {
  std::string name;
  std::vector<SceneConfig> scenes;
};

/// Does a model multiply, or does it know its two rectangles? `train`, the scene itself, and three splits of
/// `config.scenes` each, in which the rectangles keep their sizes:
///   moved:  the same values in other places: first a's place is drawn, of all inside the image, then b's, of
///           all where it overlaps a;
///   values: the same places, both values drawn uniformly from [low, high];
///   both:   other places and other values.
/// Drawn by the 64-bit Mersenne Twister from `config.seed`, each split from a stream of its own, so they are
/// the same on every machine, and more scenes begin with the fewer.
std::vector<SceneSplit> make_splits(const SceneConfig& train, const HeldOutConfig& config);

}  // namespace conv_mult
