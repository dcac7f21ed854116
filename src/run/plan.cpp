#include "run/plan.hpp"
#include <fmt/ranges.h>
#include <algorithm>
#include "options/options.hpp"
#include "train/fused.hpp"
#include "util/pool.hpp"

namespace conv_mult {
namespace {
std::vector<SavedModel> models_of(const Config& config) {
  if (!config.load_model.empty()) { return load_models(config.load_model); }
  std::vector<SavedModel> models;
  using Sizes = std::vector<std::int64_t>;
  for (const auto& name : config.variants) {
    const auto* variant = find_variant(name);
    const auto own_widths = config.widths.empty() ? Sizes{variant->width} : config.widths;
    for (const auto depth : !variant->sized ? Sizes{1} : variant->depth > 0 ? Sizes{variant->depth} : config.depths) {
      for (const auto width : variant->sized ? own_widths : Sizes{1}) {
        models.push_back({{variant, {config.kernel_size, depth, width, config.bias && variant->may_have_bias}}, {}});
      }
    }
  }
  return models;
}

/// Numbers that the layers make of a pixel.
double values_per_pixel(const Size& size) { return 1 + static_cast<double>((size.depth - 1) * size.width); }
}  // namespace

Plan make_plan(const Config& config) {
  Plan plan{config, sources_of(config), {}};
  const auto models = models_of(config);
  RowKey key;
  for (key.scene = 0; key.scene < plan.sources.size(); ++key.scene) {
    for (const auto& [architecture, weights] : models) {
      const auto& [variant, size] = architecture;
      key.variant = variant->name;
      key.depth = variant->sized ? std::optional(size.depth) : std::nullopt;
      key.width = variant->sized ? std::optional(size.width) : std::nullopt;
      for (const auto optimizer : config.optimizers) {
        key.optimizer = text_of(optimizer);
        for (const double rate : rates_of(config, key.variant)) {
          key.learning_rate = rate;
          const TrainingConfig training{optimizer,   rate,         config.decay,    config.steps,
                                        config.loss, config.seeds, config.sparsity, config.npu_l1};
          plan.rows.push_back({key, architecture, training, weights});
        }
      }
    }
  }
  return plan;
}

SeedRange seeds_of_shard(const Config& config) {
  const std::int64_t shards = config.shard.count;
  const auto begin_of = [&](auto i) { return config.seeds / shards * i + std::min(i, config.seeds % shards); };
  const std::int64_t begin = begin_of(config.shard.index - 1);
  return {config.seed + begin, begin_of(config.shard.index) - begin};
}

std::int64_t block_size(const Plan& plan, std::size_t row, const Dataset& data) {
  constexpr std::int64_t most_seeds = 1024;
  const auto& architecture = plan.rows[row].architecture;
  if (is_fused(architecture, data, plan.config.seeds)) {
    if (thread_count() == 1) { return most_seeds; }
    // At least four blocks a thread, since they take different times, of whole vectors.
    const auto rows = static_cast<std::int64_t>(plan.rows.size());
    const std::int64_t blocks = (4 * thread_count() + rows - 1) / rows;
    const std::int64_t seeds = (seeds_of_shard(plan.config).count + blocks - 1) / blocks;
    return std::clamp((seeds + lanes - 1) / lanes * lanes, lanes, most_seeds);
  }
  constexpr double tensors = 8;  // output, its gradient, what autograd keeps in between
  const bool cuda = data.input.is_cuda();
  const double most_bytes = cuda ? 256 << 20 : 4 << 20;
  const double values = data.form == DataForm::patches && architecture.variant->takes != Takes::images
                            ? static_cast<double>(architecture.size.fields())
                            : values_per_pixel(architecture.size);
  const double bytes = tensors * values * static_cast<double>(data.target.nbytes());
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(most_bytes / bytes), 1, cuda ? 65536 : most_seeds);
}

void check_memory(const Plan& plan, double available) {
  const auto need = [&](double bytes, const std::string& reason) {
    constexpr double gib = 1 << 30;
    refuse_if(bytes > available,
              "{} would need at least {:.3g} GiB of memory; allowed: what fits into the {:.3g} GiB that are free",
              reason, bytes / gib, available / gib);
  };
  const auto real = [](auto count) { return static_cast<double>(count); };
  const auto& config = plan.config;
  const auto& [height, width] = config.size;
  const auto seeds = seeds_of_shard(config).count;
  const bool whole = config.data == DataForm::image || config.data == DataForm::literal;
  double pixel = 12 + 4 * real(config.variants.size());  // of one scene as tensors, and outputs
  for (const auto& source : plan.sources) {  // noise holds two splits of scenes, three images each in float64
    pixel += 12 + (source.tested_on.empty() ? 0 : 48 * real(config.heldout_scenes));
  }
  double layers = 0;  // of a pixel, in the largest network
  double records = 0;
  for (const auto& [key, architecture, training, start] : plan.rows) {
    const double recorded = 33 * real(parameter_count(architecture));  // a number, and its line of a CSV file
    need(recorded + 16 * real(parameter_count(architecture)), fmt::format("--width: {}", architecture.size.width));
    records += real(seeds) * (33 * real(config.steps) / real(config.log_every) + recorded);
    layers = std::max(layers, whole ? 8 * values_per_pixel(architecture.size) : 0);
  }
  need(real(height) * real(width) * (pixel + layers), fmt::format("--size: {},{}", height, width));
  constexpr auto text = "--seeds: {} with a row of loss.csv every {} of {} steps";
  need(records, fmt::format(text, seeds, config.log_every, config.steps));
}
}  // namespace conv_mult
