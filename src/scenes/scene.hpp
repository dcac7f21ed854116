#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>
#include "options/config.hpp"

namespace conv_mult {
/// Two images, or S pairs of them, and their element-wise (Hadamard) product, the target. Of equal rows or columns that
/// follow each other a scene may store one, so that a picture of rectangles has a few pixels whatever its size.
struct Scene {
  at::Tensor a, b, target;       // [S, 1, h, w]
  at::Tensor row_of, column_of;  // which of those stored each of the image is: int64 [H], [W]; or undefined

  std::int64_t height() const { return has_runs() ? row_of.numel() : target.size(2); }
  std::int64_t width() const { return has_runs() ? column_of.numel() : target.size(3); }
  bool has_runs() const { return row_of.defined(); }
};

/// Any two images of one size, or S pairs of them.
Scene make_scene(const at::Tensor& a, const at::Tensor& b, const at::Tensor& row_of = {},
                 const at::Tensor& column_of = {});

/// The same in another type, in which the product is taken anew.
Scene cast(const Scene& scene, at::ScalarType dtype);

/// Of a scene with runs, how many pixels each stored one stands for: int64 [h, w].
at::Tensor pixel_counts(const Scene& scene);

/// L2 norm of the target over all pixels of all pairs.
double target_norm(const Scene& scene);

/// For what sees `reach` pixels in each direction: of every run so many pixels beside each end and one that stands for
/// the rest are stored. A scene without runs is as it is, with runs of 1.
Scene shortened(const Scene& scene, std::int64_t reach);

/// The images in full.
Scene whole(const Scene& scene);

/// What the channels are that a model sees of a and b: [S, C, h, w]. All are zero-padded at the border.
using Encode = at::Tensor (*)(const Scene& scene);

/// a, b.
at::Tensor plain(const Scene& scene);

/// Scenes that a model's error is taken on, all together: the L2 norm of all errors, relative to that of all targets.
struct Split {
  std::string name, text;  ///< text: what is in it, for readers
  std::int64_t scenes = 1;
  /// At most `count` and at least one of them from the `first` on, in float64.
  std::function<Scene(std::int64_t first, std::int64_t count)> draw;
};

/// Where the scenes of an experiment come from.
struct SceneSource {
  std::string name;       ///< "rectangles", "noise 1 to 2"
  std::string tested_on;  ///< "2 to 4": what the last split is drawn from, where that is a range
  std::int64_t height = 0, width = 0;
  std::function<Scene()> train;  ///< what is trained on and shown in pictures
  /// Makes a stream of other scenes like it, several at a time, where there is a new one for each step.
  std::function<std::function<Scene()>()> stream = {};
  std::vector<Split> splits = {};        ///< that on which training ends first: `train`, unless there is a stream
  std::optional<double> success = 0.05;  ///< relative error on the first split; none: near-exact on `judged`
  std::size_t judged = 0;
  std::optional<double> affine_error = {};  ///< of the best affine function on the stream, mean squared
};

/// A kind of scenes as --scene names it, and what `config` asks for of it.
struct SceneKind {
  const char* name;
  std::vector<SceneSource> (*sources)(const Config& config);
};

/// Every kind there is, in the order of --help and of the rows.
extern const std::vector<SceneKind> scene_kinds;

/// The sources of config.scenes, in their order. Throws UsageError where one cannot be what is asked for.
std::vector<SceneSource> sources_of(const Config& config);

/// Zeros with one filled rectangle each, in runs.
Scene make_rectangles(std::int64_t height, std::int64_t width, const Rectangle& a, const Rectangle& b);

// The kinds, each in its file.
std::vector<SceneSource> rectangles(const Config& config);
std::vector<SceneSource> noise(const Config& config);
}  // namespace conv_mult
