#pragma once

#include "run/results.hpp"
#include "train/trainer.hpp"

namespace conv_mult {
/// One source of scenes: what is trained on it, and what its runs are judged by.
///
/// Success is a relative error of at most so much on the first split, or to be near-exact: on the split that the source
/// names a mean squared error of at most mean(((1 - e)^2 a b - a b)^2), the criterion of Mistry et al. 2022, or of a
/// given number.
class Task {
 public:
  /// The source must outlive it.
  Task(const Config& config, const SceneSource& source);

  const SceneResult& record() const { return record_; }

  /// Whether success is seen on other data than that trained on, so that it has to be looked for.
  bool success_needs_checks() const { return resampled() || record_.judged > 0; }

  /// Whether every step is trained on a scene of its own.
  bool resampled() const { return static_cast<bool>(source_.stream); }

  /// In the form that the variant takes: distinct patches or an image for one layer, all patches for a unit on an
  /// image, an image (of runs a shortened one) for networks of K > 1.
  TrainingData training_data(const Architecture& architecture, at::ScalarType dtype, at::Device device) const;

  /// L2 norm of the error of every replica over all scenes of a split together. The model is in float64 and on the CPU,
  /// because exp of weights that fit 1 and 2 overflows float32 on 4; so is the result, [N]: infinite where an output is
  /// not a number.
  at::Tensor errors(const Model& model, std::size_t split) const;

  /// The infimum of the loss over all weights, where it is known.
  std::optional<double> floor(const Architecture& architecture) const;

  /// What a model of one replica, in float64 on the CPU, makes of the scene.
  Image render(const Model& model) const;

 private:
  Dataset fixed_data(const Architecture& architecture, at::ScalarType dtype, DataForm form) const;

  DataForm form_;
  LossKind loss_;
  const SceneSource& source_;
  SceneResult record_;
};
}  // namespace conv_mult
