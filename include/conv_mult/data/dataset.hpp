#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "conv_mult/config.hpp"
#include "conv_mult/data/scene.hpp"

namespace conv_mult {

/// A scene in the form it is trained on. Both forms have the layout [batch, channel, height, width] and the
/// same loss, sqrt(sum(count * (out - target)^2)), so one model and one trainer serve both.
struct Dataset {
  DataForm form = DataForm::image;  ///< patches, image or literal, never automatic
  at::Tensor input;  // image: [1, 2, H, W], to be zero-padded by K/2; patches: [P, 2, K, K], padding included
  at::Tensor target;      // image: [1, 1, H, W];                            patches: [P, 1, 1, 1]
  at::Tensor root_count;  // patches: [P, 1, 1, 1], square root of how often each occurs; image: undefined

  // Patches: pixel (y, x) has the patch index[row_of[y]][column_of[x]]. All int64; image: undefined.
  at::Tensor index;      // [h, w]
  at::Tensor row_of;     // [H]
  at::Tensor column_of;  // [W]

  /// Rows of the regression problem: distinct patches, or pixels.
  std::int64_t rows() const { return target.numel(); }

  /// L2 norm of the target over the whole scene: the loss of an output that vanished.
  double target_norm() const;

  /// One value for each row of the problem, [rows], as the picture that they stand for: [H, W].
  at::Tensor picture(const at::Tensor& values) const;

  Dataset to(at::Device device) const;
};

/// The scene itself. `image` and `literal` differ in who does the work: the literal form is the post's, with
/// LibTorch's own conv2d and autograd. Any other form is taken for `image`.
Dataset make_image_dataset(const Scene& scene, DataForm form);

/// The distinct receptive fields of K x K pixels of both channels (zero-padded at the border), in order of
/// their first appearance, found by hashing in one pass over the pixels. Values are compared bit by bit. None
/// where there are more than `limit`. `scene.target` must depend on the pixel's receptive field only, as a
/// product does.
std::optional<Dataset> make_patch_dataset(const Scene& scene, std::int64_t kernel_size, std::int64_t limit);

/// `automatic` takes patches where they are fewer than a quarter of the pixels.
Dataset make_dataset(const Scene& scene, DataForm form, std::int64_t kernel_size);

/// The same of make_rectangles(config, dtype), without making the images where patches are taken: rows and
/// columns far from every edge have the same receptive fields, so one of each run of them is enough. Time and
/// memory do not depend on the size of the image.
Dataset make_dataset(const SceneConfig& config, at::ScalarType dtype, DataForm form,
                     std::int64_t kernel_size);

}  // namespace conv_mult
