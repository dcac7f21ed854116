#pragma once
// The hot loops behind FusedPatches and FusedImage, on bare memory: compiled once for every vector
// instruction set.

#include <cstdint>

#include "conv_mult/config.hpp"

namespace conv_mult {

constexpr std::int64_t lanes = 16;  // replicas side by side: one AVX-512 vector of float32

template <typename Scalar>
struct PatchData {
  const Scalar* input;       // [count, numbers]
  const Scalar* target;      // [count]
  const Scalar* root_count;  // [count]
  std::int64_t count;
  std::int64_t numbers;  // C K^2, channel by channel
  std::int64_t fields;   // 2 K^2
  std::int64_t rows;     // parameters of a replica
  Scalar mean_over;      // mse: the pixels, l2: 0
};

/// Loss and gradient of the groups begin, ..., end - 1, of any variant that is not deep. Weights and
/// gradient: [groups, rows, lanes]; losses: [groups, lanes]. All three are aligned to 64 bytes.
void patch_pass(Variant variant, const PatchData<float>& patches, std::int64_t begin, std::int64_t end,
                const float* weights, float* gradient, float* losses);
void patch_pass(Variant variant, const PatchData<double>& patches, std::int64_t begin, std::int64_t end,
                const double* weights, double* gradient, double* losses);

/// An image whose rows may be read some way beyond their end; see row_slack.
template <typename Scalar>
struct ImageData {
  const Scalar* input;   // [2, height + K - 1, stride], zero-padded
  const Scalar* target;  // [height, stride]
  std::int64_t height, width, stride, kernel_size;
};

constexpr std::int64_t row_slack = 64;  // stride >= width + K - 1 + row_slack

/// What the rows begin, ..., end - 1 add to the sums of one replica: the squared errors, then loss * gradient
/// for each weight and, last, the bias. Weights: [2 K^2 + 1], the bias last; sums: [1 + 2 K^2 + 1].
void image_pass(bool exponential, const ImageData<float>& image, std::int64_t begin, std::int64_t end,
                const float* weights, double* sums);
void image_pass(bool exponential, const ImageData<double>& image, std::int64_t begin, std::int64_t end,
                const double* weights, double* sums);

}  // namespace conv_mult
