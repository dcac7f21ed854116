#include "cases.hpp"
#include "variants/common.hpp"

namespace conv_mult {
namespace {
Scene row_scene(const std::vector<double>& a, const std::vector<double>& b) {
  return make_scene(torch::tensor(a, at::kDouble).reshape({1, 1, 1, -1}),
                    torch::tensor(b, at::kDouble).reshape({1, 1, 1, -1}));
}

void expect_loss(double expected, const Scene& scene, std::int64_t kernel_size) {
  for (const auto form : {DataForm::image, DataForm::patches}) {
    EXPECT_NEAR(*best_affine(make_dataset(scene, form, kernel_size), {kernel_size}), expected, 2e-14 * expected);
  }
}

TEST(LeastSquares, TheTruthTableOfAnd) {
  // By hand: a, b over {0, 1}^2, K = 1. By symmetry the best affine fit of a b is (a + b)/2 - 1/4: the residual is
  // +-1/4 at each of the four points, orthogonal to 1, a and b. Loss sqrt(4/16) = 1/2.
  expect_loss(0.5, row_scene({0, 0, 1, 1}, {0, 1, 0, 1}), 1);
  // The same with (1, 1) three times, counts n = (1, 1, 1, 3). Only u = (1, -1, -1, 1) is orthogonal to 1, a and b,
  // so the residual is r = c u / n with u.r = u.target = 1: c = 1 / (1 + 1 + 1 + 1/3) = 0.3 = sum(n r^2).
  expect_loss(std::sqrt(0.3), row_scene({0, 0, 1, 1, 1, 1}, {0, 1, 0, 1, 1, 1}), 1);
}

TEST(LeastSquares, RankDeficientProblemsAreSolvedExactly) {
  // b = 2 a, so its column repeats a's; over a in {0, 1} the product 2 a^2 = 2 a is affine.
  expect_loss(0, row_scene({0, 1, 1, 0}, {0, 2, 2, 0}), 1);
  expect_loss(0, random_scene(1, 1), 3);  // meets 17 of 18 weights with padding only
  const auto zero = torch::zeros({1, 1, 5, 5}, at::kDouble);
  expect_loss(0, make_scene(zero, zero), 3);
  EXPECT_TRUE(std::isnan(*best_affine(make_dataset(row_scene({1e200, 1}, {1e200, 1}), DataForm::image, 1), {1})));
}

TEST(LeastSquares, FormsAndBlocksAgree) {
  const Config defaults;  // 120,000 pixels: two blocks of rows
  const auto scene = make_rectangles({300, 400}, defaults.rect_a, defaults.rect_b);
  const double image = *best_affine(make_dataset(scene, DataForm::image, 3), {3});
  const double patches = *best_affine(make_dataset(scene, DataForm::patches, 3), {3});
  EXPECT_NEAR(image / patches, 1, 1e-10);
}

TEST(LeastSquares, FloorOfExpIsWhatItsSignCannotReach) {
  // exp > 0: a positive product can be approached, a negative one not at all.
  const auto positive = make_dataset(row_scene({0, 0, 1, 1}, {0, 2, 0, 2}), DataForm::literal, 1);
  const auto negative = make_dataset(row_scene({0, 0, 1, 1}, {0, -2, 0, -2}), DataForm::literal, 1);
  EXPECT_EQ(variants::exp.floor(positive, {1}), 0);
  EXPECT_EQ(variants::exp.floor(negative, {1}), 2);
  EXPECT_FALSE(variants::exp.floor(make_dataset(random_scene(3, 3), DataForm::image, 1), {1}));
  // The weights of the proof: T (a + b / 2) + log 2 - 2 T, with T large.
  const auto model = make_model({&variants::exp, {1}}, torch::tensor({{50.0, 25.0, std::log(2) - 100}}, at::kDouble));
  EXPECT_LT(losses_of(LossKind::l2, forward(model, positive), positive).item<double>(), 1e-12);
}
}  // namespace
}  // namespace conv_mult
