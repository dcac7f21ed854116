// What a Conv2d computes.
//
// The post rests on two facts about torch::nn::Conv2d: it is a cross-correlation (the kernel is not flipped), and it
// adds its input channels up. The tests below check LibTorch against both, written out as plain loops.

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/conv.h>

namespace conv_mult {
namespace {
void expect_same(const at::Tensor& actual, const at::Tensor& expected) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_TRUE(at::allclose(actual, expected, 0, 1e-12)) << actual << expected;
}

/// The definition of the convolution, (f*g)(n) = sum over m of f(m) g(n - m), with two-dimensional n and m: the sum of
/// g's that are moved by m. Both start at (0, 0) and are zero outside of their support, so f*g is non-zero only for 0
/// <= n <= (last index of f) + (last index of g).
at::Tensor convolution_loops(const at::Tensor& f, const at::Tensor& g) {
  auto output = at::zeros({f.size(0) + g.size(0) - 1, f.size(1) + g.size(1) - 1}, at::kDouble);
  for (std::int64_t y = 0; y < f.size(0); ++y) {
    for (std::int64_t x = 0; x < f.size(1); ++x) {
      output.narrow(0, y, g.size(0)).narrow(1, x, g.size(1)).add_(f[y][x] * g);
    }
  }
  return output;
}

TEST(WhatAConv2dComputes, IsACrossCorrelationThatAddsItsChannelsUp) {
  at::manual_seed(0);
  torch::nn::Conv2d layer(torch::nn::Conv2dOptions(2, 1, 3).padding(1));
  layer->to(at::kDouble);
  const auto input = at::randn({2, 5, 6}, at::kDouble);
  const auto output = layer->forward(input.unsqueeze(0)).detach()[0][0];
  const auto kernel = layer->weight.detach()[0];
  // The limit that the exp of the post gets round: channels are mixed by a sum, never by a product. Padding 1 keeps the
  // input's size: the full convolution, 7 x 8, without its outermost row or column.
  const auto sum_of_convolutions = [&](const at::Tensor& k) {
    const auto sum = convolution_loops(input[0], k[0]) + convolution_loops(input[1], k[1]);
    return sum.slice(0, 1, 6).slice(1, 1, 7) + layer->bias.detach();
  };
  expect_same(output, sum_of_convolutions(kernel.flip({1, 2})));
  // A random kernel is not symmetric, so the other must give something else, or this would show nothing.
  EXPECT_FALSE(at::allclose(output, sum_of_convolutions(kernel)));
}

TEST(WhatAConv2dComputes, ReproducesTheTextbookPicture) {
  // channel 0:  0 1 2   kernel:  0 1      channel 1:  1 2 3   kernel:  1 2
  //             3 4 5            2 3                  4 5 6            3 4
  //             6 7 8                                 7 8 9
  const auto first = at::arange(0, 9, at::kDouble).view({3, 3});
  const auto kernel = at::arange(0, 4, at::kDouble).view({2, 2});
  // The upper left entry by hand:
  //   channel 0:  0*0 + 1*1 + 3*2 + 4*3 = 0 + 1 + 6 + 12 = 19
  //   channel 1:  1*1 + 2*2 + 4*3 + 5*4 = 1 + 4 + 12 + 20 = 37
  //   sum:        19 + 37 = 56
  // One step to the right raises every input by 1, so the sum by all kernel elements, 6 + 10 = 16: 72. One
  // step down raises every input by 3, so the sum by 48: 104 and 120.
  expect_same(at::conv2d(at::stack({first, first + 1}).unsqueeze(0), at::stack({kernel, kernel + 1}).unsqueeze(0)),
              at::tensor({56.0, 72.0, 104.0, 120.0}, at::kDouble).view({1, 1, 2, 2}));
}
}  // namespace
}  // namespace conv_mult
