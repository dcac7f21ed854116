// What a Conv2d computes.
//
// The post rests on two facts about torch::nn::Conv2d: it is a cross-correlation (the kernel is not flipped),
// and it adds its input channels up. The tests below check LibTorch against both, written out as plain loops.

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/conv.h>

#include <cstdint>

namespace conv_mult {
namespace {

constexpr double kTolerance = 1e-12;

at::TensorOptions Float64() { return at::TensorOptions().dtype(at::kDouble); }

void ExpectSame(const at::Tensor& actual, const at::Tensor& expected) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_LE((actual - expected).abs().max().item<double>(), kTolerance) << "actual:\n"
                                                                        << actual << "\nexpected:\n"
                                                                        << expected;
}

// The value of a 2-D signal at (y, x). A signal is zero outside of its support: that is what padding with
// zeros means.
double ValueAt(const at::Tensor& signal, std::int64_t y, std::int64_t x) {
  const bool inside = y >= 0 && y < signal.size(0) && x >= 0 && x < signal.size(1);
  return inside ? signal.accessor<double, 2>()[y][x] : 0.0;
}

// Cross-correlation of every channel of `input` (C, H, W) with its slice of `kernel` (C, 3, 3), summed over
// the channels, plus the bias. Output pixel (y, x) looks at the 3x3 neighbourhood around (y, x), and kernel
// element (0, 0) meets the neighbour to the upper left: nothing is flipped.
at::Tensor CrossCorrelationLoops(const at::Tensor& input, const at::Tensor& kernel, double bias) {
  at::Tensor output = at::empty({input.size(1), input.size(2)}, Float64());
  for (std::int64_t y = 0; y < input.size(1); ++y) {
    for (std::int64_t x = 0; x < input.size(2); ++x) {
      double sum = bias;
      for (std::int64_t channel = 0; channel < input.size(0); ++channel) {
        for (std::int64_t ky = 0; ky < 3; ++ky) {
          for (std::int64_t kx = 0; kx < 3; ++kx) {
            sum += ValueAt(kernel[channel], ky, kx) * ValueAt(input[channel], y + ky - 1, x + kx - 1);
          }
        }
      }
      output[y][x] = sum;
    }
  }
  return output;
}

// The definition of the convolution, (f*g)(n) = sum over m of f(m) g(n - m), with two-dimensional n and m.
// Both signals start at (0, 0), so f*g is non-zero only for 0 <= n <= (last index of f) + (last index of g):
// the "full" convolution.
at::Tensor ConvolutionLoops(const at::Tensor& f, const at::Tensor& g) {
  at::Tensor output = at::empty({f.size(0) + g.size(0) - 1, f.size(1) + g.size(1) - 1}, Float64());
  for (std::int64_t ny = 0; ny < output.size(0); ++ny) {
    for (std::int64_t nx = 0; nx < output.size(1); ++nx) {
      double sum = 0.0;
      for (std::int64_t my = 0; my < f.size(0); ++my) {
        for (std::int64_t mx = 0; mx < f.size(1); ++mx) {
          sum += ValueAt(f, my, mx) * ValueAt(g, ny - my, nx - mx);
        }
      }
      output[ny][nx] = sum;
    }
  }
  return output;
}

at::Tensor FlippedInYAndX(const at::Tensor& kernel) { return kernel.flip({-2, -1}); }

// at::conv2d wants (batch, channels, height, width) for the input and (outputs, channels, height, width) for
// the kernel. These add and remove the leading ones for one 2-D signal.
at::Tensor As4d(const at::Tensor& signal) { return signal.unsqueeze(0).unsqueeze(0); }
at::Tensor As2d(const at::Tensor& batch) { return batch.squeeze(0).squeeze(0); }

// The full convolution by way of at::conv2d: flip the kernel, and pad so that every overlap of the two is
// seen.
at::Tensor ConvolutionByConv2d(const at::Tensor& f, const at::Tensor& g) {
  return As2d(at::conv2d(As4d(f), As4d(FlippedInYAndX(g)), /*bias=*/{}, /*stride=*/1,
                         /*padding=*/{g.size(0) - 1, g.size(1) - 1}));
}

class WhatAConv2dComputes : public ::testing::Test {
 protected:
  void SetUp() override { at::manual_seed(0); }
};

TEST_F(WhatAConv2dComputes, IsACrossCorrelationTheKernelIsNotFlipped) {
  torch::nn::Conv2d layer(torch::nn::Conv2dOptions(/*in_channels=*/2, /*out_channels=*/1, 3).padding(1));
  layer->to(at::kDouble);
  const at::Tensor input = at::randn({2, 5, 6}, Float64());

  const at::Tensor output = As2d(layer->forward(input.unsqueeze(0)).detach());

  const at::Tensor kernel = layer->weight.detach()[0];
  const double bias = layer->bias.item<double>();
  ExpectSame(output, CrossCorrelationLoops(input, kernel, bias));
  // A random kernel is not symmetric, so the flipped one must give something else, or this test would show
  // nothing.
  EXPECT_FALSE(at::allclose(output, CrossCorrelationLoops(input, FlippedInYAndX(kernel), bias)));
}

TEST_F(WhatAConv2dComputes, WithTheKernelFlippedIsATrueConvolution) {
  const at::Tensor signal = at::randn({5, 6}, Float64());
  const at::Tensor kernel = at::randn({3, 3}, Float64());

  const at::Tensor output =
      As2d(at::conv2d(As4d(signal), As4d(FlippedInYAndX(kernel)), /*bias=*/{}, /*stride=*/1, /*padding=*/1));

  // Padding 1 keeps the input's size: the full convolution without its outermost row or column on each side.
  const at::Tensor full = ConvolutionLoops(signal, kernel);  // 7 x 8
  ExpectSame(output, full.slice(0, 1, 6).slice(1, 1, 7));
}

TEST_F(WhatAConv2dComputes, TrueConvolutionCommutes) {
  const at::Tensor f = at::randn({5, 6}, Float64());
  const at::Tensor g = at::randn({3, 2}, Float64());

  ExpectSame(ConvolutionLoops(f, g), ConvolutionLoops(g, f));
  ExpectSame(ConvolutionByConv2d(f, g), ConvolutionByConv2d(g, f));
  ExpectSame(ConvolutionByConv2d(f, g), ConvolutionLoops(f, g));
}

// The limit that the exp of the post gets round: the layer mixes its channels by a sum, never by a product.
TEST_F(WhatAConv2dComputes, AddsItsChannelsUp) {
  const at::Tensor a = at::randn({5, 6}, Float64());
  const at::Tensor b = at::randn({5, 6}, Float64());
  const at::Tensor kernel_a = at::randn({3, 3}, Float64());
  const at::Tensor kernel_b = at::randn({3, 3}, Float64());
  const at::Tensor bias = at::randn({1}, Float64());

  const at::Tensor both = As2d(
      at::conv2d(at::cat({As4d(a), As4d(b)}, 1), at::cat({As4d(kernel_a), As4d(kernel_b)}, 1), bias, 1, 1));
  const at::Tensor a_alone = As2d(at::conv2d(As4d(a), As4d(kernel_a), /*bias=*/{}, 1, 1));
  const at::Tensor b_alone = As2d(at::conv2d(As4d(b), As4d(kernel_b), /*bias=*/{}, 1, 1));

  ExpectSame(both, a_alone + b_alone + bias);
}

TEST_F(WhatAConv2dComputes, ReproducesTheTextbookPicture) {
  // channel 0:  0 1 2   kernel:  0 1      channel 1:  1 2 3   kernel:  1 2
  //             3 4 5            2 3                  4 5 6            3 4
  //             6 7 8                                 7 8 9
  const at::Tensor first = at::arange(0, 9, Float64()).reshape({3, 3});
  const at::Tensor second = at::arange(1, 10, Float64()).reshape({3, 3});
  const at::Tensor first_kernel = at::arange(0, 4, Float64()).reshape({2, 2});
  const at::Tensor second_kernel = at::arange(1, 5, Float64()).reshape({2, 2});

  const at::Tensor output = As2d(at::conv2d(at::cat({As4d(first), As4d(second)}, 1),
                                            at::cat({As4d(first_kernel), As4d(second_kernel)}, 1)));

  // The upper left entry by hand:
  //   channel 0:  0*0 + 1*1 + 3*2 + 4*3 = 0 + 1 + 6 + 12 = 19
  //   channel 1:  1*1 + 2*2 + 4*3 + 5*4 = 1 + 4 + 12 + 20 = 37
  //   sum:        19 + 37 = 56
  // One step to the right raises every input by 1, so the sum by all kernel elements, 6 + 10 = 16: 72. One
  // step down raises every input by 3, so the sum by 48: 104 and 120.
  const at::Tensor by_hand = at::tensor({56.0, 72.0, 104.0, 120.0}, Float64()).reshape({2, 2});
  ExpectSame(output, by_hand);
}

}  // namespace
}  // namespace conv_mult
