// Networks of several convolutions: the post's closing claims (i) and (ii).

#include "variants/common.hpp"
#define HWY_TARGET_INCLUDE "variants/network.cpp"
#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {
/// Where things lie in the planes of a shape.
struct Planes {
  NetworkShape shape;
  std::int64_t lanes_of_vector;

  /// Where the vector of a pixel begins; row and column count from the border's corner.
  std::int64_t at(std::int64_t plane, std::int64_t row, std::int64_t column) const {
    return (plane * shape.area() + row * shape.stride() + column) * lanes_of_vector;
  }
  std::int64_t inner(std::int64_t plane, std::int64_t y, std::int64_t x) const {
    return at(plane, y + shape.kernel_size / 2, x + shape.kernel_size / 2);
  }
  std::int64_t channels(std::int64_t layer) const { return layer == 0 ? 2 : layer == shape.depth ? 1 : shape.channels; }
};

/// output[o][y][x] = finish(o, its place, sum over i, r, c of w[o by_out + i by_in + (r K + c) by_tap] input[i][y +
/// r][x + c]), so many inputs at a time that weights and rows stay in the first cache.
template <typename Scalar, class D, class Finish, class V = hn::Vec<D>>
HWY_INLINE void convolve(D d, const Planes& planes, std::int64_t ins, std::int64_t outs, const Scalar* input,
                         Scalar* output, const Scalar* w, std::int64_t by_out, std::int64_t by_in, std::int64_t by_tap,
                         const Finish& finish) {
  constexpr std::int64_t together = 8;
  const std::int64_t k = planes.shape.kernel_size;
  for (std::int64_t first = 0; first < ins; first += together) {
    const auto end = std::min(first + together, ins);
    for_tiles<2>(outs, [&](std::int64_t o, auto out_tile) HWY_ATTR {
      for (std::int64_t y = 0; y < planes.shape.height; ++y) {
        for_tiles<4>(planes.shape.width, [&](std::int64_t x, auto pixel_tile) HWY_ATTR {
          constexpr std::int64_t pixels = pixel_tile;
          constexpr std::int64_t size = out_tile * pixels;
          const auto place = [&](std::int64_t n) { return planes.inner(o + n / pixels, y, x + n % pixels); };
          V sums[size];
          for (std::int64_t n = 0; n < size; ++n) {
            sums[n] = first == 0 ? hn::Zero(d) : hn::Load(d, output + place(n));
          }
          for (std::int64_t row = first * k; row < end * k; ++row) {
            const Scalar* values = input + planes.at(row / k, y + row % k, x);
            const Scalar* weight = w + (o * by_out + row / k * by_in + row % k * k * by_tap) * lanes;
            for (std::int64_t t = 0; t < k; ++t, values += planes.lanes_of_vector, weight += by_tap * lanes) {
              for (std::int64_t n = 0; n < size; ++n) {
                const V value = hn::Load(d, values + n % pixels * planes.lanes_of_vector);
                sums[n] = hn::MulAdd(hn::Load(d, weight + n / pixels * by_out * lanes), value, sums[n]);
              }
            }
          }
          for (std::int64_t n = 0; n < size; ++n) {
            hn::Store(end == ins ? finish(o + n / pixels, place(n), sums[n]) : sums[n], d, output + place(n));
          }
        });
      }
    });
  }
}

/// gradient[o][i][r][c] = sum over y, x of slopes[o][y][x] input[i][y + r][x + c]; after them, for each o, the slopes'.
template <typename Scalar, class D, class V = hn::Vec<D>>
HWY_INLINE void correlate(D d, const Planes& planes, std::int64_t ins, std::int64_t outs, const Scalar* input,
                          const Scalar* slopes, Scalar* gradient) {
  const std::int64_t k = planes.shape.kernel_size;
  const std::int64_t height = planes.shape.height;
  const std::int64_t width = planes.shape.width;
  for_tiles<2>(outs, [&](std::int64_t o, auto out_tile) HWY_ATTR {
    for (std::int64_t row = 0; row < ins * k; ++row) {
      for_tiles<3>(k, [&](std::int64_t column, auto tap_tile) HWY_ATTR {
        constexpr std::int64_t taps = tap_tile;
        constexpr std::int64_t size = out_tile * taps;
        V totals[size] = {};
        for (std::int64_t y = 0; y < height; ++y) {  // row by row: float32 would lose digits on a million pixels
          V sums[size] = {};
          const Scalar* values = input + planes.at(row / k, y + row % k, column);
          for (std::int64_t x = 0; x < width; ++x, values += planes.lanes_of_vector) {
            for (std::int64_t n = 0; n < size; ++n) {
              const V slope = hn::Load(d, slopes + planes.inner(o + n / taps, y, x));
              sums[n] = hn::MulAdd(slope, hn::Load(d, values + n % taps * planes.lanes_of_vector), sums[n]);
            }
          }
          for (std::int64_t n = 0; n < size; ++n) { totals[n] = hn::Add(totals[n], sums[n]); }
        }
        for (std::int64_t n = 0; n < size; ++n) {
          hn::Store(totals[n], d, gradient + (((o + n / taps) * ins * k + row) * k + column + n % taps) * lanes);
        }
      });
    }
  });
  for (std::int64_t o = 0; o < outs; ++o) {
    V total = hn::Zero(d);
    for (std::int64_t y = 0; y < height; ++y) {
      V sum = hn::Zero(d);
      for (std::int64_t x = 0; x < width; ++x) { sum = hn::Add(sum, hn::Load(d, slopes + planes.inner(o, y, x))); }
      total = hn::Add(total, sum);
    }
    hn::Store(total, d, gradient + (outs * ins * k * k + o) * lanes);
  }
}

