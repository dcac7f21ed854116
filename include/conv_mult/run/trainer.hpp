#pragma once

#include <functional>

#include "conv_mult/config.hpp"
#include "conv_mult/data/dataset.hpp"
#include "conv_mult/model/variants.hpp"

namespace conv_mult {

/// Called several times a second with the losses after `first_step`, `first_step` + 1, ... updates: float64
/// on the CPU, [steps, N]. Returning false ends the training.
using OnLosses = std::function<bool(std::int64_t first_step, const at::Tensor& losses)>;

/// Full-batch training of every replica of `model` in place, with PyTorch's optimizer and its defaults apart
/// from the learning rate: `config.steps` updates, `config.steps` + 1 losses. Losses stay on the device and
/// are fetched in blocks of at most a thousand steps or a tenth of a second, so a step does not wait for the
/// device. Patches and images on the CPU go through FusedLayer, everything else (literal images, CUDA)
/// through autograd.
void train(ConvLayer& model, const Dataset& data, const TrainingConfig& config, const OnLosses& on_losses);

}  // namespace conv_mult
