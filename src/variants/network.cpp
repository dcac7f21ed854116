// Networks of several convolutions: the post's closing claims (i) and (ii).

#include "variants/common.hpp"
#define HWY_TARGET_INCLUDE "variants/network.cpp"
#include "kernels/vectors-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {
constexpr std::int64_t outs_together = HWY_TARGET <= HWY_AVX3 ? 4 : 2;  // as many sums as registers hold

/// Layer by layer forwards, then backwards, over planes of a vector for each pixel. Its lanes are replicas, and a plane
/// is a channel; or, of one replica, they are channels. Each number comes from the same operations either way.
template <bool exponential, bool of_channels, typename Scalar>
struct NetworkPass {
  using D = hn::CappedTag<Scalar, lanes>;
  using V = hn::Vec<D>;
  static constexpr D d{};
  static constexpr auto step = static_cast<std::int64_t>(hn::MaxLanes(D()));
  static constexpr std::int64_t in_plane = of_channels ? step : 1;  // channels

  NetworkShape shape;
  std::int64_t k = shape.kernel_size;
  std::int64_t taps = k * k;

  std::int64_t channels(std::int64_t layer) const { return layer == 0 ? 2 : layer == shape.depth ? 1 : shape.channels; }
  static std::int64_t planes(std::int64_t channels) { return NetworkShape::planes(channels, in_plane); }

  /// Where the vector of a pixel begins; row and column count from the border's corner.
  std::int64_t at(std::int64_t plane, std::int64_t row, std::int64_t column) const {
    return (plane * shape.area() + row * shape.stride() + column) * step;
  }
  std::int64_t inner(std::int64_t plane, std::int64_t y, std::int64_t x) const {
    return at(plane, y + k / 2, x + k / 2);
  }
  /// Where those of a channel begin, and one of them for all lanes.
  std::int64_t begin(std::int64_t channel, std::int64_t row, std::int64_t column) const {
    return at(channel / in_plane, row, column) + channel % in_plane;
  }
  static V value(const Scalar* at) { return of_channels ? hn::Set(d, *at) : hn::Load(d, at); }

  /// output[o][y][x] = finish(o, its place, sum over i, r, c of w[o by_out + i by_in + (r K + c) by_tap] input[i][y +
  /// r][x + c]), i of `from` channels, o of the planes of `to`, so many inputs at a time that weights and rows stay in
  /// the first cache.
  template <class Finish>
  HWY_NOINLINE void convolve(std::int64_t from, std::int64_t to, const Scalar* input, Scalar* output, const Scalar* w,
                             std::int64_t by_out, std::int64_t by_in, std::int64_t by_tap, const Finish& finish) const {
    constexpr std::int64_t together = 8;
    for (std::int64_t first = 0; first < from; first += together) {
      const auto end = std::min(first + together, from);
      for (std::int64_t y = 0; y < shape.height; ++y) {
        for_tiles<outs_together, 2, 1>(planes(to), [&](std::int64_t o, auto out_tile) HWY_ATTR {
          constexpr std::int64_t most = std::min<std::int64_t>(8, 4 * outs_together / out_tile);  // pixels
          for_tiles<most, most / 2, most / 4, 1>(shape.width, [&](std::int64_t x, auto pixel_tile) HWY_ATTR {
            constexpr std::int64_t pixels = pixel_tile;
            constexpr std::int64_t size = out_tile * pixels;
            const auto place = [&](std::int64_t n) { return inner(o + n / pixels, y, x + n % pixels); };
            V sums[size];
            HWY_UNROLL(16)
            for (std::int64_t n = 0; n < size; ++n) {
              sums[n] = first == 0 ? hn::Zero(d) : hn::Load(d, output + place(n));
            }
            for (std::int64_t i = first; i < end; ++i) {
              const Scalar* weight = w + (o * by_out + i * by_in) * lanes;
              for (std::int64_t r = 0; r < k; ++r) {
                const Scalar* values = input + begin(i, y + r, x);
                for (std::int64_t t = 0; t < k; ++t, values += step, weight += by_tap * lanes) {
                  for (std::int64_t n = 0; n < size; ++n) {
                    const V of_out = hn::Load(d, weight + n / pixels * by_out * lanes);
                    sums[n] = hn::MulAdd(of_out, value(values + n % pixels * step), sums[n]);
                  }
                }
              }
            }
            for (std::int64_t n = 0; n < size; ++n) {
              hn::Store(end == from ? finish(o + n / pixels, place(n), sums[n]) : sums[n], d, output + place(n));
            }
          });
        });
      }
    }
  }

