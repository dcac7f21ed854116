#pragma once
// The hot loop behind FusedLayer, on bare memory: compiled once for every vector instruction set.

#include <cstdint>

namespace conv_mult {

constexpr std::int64_t lanes = 16;  // replicas side by side: one AVX-512 vector of float32

template <typename Scalar>
struct Patches {
  const Scalar* input;       // [count, fields]
  const Scalar* target;      // [count]
  const Scalar* root_count;  // [count]
  std::int64_t count, fields;
};

/// Loss and gradient of the groups begin, ..., end - 1. Weights and gradient: [groups, fields + 1, lanes],
/// the bias last; losses: [groups, lanes]. All three are aligned to 64 bytes.
void fused_pass(bool exponential, const Patches<float>& patches, std::int64_t begin, std::int64_t end,
                const float* weights, float* gradient, float* losses);
void fused_pass(bool exponential, const Patches<double>& patches, std::int64_t begin, std::int64_t end,
                const double* weights, double* gradient, double* losses);

}  // namespace conv_mult
