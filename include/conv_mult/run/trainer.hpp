#pragma once

#include <functional>
#include <vector>

#include "conv_mult/config.hpp"
#include "conv_mult/data/dataset.hpp"
#include "conv_mult/model/variants.hpp"

namespace conv_mult {

/// Called several times a second with the newest step and its loss. Returning false ends the training.
using OnProgress = std::function<bool(std::int64_t step, double loss)>;

struct TrainingHistory {
  std::vector<double> losses;  ///< losses[k] after k updates; ends with the first that is not finite
  bool interrupted = false;    ///< ended by on_progress
};

/// Full-batch training of `model` in place with PyTorch's optimizer and its defaults apart from the learning
/// rate. Losses stay on the device and are fetched in blocks of at most a thousand steps or a tenth of a
/// second, so a step does not wait for the device. That is also how soon a divergence or an interruption is
/// noticed.
TrainingHistory train(ConvLayer& model, const Dataset& data, const TrainingConfig& config,
                      const OnProgress& on_progress);

}  // namespace conv_mult
