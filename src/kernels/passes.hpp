#pragma once
// A fused pass over the data: loss and gradient of one unit on bare memory, compiled for every vector instruction set.

#include "util/standard.hpp"

namespace conv_mult {
constexpr std::int64_t lanes = 16;  // replicas side by side: one AVX-512 vector of float32

template <template <typename Scalar> class Function>
struct Pass {
  Function<float> in_float = nullptr;
  Function<double> in_double = nullptr;

  explicit operator bool() const { return in_float != nullptr; }

  template <typename Scalar>
  Function<Scalar> in() const {
    return std::get<Function<Scalar>>(std::pair(in_float, in_double));
  }
};

/// Of a network and its image. A layer's channels lie in planes of (height + K - 1) x (width + K - 1), borders of 0.
struct NetworkShape {
  std::int64_t height = 0, width = 0;
  std::int64_t kernel_size = 1, depth = 1, channels = 1;

  std::int64_t stride() const { return width + kernel_size - 1; }
  std::int64_t area() const { return (height + kernel_size - 1) * stride(); }
  std::int64_t widest() const { return std::max<std::int64_t>(channels, 2); }
  /// Of so many channels.
  static std::int64_t planes(std::int64_t channels, std::int64_t in_plane) {
    return (channels + in_plane - 1) / in_plane;
  }
  /// Of every layer's input, of the output and twice of the widest layer.
  std::int64_t all_planes(std::int64_t in_plane) const {
    return planes(2, in_plane) + (depth - 1) * planes(channels, in_plane) + 1 + 2 * planes(widest(), in_plane);
  }
};

/// Patches, or the pixels of an image that a network sees.
template <typename Scalar>
struct PatchData {
  const Scalar* input;       // [count, numbers]; an image: [2, height, width]
  const Scalar* target;      // [count]
  const Scalar* root_count;  // [count]
  std::int64_t count;
  std::int64_t numbers;   // C K^2, channel by channel
  std::int64_t fields;    // 2 K^2
  std::int64_t rows;      // parameters of a replica
  std::int64_t replicas;  // in all groups
  Scalar mean_over;       // mse: the pixels, l2: 0
  NetworkShape shape = {};
  bool losses_only = false;  // no gradient
};

/// Loss and gradient of all replicas. Weights, gradient: [groups, rows, lanes]; losses: [groups, lanes]; at 64 bytes.
template <typename Scalar>
using PatchFunction = void (*)(const PatchData<Scalar>& patches, const Scalar* weights, Scalar* gradient,
                               Scalar* losses);

using PatchPass = Pass<PatchFunction>;

/// An image whose rows may be read some way beyond their end; see row_slack.
template <typename Scalar>
struct ImageData {
  const Scalar* input;   // [2, height + K - 1, stride], zero-padded
  const Scalar* target;  // [height, stride]
  std::int64_t height, width, stride, kernel_size;
  std::int64_t numbers;  // parameters of a replica
};

constexpr std::int64_t row_slack = 64;  // stride >= width + K - 1 + row_slack

/// What the rows begin, ..., end - 1 add to the sums of one replica: the squared errors, then loss * gradient for each
/// of its P weights. Weights: [P]; sums: [1 + P].
template <typename Scalar>
using ImageFunction = void (*)(const ImageData<Scalar>& image, std::int64_t begin, std::int64_t end,
                               const Scalar* weights, double* sums);

using ImagePass = Pass<ImageFunction>;

/// What a step of torch::optim does to each number: weight = kept * weight - rate * mean / (sqrt(square) /
/// root_correction + 1e-8), where mean and square are decaying averages of gradients and their squares.
struct OptimizerStep {
  double rate = 0;
  double kept = 1;
  double mean_decay = 0;    ///< 0: the mean is the gradient
  double square_decay = 0;  ///< 0: it is not divided
  double root_correction = 1;
};

/// `count` is a multiple of `lanes`; all are aligned to 64 bytes.
template <typename Scalar>
using UpdateFunction = void (*)(const OptimizerStep& step, std::int64_t count, Scalar* weights, const Scalar* gradient,
                                Scalar* mean, Scalar* square);

using UpdatePass = Pass<UpdateFunction>;
extern const UpdatePass optimizer_pass;
}  // namespace conv_mult

/// Under HWY_ONCE: `name`_pass, that of name() for the best instruction set, which each call picks anew.
#define CONV_MULT_EXPORT_PASS(Type, name)                                                                           \
  HWY_EXPORT(name);                                                                                                 \
  constexpr Type name##_pass{[](auto... arguments) { return HWY_DYNAMIC_DISPATCH(name)().in_float(arguments...); }, \
                             [](auto... arguments) { return HWY_DYNAMIC_DISPATCH(name)().in_double(arguments...); }};