  /// Adds to gradient[o][i][r][c] the sum over y, x of slopes[o][y][x] input[i][y + r][x + c]; to the vectors after
  /// them, for each o, the slopes'. Row by row: float32 would lose digits on a million pixels. `across` the inputs the
  /// lanes are those of one output: then i is one of their planes.
  template <bool across>
  HWY_NOINLINE void correlate(std::int64_t ins, std::int64_t outs, const Scalar* input, const Scalar* slopes,
                              Scalar* gradient) const {
    const auto add = [&](std::int64_t number, V sum) HWY_ATTR {
      hn::Store(hn::Add(hn::Load(d, gradient + number * lanes), sum), d, gradient + number * lanes);
    };
    for (std::int64_t y = 0; y < shape.height; ++y) {
      for_tiles<outs_together, 2, 1>(planes(outs), [&](std::int64_t o, auto out_tile) HWY_ATTR {
        for_tiles<outs_together / out_tile, 1>(ins * k, [&](std::int64_t row, auto row_tile) HWY_ATTR {
          for_tiles<3, 1>(k, [&](std::int64_t column, auto tap_tile) HWY_ATTR {
            constexpr std::int64_t tile = tap_tile;
            constexpr std::int64_t rows = row_tile;
            constexpr std::int64_t size = out_tile * rows * tile;
            V sums[size];
            HWY_UNROLL(16)
            for (std::int64_t n = 0; n < size; ++n) { sums[n] = hn::Zero(d); }
            const Scalar* values[rows];
            HWY_UNROLL(16)
            for (std::int64_t j = 0; j < rows; ++j) {
              values[j] = input + begin((row + j) / k * (across ? step : 1), y + (row + j) % k, column);
            }
            const Scalar* slope = slopes + inner(o, y, 0);
            for (std::int64_t x = 0; x < shape.width * step; x += step) {
              for (std::int64_t n = 0; n < size; ++n) {
                const Scalar* of_in = values[n / tile % rows] + x + n % tile * step;
                const V of_out = across ? hn::Set(d, slope[x]) : hn::Load(d, slope + at(n / (rows * tile), 0, 0) + x);
                sums[n] = hn::MulAdd(of_out, across ? hn::Load(d, of_in) : value(of_in), sums[n]);
              }
            }
            for (std::int64_t n = 0; n < size; ++n) {
              add(((o + n / (rows * tile)) * ins * k + row + n / tile % rows) * k + column + n % tile, sums[n]);
            }
          });
        });
      });
      for (std::int64_t o = 0; o < planes(outs); ++o) {
        V sum = hn::Zero(d);
        for (std::int64_t x = 0; x < shape.width; ++x) { sum = hn::Add(sum, hn::Load(d, slopes + inner(o, y, x))); }
        add(planes(outs) * ins * taps + o, sum);
      }
    }
  }

  /// Calls move(where it is among the numbers of a replica, where in vectors [planes of outs, ins, taps] with biases
  /// after them) for each weight w[o by_out + i by_in + tap] and so many biases: outs or, of a transpose, 0.
  template <class Move>
  void for_numbers(std::int64_t outs, std::int64_t ins, std::int64_t by_out, std::int64_t by_in, std::int64_t biases,
                   const Move& move) const {
    for (std::int64_t o = 0; o < outs; ++o) {
      for (std::int64_t i = 0; i < ins; ++i) {
        const std::int64_t vector = (o / step * ins + i) * taps * lanes + o % step;
        for (std::int64_t t = 0; t < taps; ++t) { move((o * by_out + i * by_in + t) * lanes, vector + t * lanes); }
      }
    }
    for (std::int64_t o = 0; o < biases; ++o) {
      move((outs * ins * taps + o) * lanes, (planes(outs) * ins * taps + o / step) * lanes + o % step);
    }
  }

