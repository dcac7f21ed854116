#pragma once

#include <c10/core/Device.h>
#include "options/config.hpp"

namespace conv_mult {
/// How many cores this process may use: as many as its affinity names and the CPU quotas of its control groups grant.
std::int64_t usable_cores();

/// Everything the process sets for itself, once: allocator thresholds and thread counts.
void prepare_process(std::int64_t threads);

/// That of the configuration; `auto` is the CPU, whose own passes are faster than LibTorch's operators on a GPU, but
/// for the literal form, where there is one (see docs/libtorch.md). Throws UsageError where the device is missing.
c10::Device resolve_device(const Config& config);

/// The text of --version: conv_mult, LibTorch (Debian's 1.13.1 calls itself 1.13.0), and whether it has CUDA.
std::string version_text();

/// Bytes that this process may still take: the least of free memory and swap, the cgroup's limit and ulimit -v.
double available_memory();
}  // namespace conv_mult
