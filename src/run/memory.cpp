#include "conv_mult/run/memory.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "conv_mult/data/dataset.hpp"
#include "conv_mult/model/variants.hpp"
#include "conv_mult/results.hpp"

namespace conv_mult {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

double channels_of(Encoding encoding) {
  return encoding == Encoding::polar                                             ? 6
         : encoding == Encoding::marked || encoding == Encoding::plain_logarithm ? 4
                                                                                 : 2;
}

/// The training data of a row and the tensors of its step for one seed, or, if larger, one scene of noise to
/// evaluate.
double step_bytes(const Config& config, const RowConfig& row, bool is_noise, double element) {
  const auto& [variant, kernel_size, depth, width] = row.architecture;
  const double pixels = static_cast<double>(config.scene.height) * static_cast<double>(config.scene.width);
  const bool few_patches =  // of rectangles
      !is_noise && (config.data == DataForm::automatic || config.data == DataForm::patches);
  if (is_deep(variant)) {
    const double kept = few_patches
                            ? static_cast<double>(shortened_pixels(config.scene, reach_of(row.architecture)))
                            : pixels;
    return 2 * element * kept * static_cast<double>(values_per_pixel(row.architecture));
  }
  if (few_patches) {
    return 0;
  }
  const double inputs = channels_of(encoding_of(variant));
  const auto field = static_cast<double>(kernel_size * kernel_size);
  const double evaluation = is_noise ? sizeof(double) * pixels * inputs * field : 0;
  return std::max(evaluation, element * pixels * (is_unit(variant) ? 2 * inputs * field : 2 * inputs + 1));
}

/// The first number in the file, in its unit; none: no limit.
double number_in(const std::string& path) {
  std::ifstream file(path);
  double number = 0;
  if (file >> number) {
    return number;
  }
  return unlimited;
}

/// The value of a line "KEY: N kB".
double meminfo(const std::string& key) {
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;) {
    double value = 0;
    if (word == key + ":" && file >> value) {
      return 1024 * value;
    }
  }
  return 0;
}

std::string text_of(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < std::size(units); ++unit) {
    bytes /= 1024;
  }
  return fmt::format("{:.3g} {}", bytes, units[unit]);
}

}  // namespace

MemoryNeed memory_needed(const Config& config) {
  const double pixels = static_cast<double>(config.scene.height) * static_cast<double>(config.scene.width);
  const double element = config.machine.dtype == Dtype::float64 ? 8 : 4;
  const bool rectangles = has_scene(config, SceneKind::rectangles);
  const auto scenes = static_cast<double>(scene_count(config));
  const double noises = scenes - (rectangles ? 1 : 0);
  const auto held_out = static_cast<double>(config.held_out.scenes);
  MemoryNeed need;
  // Three pictures of each scene, those of one as tensors, and an output of each variant; noise stays as two
  // splits of scenes, three images each in float64.
  need.scenes = pixels * (12 * scenes + 12 + 4 * static_cast<double>(config.variants.size()) +
                          2 * 24 * held_out * noises);
  const auto seeds = static_cast<double>(seeds_of_shard(config).count);
  double largest_step = 0;
  for (const auto& row : rows_of(config)) {
    const bool is_noise = row.scene > 0 || !rectangles;
    const auto parameters = static_cast<double>(parameter_count(row.architecture));
    const double points =
        static_cast<double>(row.training.steps) / static_cast<double>(config.output.log_every);
    largest_step = std::max(largest_step, step_bytes(config, row, is_noise, element));
    // Numbers are recorded as such and as a line of some 25 characters. Adam has three beside each weight.
    constexpr double recorded = sizeof(double) + 25;
    need.network = std::max(need.network, (4 * element + recorded) * parameters);
    need.records += seeds * (sizeof(RunRecord) + (sizeof(CurvePoint) + 25) * points) +
                    (seeds - 1) * recorded * parameters;
  }
  need.scenes += largest_step;
  return need;
}

double available_memory() {
  double available = meminfo("MemAvailable") + meminfo("SwapFree");
  available = std::min(available, number_in("/sys/fs/cgroup/memory.max") -
                                      std::min(number_in("/sys/fs/cgroup/memory.current"), 1e18));
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    // Threads and buffers of the libraries, 150 MiB on two cores; without them OpenBLAS waits for ever.
    constexpr double libraries = 160 << 20;
    const double taken = number_in("/proc/self/statm") * static_cast<double>(sysconf(_SC_PAGESIZE));
    available = std::min(available, std::max(0.0, static_cast<double>(limit.rlim_cur) - taken - libraries));
  }
  return available;
}

void check_memory(const Config& config) {
  const auto need = memory_needed(config);
  const double total = need.scenes + need.network + need.records;
  const double available = available_memory();
  if (total <= available) {
    return;
  }
  const double largest = std::max({need.scenes, need.network, need.records});
  const auto reason =
      largest == need.scenes ? fmt::format("--size: {},{}", config.scene.height, config.scene.width)
      : largest == need.network
          ? fmt::format("--width: {}", *std::max_element(config.widths.begin(), config.widths.end()))
          : fmt::format("--seeds: {} with a row of loss.csv every {} of {} steps",
                        seeds_of_shard(config).count, config.output.log_every, config.training.steps);
  throw UsageError(
      fmt::format("{} would need at least {} of memory; allowed: what fits into the {} that are free", reason,
                  text_of(total), text_of(available)));
}

}  // namespace conv_mult
