#pragma once

#include <cstdint>
#include <random>

namespace conv_mult {
/// Numbers for scenes, from the 64-bit Mersenne Twister and the same on every machine: the standard fixes its numbers
/// but not those of its distributions. Streams of one seed are independent of each other.
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
}  // namespace conv_mult
