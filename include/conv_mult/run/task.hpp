#pragma once

#include <functional>
#include <vector>

#include "conv_mult/config.hpp"
#include "conv_mult/data/heldout.hpp"
#include "conv_mult/model/variants.hpp"
#include "conv_mult/results.hpp"
#include "conv_mult/run/trainer.hpp"

namespace conv_mult {

/// One of the scenes of a Config: what is trained on it, and what its runs are judged by.
///
/// Splits of rectangles: see make_splits. Splits of noise: `train`, the scene itself, unless it is drawn anew
/// at every step; `inside`, other scenes from the same range; `outside`, scenes from the test range.
///
/// Success is a relative error of at most so much on the first split, or to be near-exact: on `outside` (of
/// rectangles: `train`) a mean squared error of at most mean((((1 - e) a + e) ((1 - e) b + e) - a b)^2) with
/// e = 1e-5. That is what an NMU has whose two weights of 1 are off by a relative 1e-5 and its weights of 0
/// by nothing (after Madsen & Johansen 2020).
class Task {
 public:
  /// Both must outlive it. `scene` counts rectangles, if asked for, and then each noise.
  Task(const Config& config, std::size_t scene);

  const SceneResult& record() const { return record_; }

  /// Whether success is seen on other data than that trained on, so that it has to be looked for.
  bool success_needs_checks() const;

  /// Whether every step is trained on a scene of its own.
  bool resampled() const { return is_noise_ && config_.resample; }

  /// In the form that the variant takes: distinct patches or an image for one layer, all patches for a unit
  /// on an image, an image (of rectangles a shortened one) for deep networks of K > 1.
  TrainingData training_data(const Architecture& architecture, at::ScalarType dtype, at::Device device) const;

  /// L2 norm of the error of every replica over all scenes of a split together. The model is in float64 and
  /// on the CPU, because exp of weights that fit 1 and 2 overflows float32 on 4; so is the result,
  /// [N]: infinite where an output is not a number.
  at::Tensor errors(const Model& model, std::size_t split) const;

  /// The infimum of the loss over all weights, where it is known; see model/optimum.hpp.
  std::optional<double> floor(const Architecture& architecture) const;

  /// What a model of one replica, in float64 on the CPU, makes of the scene: [H, W].
  at::Tensor render(const Model& model) const;

 private:
  Scene draw(const std::vector<Interval>& ranges, std::uint32_t stream, std::int64_t pairs) const;
  Dataset fixed_data(const Architecture& architecture, at::ScalarType dtype, DataForm form) const;
  Dataset evaluation_data(const Architecture& architecture, std::size_t split, std::int64_t first,
                          std::int64_t count) const;

  const Config& config_;
  bool is_noise_;
  NoiseConfig noise_;                ///< of noise
  std::vector<SceneSplit> splits_;   ///< of rectangles
  std::vector<Scene> noise_splits_;  ///< of noise, in float64
  SceneResult record_;
};

}  // namespace conv_mult