/// Layer by layer forwards, then backwards.
template <bool exponential, typename Scalar, class D, class V = hn::Vec<D>>
V network_lanes(D d, const PatchData<Scalar>& data, const Scalar* HWY_RESTRICT weights, Scalar* HWY_RESTRICT gradient,
                Scalar* HWY_RESTRICT scratch) {
  const Planes planes{data.shape, static_cast<std::int64_t>(hn::Lanes(d))};
  const auto [height, width, kernel_size, depth, channels] = data.shape;
  const std::int64_t taps = kernel_size * kernel_size;
  for (std::int64_t i = 0; i < 2 * data.count; ++i) {
    const auto pixel = i % data.count;
    hn::Store(hn::Set(d, data.input[i]), d, scratch + planes.inner(i / data.count, pixel / width, pixel % width));
  }
  Scalar* input = scratch;
  for (std::int64_t layer = 0; layer < depth; ++layer) {
    const auto ins = planes.channels(layer);
    const auto outs = planes.channels(layer + 1);
    Scalar* output = input + planes.at(ins, 0, 0);
    const Scalar* biases = weights + outs * ins * taps * lanes;
    const bool last = layer + 1 == depth;
    convolve(d, planes, ins, outs, input, output, weights, ins * taps, taps, 1,
             [&](std::int64_t o, std::int64_t /*at*/, V sum) HWY_ATTR {
               const V z = hn::Add(sum, hn::Load(d, biases + o * lanes));
               const V linear = last ? z : hn::IfThenZeroElse(hn::Lt(z, hn::Zero(d)), z);
               return exponential ? exp_of(d, z) : linear;
             });
    weights = biases + outs * lanes;
    gradient += outs * (ins * taps + 1) * lanes;
    input = output;
  }

  Scalar* slopes = input + planes.at(1, 0, 0);
  Scalar* other_slopes = slopes + planes.at(data.shape.widest(), 0, 0);
  V total = hn::Zero(d);
  for (std::int64_t y = 0; y < height; ++y) {
    V sum = hn::Zero(d);
    for (std::int64_t x = 0; x < width; ++x) {
      const auto at = planes.inner(0, y, x);
      const V out = hn::Load(d, input + at);
      const V by_out = half_slope(d, data, y * width + x, out, sum);
      hn::Store(exponential ? hn::Mul(by_out, out) : by_out, d, slopes + at);
    }
    total = hn::Add(total, sum);
  }
  for (std::int64_t layer = depth - 1; layer >= 0; --layer) {
    const auto ins = planes.channels(layer);
    const auto outs = planes.channels(layer + 1);
    weights -= outs * (ins * taps + 1) * lanes;
    gradient -= outs * (ins * taps + 1) * lanes;
    input -= planes.at(ins, 0, 0);
    correlate(d, planes, ins, outs, input, slopes, gradient);
    if (layer == 0) { break; }
    // Its transpose: the taps in reverse, channels exchanged.
    convolve(d, planes, planes.channels(layer + 1), ins, slopes, other_slopes, weights + (taps - 1) * lanes, taps,
             ins * taps, -1, [&](std::int64_t /*i*/, std::int64_t at, V by_out) HWY_ATTR {
               const V out = hn::Load(d, input + at);
               return exponential ? hn::Mul(by_out, out) : hn::IfThenElseZero(hn::Gt(out, hn::Zero(d)), by_out);
             });
    std::swap(slopes, other_slopes);
  }
  return total;
}

constexpr auto whole = std::numeric_limits<std::int64_t>::max();  // the image in one go

PatchPass relu_network() { return patch_pass<network_lanes<false>, network_lanes<false>, whole>(); }
PatchPass exponential_network() { return patch_pass<network_lanes<true>, network_lanes<true>, whole>(); }
}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace conv_mult {
namespace {
CONV_MULT_EXPORT_PASS(PatchPass, relu_network)
CONV_MULT_EXPORT_PASS(PatchPass, exponential_network)

template <bool exponential>
Variant network(Variant v) {
  v.sized = true;
  v.parameters = [](const Size& size) {
    std::vector<Parameter> parameters;
    for (std::int64_t layer = 0; layer < size.depth; ++layer) {
      parameters = conv2d(layer == 0 ? 2 : size.width, layer == size.depth - 1 ? 1 : size.width, size.kernel_size,
                          std::to_string(layer) + '.', true, std::move(parameters));
    }
    return parameters;
  };
  v.output = [](const Weights& weights, const Dataset& data, const Size& size) {
    auto x = data.input;
    for (std::int64_t layer = 0; layer < size.depth; ++layer) {
      const auto& weight = weights[static_cast<std::size_t>(2 * layer)];  // [N, out, in, K, K]
      const auto& bias = weights[static_cast<std::size_t>(2 * layer) + 1];
      const std::int64_t groups = layer == 0 ? 1 : weight.size(0);  // all replicas share the input
      x = at::conv2d(x, weight.flatten(0, 1), bias.flatten(), 1, size.kernel_size / 2, 1, groups);
      if (exponential || layer < size.depth - 1) { x = exponential ? x.exp() : x.relu(); }
    }
    return x;
  };
  v.network_pass = exponential ? exponential_network_pass : relu_network_pass;
  return v;
}
}  // namespace

const Variant variants::stacked_exp =
    network<true>({"stacked-exp", "--depth times convolution and exp", 0x999999, 4, Takes::images});

const Variant variants::relu =
    network<false>({"relu", "--depth convolutions with ReLU between them", 0x882255, 15, Takes::images});
}  // namespace conv_mult
#endif
