#pragma once

#include <functional>

#include "conv_mult/config.hpp"
#include "conv_mult/results.hpp"

namespace conv_mult {

/// Called several times a second; returning false interrupts the experiment.
using OnStep = std::function<bool(const std::string& variant, std::int64_t step, double loss)>;

/// Called with all that is known after each variant, so that its files can be written at once.
using OnVariant = std::function<void(const ExperimentResult& so_far)>;

/// Trains every variant of `config` on one scene. An interrupted variant is part of the result; those after
/// it are not. Throws UsageError for a device that is not there, c10::Error where LibTorch fails.
ExperimentResult run_experiment(const Config& config, const OnStep& on_step, const OnVariant& on_variant);

}  // namespace conv_mult
