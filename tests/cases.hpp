#pragma once
// What several tests share: small scenes, every variant on them, and how results compare.

#include <gtest/gtest.h>
#include <torch/types.h>
#include "train/trainer.hpp"
#include "util/pool.hpp"

namespace conv_mult {
/// As in the program, LibTorch works on one thread: more of its own spin while they wait, on busy cores for minutes.
inline const bool one_thread = (set_thread_count(1), true);

constexpr OptimizerKind all_optimizers[] = {OptimizerKind::adam, OptimizerKind::adamw, OptimizerKind::rmsprop,
                                            OptimizerKind::sgd};
constexpr LossKind both_losses[] = {LossKind::l2, LossKind::mse};

inline Scene default_rectangles() { return sources_of({}).at(0).train(); }

/// The overlap is at a corner of the image, so that padding matters.
inline Scene small_rectangles() { return make_rectangles({12, 10}, {0, 0, 6, 7, 1.5}, {2, 0, 9, 4, -0.5}); }

/// Every pixel of both images drawn uniformly from [-1, 1].
inline Scene random_scene(std::int64_t height, std::int64_t width) {
  torch::manual_seed(7);
  const auto images = torch::rand({2, 1, height, width}, torch::kDouble) * 2 - 1;
  return make_scene(images.narrow(0, 0, 1), images.narrow(0, 1, 1));
}

/// The same with pixels that are exactly 0, in a and b at different places.
inline Scene scene_with_zeros(std::int64_t height, std::int64_t width) {
  const auto scene = random_scene(height, width);
  return make_scene(scene.a * scene.a.abs().gt(0.3), scene.b * scene.b.abs().gt(0.2));
}

/// Each variant in all_variants, with and without biases where it may have them.
inline std::vector<std::pair<const Variant*, bool>> all_cases() {
  std::vector<std::pair<const Variant*, bool>> cases;
  for (const auto* variant : all_variants) {
    cases.emplace_back(variant, false);
    if (variant->may_have_bias) { cases.emplace_back(variant, true); }
  }
  return cases;
}

/// A test of each of them. What one does not have is skipped by asking its value.
class EachVariant : public testing::TestWithParam<std::pair<const Variant*, bool>> {
 protected:
  const Variant& variant_ = *GetParam().first;

  /// Small, of several layers where it may have them.
  Architecture architecture(std::int64_t kernel_size = 3) const {
    const std::int64_t depth = variant_.depth > 0 ? variant_.depth : 3;
    return {&variant_, {kernel_size, variant_.sized ? depth : 1, variant_.sized ? 2 : 1, GetParam().second}};
  }

  /// Every form of the scene that the variant takes: distinct patches, one for each pixel, images, the last of them
  /// whole and literal where there is one.
  std::vector<Dataset> forms(const Scene& scene, std::int64_t kernel_size = 3) const {
    std::vector<Dataset> forms;
    if (variant_.takes != Takes::images || kernel_size == 1) {
      forms.push_back(make_dataset(scene, DataForm::patches, kernel_size, variant_.encode));
      forms.push_back(unfolded(make_dataset(scene, DataForm::image, 1, variant_.encode), kernel_size));
    }
    if (variant_.takes == Takes::images && scene.has_runs()) {
      forms.push_back(stored_image(shortened(scene, architecture().size.depth * (kernel_size / 2))));
    }
    if (variant_.takes != Takes::patches) {
      forms.push_back(make_dataset(scene, DataForm::image, 1, variant_.encode));
      forms.push_back(make_dataset(scene, DataForm::literal, 1, variant_.encode));
    }
    return forms;
  }
};

/// The suite of a file, a subclass of EachVariant: a test is called Each/SUITE.TEST/VARIANT.
#define CONV_MULT_FOR_EACH_VARIANT(suite)                                                      \
  INSTANTIATE_TEST_SUITE_P(Each, suite, testing::ValuesIn(all_cases()), [](const auto& test) { \
    std::string name = test.param.first->name;                                                 \
    std::replace(name.begin(), name.end(), '-', '_');                                          \
    return name + (test.param.second ? "_bias" : "");                                          \
  })

/// Trains with these updates; the losses of every replica: [steps + 1, N].
inline at::Tensor train_all(Model& model, const TrainingData& data, const TrainingConfig& config,
                            const OnCheck& on_check = nullptr) {
  std::vector<at::Tensor> blocks;
  std::int64_t next = 0;
  const auto on_losses = [&](std::int64_t step, const at::Tensor& losses) {
    EXPECT_EQ(step, next);
    next += losses.size(0);
    blocks.push_back(losses.clone());
    return true;
  };
  train(model, data, config, on_losses, on_check);
  return at::cat(blocks);
}

/// As weights_of has the weights: [N, P].
inline at::Tensor gradient_of(const Model& model) {
  Weights gradient;
  for (const auto& parameter : model.parameters) { gradient.push_back(parameter.grad()); }
  return weights_of({model.architecture, gradient});
}

/// Number by number, NaN being itself.
inline bool identical(const at::Tensor& x, const at::Tensor& y) { return x.allclose(y, 0, 0, true); }

/// The largest difference, of the largest number of y.
inline double relative_difference(const at::Tensor& x, const at::Tensor& y) {
  return ((x - y).abs().max() / y.abs().max().clamp_min(1e-300)).item<double>();
}

/// The largest of all relative differences.
inline double worst_difference(const at::Tensor& x, const at::Tensor& y) {
  const at::NoGradGuard no_grad;
  return ((x - y) / y).abs().masked_fill(x == y, 0).max().item<double>();  // also where both are 0
}
}  // namespace conv_mult
