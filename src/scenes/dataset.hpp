#pragma once

#include <ATen/core/Tensor.h>
#include <functional>
#include <optional>
#include "scenes/scene.hpp"

namespace conv_mult {
/// A scene in the form it is trained on. All have the layout [batch, channel, height, width] and the same loss,
/// sqrt(sum(count * (out - target)^2)), so one model and one trainer serve them. C channels: see Encode.
struct Dataset {
  DataForm form = DataForm::image;  ///< patches, image or literal, never automatic
  at::Tensor input;            // image: [S, C, H, W], to be zero-padded by K/2; patches: [P, C, K, K], padding included
  at::Tensor target;           // image: [S, 1, H, W]; patches: [P, 1, 1, 1]
  at::Tensor root_count = {};  // as target, square root of how often each occurs; undefined: once each

  // Patches: pixel (y, x) has the patch index[row_of[y]][column_of[x]]. A shortened image has no index, other images
  // none of the three. All int64.
  at::Tensor index = {};                   // [h, w]
  at::Tensor row_of = {}, column_of = {};  // [H], [W]

  /// Rows of the regression problem: distinct patches, or pixels.
  std::int64_t rows() const { return target.numel(); }

  /// How many pixels the rows stand for.
  double pixels() const;

  /// L2 norm of the target over the whole scene: the loss of an output that vanished.
  double target_norm() const;

  /// One value for each row of the problem, [rows], as the picture that they stand for: [H, W].
  at::Tensor picture(const at::Tensor& values) const;

  Dataset to(at::Device device) const;
};

/// The scene itself, in full. `image` and `literal` differ in who does the work: the literal form is the post's, with
/// LibTorch's own conv2d and autograd. Any other form is taken for `image`.
Dataset make_image_dataset(const Scene& scene, DataForm form, Encode encode = plain);

/// Images as one patch of K x K for each pixel, whether distinct or not; patches as they are.
Dataset unfolded(const Dataset& data, std::int64_t kernel_size);

/// Calls `use` with the receptive fields of one image or of patches, as patches, some 65,536 at a time.
void for_fields(const Dataset& data, std::int64_t kernel_size, const std::function<void(const Dataset&)>& use);

/// The distinct receptive fields of K x K pixels, in order of their first appearance, found by hashing their bytes in
/// one pass over the pixels, of runs over the shortened ones: time and memory do not depend on how long these are. None
/// where there are more than `limit`. The target must depend on the pixel's receptive field only, as a product does.
std::optional<Dataset> make_patch_dataset(const Scene& scene, std::int64_t kernel_size, std::int64_t limit,
                                          Encode encode = plain);

/// Patches if `form` is that, or `automatic` and they are fewer than a quarter of the pixels; else the image.
Dataset make_dataset(const Scene& scene, DataForm form, std::int64_t kernel_size, Encode encode = plain);

/// A scene with runs as a smaller image with counts, for networks of several layers: what any network makes of a pixel
/// is the same as long as it sees at most `reach` pixels in each direction.
Dataset make_shortened_dataset(const Scene& scene, std::int64_t reach);

/// The part of a dataset that begins with its n-th image or patch.
Dataset part_of(const Dataset& data, std::int64_t begin, std::int64_t size);
}  // namespace conv_mult
