#pragma once

#include <ATen/TensorOperators.h>
#include <random>
#include "options/config.hpp"

namespace conv_mult {
/// Two images, or S pairs of them, and their element-wise (Hadamard) product, the target. Of equal rows or columns that
/// follow each other a scene may store one, so that a picture of rectangles has a few pixels whatever its size.
struct Scene {
  at::Tensor a, b, target;       // [S, 1, h, w]
  at::Tensor row_of, column_of;  // which of those stored each of the image is: int64 [H], [W]; or undefined
  bool own_target = false;       // the target is one of the user's in place of the product

  std::int64_t height() const { return has_runs() ? row_of.numel() : target.size(2); }
  std::int64_t width() const { return has_runs() ? column_of.numel() : target.size(3); }
  bool has_runs() const { return row_of.defined(); }
};

/// Any two images of one size, or S pairs of them.
Scene make_scene(const at::Tensor& a, const at::Tensor& b, const at::Tensor& row_of = {},
                 const at::Tensor& column_of = {});

/// The same in another type, in which a product is taken anew.
Scene cast(const Scene& scene, at::ScalarType dtype);

/// L2 norm of the target over all pixels of all pairs.
double target_norm(const Scene& scene);

/// The images in full.
Scene whole(const Scene& scene);

/// Of every run so many pixels beside each end and one for the rest: what sees `reach` pixels in each direction makes
/// of that the same as of those that it stands for. A scene without runs is as it is, with runs of 1.
Scene shortened(const Scene& scene, std::int64_t reach);

/// What the channels are that a model sees of a and b: [S, C, h, w]. All are zero-padded at the border.
using Encode = at::Tensor (*)(const Scene& scene);

/// a, b.
at::Tensor plain(const Scene& scene);

/// Numbers that are the same on every machine: the standard fixes those of the Mersenne Twister, not of distributions.
class Random {
 public:
  Random(std::int64_t seed, std::uint32_t stream) {
    std::seed_seq sequence{static_cast<std::uint32_t>(seed), stream};
    engine_.seed(sequence);
  }

  /// Uniform on [0, 1), a multiple of 2^-53.
  double unit() { return static_cast<double>(engine_() >> 11U) * 0x1p-53; }

  double between(double low, double high) { return low + unit() * (high - low); }

  /// One of low, ..., high.
  std::int64_t whole(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(unit() * static_cast<double>(high - low + 1));
  }

 private:
  std::mt19937_64 engine_;
};

/// A scene in the form it is trained on. All have the layout [batch, channel, height, width] and the same loss,
/// sqrt(sum(count * (out - target)^2)), so one model and one trainer serve them. C channels: see Encode.
struct Dataset {
  DataForm form = DataForm::image;  ///< patches, image or literal, never automatic
  at::Tensor input;            // image: [S, C, H, W], to be zero-padded by K/2; patches: [P, C, K, K], padding included
  at::Tensor target;           // image: [S, 1, H, W]; patches: [P, 1, 1, 1]
  at::Tensor root_count = {};  // as target, square root of how often each occurs; undefined: once each
  std::int64_t counted = 0;    // the sum of the counts, where there are some

  /// Rows of the regression problem: distinct patches, or pixels.
  std::int64_t rows() const { return target.numel(); }

  /// How many pixels the rows stand for.
  double pixels() const { return static_cast<double>(counted > 0 ? counted : rows()); }

  Dataset to(at::ScalarType dtype, at::Device device) const;
};

/// Whether it is one of these two.
inline bool is_image(DataForm form) { return form == DataForm::image || form == DataForm::literal; }

/// Images as one patch of K x K for each pixel, whether distinct or not; patches as they are.
Dataset unfolded(const Dataset& data, std::int64_t kernel_size);

/// Calls `use` with the receptive fields of one image or of patches, as patches, some 65,536 at a time.
void for_fields(const Dataset& data, std::int64_t kernel_size, const std::function<void(const Dataset&)>& use);

/// `patches`: the distinct receptive fields of K x K pixels and their targets, in order of their first appearance, in a
/// time that does not depend on how long runs are. `automatic`: these where they are fewer than a quarter of the pixels
/// and than 2^18, else the image. `image` and `literal`, the post's, with LibTorch's own operators: the scene in full.
Dataset make_dataset(const Scene& scene, DataForm form, std::int64_t kernel_size, Encode encode = plain);

/// The stored pixels of a scene with runs as an image with counts, for networks of several layers.
Dataset stored_image(const Scene& scene);

/// The part of a dataset that begins with its n-th image or patch.
Dataset part_of(const Dataset& data, std::int64_t begin, std::int64_t size);

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
  std::vector<Split> splits = {};           ///< that on which training ends first: `train`, unless there is a stream
  std::optional<double> success = 0.05;     ///< relative error on the first split; none: near-exact on `judged`
  std::size_t judged = 0;                   ///< the split that decides on success
  bool own_images = false;                  ///< the user's: what models make of them is theirs as numbers, too
  std::optional<double> affine_error = {};  ///< of the best affine function on the stream, mean squared
};

/// A kind of scenes as --scene names it, and what `config` asks for of it.
using SceneKind = std::pair<std::string, std::vector<SceneSource> (*)(const Config& config)>;

/// Every kind there is, in the order of --help and of the rows.
extern const std::vector<SceneKind> scene_kinds;

/// The sources of config.scenes, in their order. Throws UsageError where one cannot be what is asked for.
std::vector<SceneSource> sources_of(const Config& config);

/// Zeros with one filled rectangle each, in runs.
Scene make_rectangles(const ImageSize& size, const Rectangle& a, const Rectangle& b);

// The kinds, each in its file.
std::vector<SceneSource> rectangles(const Config& config);
std::vector<SceneSource> noise(const Config& config);
std::vector<SceneSource> files(const Config& config);

/// The image in a file of this content: PNG, JPEG, BMP or Netpbm's, grey or the luma of its colours, the range from
/// black to white spread over `scale`; or, as it is, an array of numpy.save or a tensor of torch.save, H x W or 1 x 1 x
/// H x W. float64 [1, 1, H, W]. Throws std::runtime_error: in one line what is wrong.
at::Tensor read_image(const std::string& content, const Interval& scale);
}  // namespace conv_mult