  V operator()(const PatchData<Scalar>& data, const Scalar* weights, Scalar* gradient, Scalar* scratch) const {
    const std::int64_t width = shape.width;
    const std::int64_t widest = shape.widest();
    const std::int64_t most = of_channels ? planes(widest) * (widest * taps + 1) * lanes : 1;
    const auto vectors = hwy::AllocateAligned<Scalar>(static_cast<std::size_t>(most));
    const auto pack = [&](std::int64_t to, std::int64_t from, std::int64_t by_out, std::int64_t by_in, auto biases) {
      auto* packed = vectors.get();
      for_numbers(to, from, by_out, by_in, biases, [&](auto i, auto n) { packed[n] = weights[i]; });
    };
    for (std::int64_t i = 0; i < 2 * data.count; ++i) {
      const auto pixel = i % data.count;
      Scalar* to = scratch + begin(i / data.count, pixel / width + k / 2, pixel % width + k / 2);
      of_channels ? static_cast<void>(*to = data.input[i]) : hn::Store(hn::Set(d, data.input[i]), d, to);
    }
    Scalar* input = scratch;
    for (std::int64_t layer = 0; layer < shape.depth; ++layer) {
      const auto ins = channels(layer);
      const auto outs = channels(layer + 1);
      if (of_channels) { pack(outs, ins, ins * taps, taps, outs); }
      const Scalar* w = of_channels ? vectors.get() : weights;
      Scalar* output = input + at(planes(ins), 0, 0);
      const bool last = layer + 1 == shape.depth;
      convolve(ins, outs, input, output, w, ins * taps, taps, 1,
               [&, biases = w + planes(outs) * ins * taps * lanes](std::int64_t o, std::int64_t /*at*/, V sum)
                   HWY_ATTR {
                     const V z = hn::Add(sum, hn::Load(d, biases + o * lanes));
                     const V linear = last ? z : hn::IfThenZeroElse(hn::Lt(z, hn::Zero(d)), z);
                     return exponential ? exp_of(d, z) : linear;
                   });
      weights += outs * (ins * taps + 1) * lanes;
      gradient += outs * (ins * taps + 1) * lanes;
      input = output;
    }

    Scalar* slopes = input + at(1, 0, 0);
    Scalar* other_slopes = slopes + at(planes(widest), 0, 0);
    V total = hn::Zero(d);
    for (std::int64_t y = 0; y < shape.height; ++y) {
      V sum = hn::Zero(d);
      for (std::int64_t x = 0; x < width; ++x) {
        const V out = hn::Load(d, input + inner(0, y, x));
        const V by_out = half_slope(d, data, y * width + x, out, sum);
        hn::Store(exponential ? hn::Mul(by_out, out) : by_out, d, slopes + inner(0, y, x));
      }
      total = hn::Add(total, sum);
    }
    for (std::int64_t layer = data.losses_only ? -1 : shape.depth - 1; layer >= 0; --layer) {
      const auto ins = channels(layer);
      const auto outs = channels(layer + 1);
      weights -= outs * (ins * taps + 1) * lanes;
      gradient -= outs * (ins * taps + 1) * lanes;
      input -= at(planes(ins), 0, 0);
      std::fill_n(vectors.get(), most, Scalar{0});
      const auto unpack = [&](auto i, auto n) { gradient[i] = vectors.get()[n]; };
      if (!of_channels) {
        correlate<false>(ins, outs, input, slopes, gradient);
      } else if (outs > 1) {
        correlate<false>(ins, outs, input, slopes, vectors.get());
        for_numbers(outs, ins, ins * taps, taps, outs, unpack);
      } else {
        correlate<true>(planes(ins), 1, input, slopes, vectors.get());
        for_numbers(ins, 1, taps, 0, 1, unpack);
      }
      if (layer == 0) { break; }
      // Its transpose: the taps in reverse, channels exchanged.
      if (of_channels) { pack(ins, outs, taps, ins * taps, 0); }
      const Scalar* w = of_channels ? vectors.get() : weights;
      convolve(outs, ins, slopes, other_slopes, w + (taps - 1) * lanes, of_channels ? outs * taps : taps,
               of_channels ? taps : ins * taps, -1, [&](std::int64_t /*i*/, std::int64_t at, V by_out) HWY_ATTR {
                 const V out = hn::Load(d, input + at);
                 return exponential ? hn::Mul(by_out, out) : hn::IfThenElseZero(hn::Gt(out, hn::Zero(d)), by_out);
               });
      std::swap(slopes, other_slopes);
    }
    return total;
  }
};

template <bool exponential, typename Scalar, class D, class V = hn::Vec<D>>
V network_lanes(D d, const PatchData<Scalar>& data, const Scalar* weights, Scalar* gradient, Scalar* scratch) {
  constexpr bool of_one = hn::MaxLanes(D()) == 1;
  const auto sum = NetworkPass<exponential, of_one, Scalar>{data.shape}(data, weights, gradient, scratch);
  if constexpr (of_one) {
    return hn::Set(d, hn::GetLane(sum));
  } else {
    return sum;
  }
}

constexpr auto whole = std::numeric_limits<std::int64_t>::max();  // the image in one go

template <bool exponential>
PatchPass network() {
  return patch_pass<network_lanes<exponential>, network_lanes<exponential>, whole, network_lanes<exponential>,
                    network_lanes<exponential>>();
}
PatchPass relu_network() { return network<false>(); }
PatchPass exponential_network() { return network<true>(); }
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
