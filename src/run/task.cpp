#include "conv_mult/run/task.hpp"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "conv_mult/model/fused.hpp"
#include "conv_mult/model/optimum.hpp"

namespace conv_mult {
namespace {

enum Stream : std::uint32_t { training, inside, outside };  // of the noise

/// [H, W], or any view of as many pixels.
Image to_image(const at::Tensor& pixels, const SceneConfig& scene) {
  const auto values = pixels.to(at::kCPU, at::kFloat).contiguous();
  const auto* begin = values.data_ptr<float>();
  return {scene.height, scene.width, {begin, begin + values.numel()}};
}

std::string text_of(const std::vector<Interval>& ranges) {
  std::string text;
  for (const auto& [low, high] : ranges) {
    text += fmt::format("{}{} to {}", text.empty() ? "" : " and ", low, high);
  }
  return text;
}

/// The part of a dataset that begins with its n-th image or patch.
Dataset part_of(const Dataset& data, std::int64_t begin, std::int64_t size) {
  Dataset part;
  part.form = data.form;
  part.input = data.input.narrow(0, begin, size);
  part.target = data.target.narrow(0, begin, size);
  if (data.root_count.defined()) {
    part.root_count = data.root_count.narrow(0, begin, size);
  }
  return part;
}

/// Patches from K = 1 on even where they are all different: then they are smaller than the image's rows.
bool prefers_patches(const Architecture& architecture, DataForm form) {
  return is_unit(architecture.variant) ||
         (architecture.kernel_size == 1 && (form == DataForm::automatic || form == DataForm::patches));
}

Scene cast(const Scene& scene, at::ScalarType dtype) {
  return make_scene(scene.a.to(dtype), scene.b.to(dtype));
}

/// Error that near-exact weights leave on these scenes: see Task. L2 norm.
double near_exact_norm(const Scene& scene) {
  constexpr double off = 1e-5;
  const auto almost = [&](const at::Tensor& x) { return (1 - off) * x.to(at::kDouble) + off; };
  return (almost(scene.a) * almost(scene.b) - scene.target.to(at::kDouble)).norm().item<double>();
}

/// Scene after scene of noise, made ready for a model many at a time.
class NoiseStream {
 public:
  NoiseStream(const Config& config, const Interval& range, std::function<Dataset(const Scene&)> prepare)
      : random_(config.scene_seed, training),
        range_(range),
        height_(config.scene.height),
        width_(config.scene.width),
        scenes_(std::clamp<std::int64_t>(65536 / (height_ * width_), 1, 64)),
        next_(scenes_),
        prepare_(std::move(prepare)) {}

  Dataset operator()() {
    if (next_ == scenes_) {
      ready_ = prepare_(make_noise({range_}, scenes_, height_, width_, random_, at::kDouble));
      next_ = 0;
    }
    const std::int64_t size = ready_.input.size(0) / scenes_;
    return part_of(ready_, size * next_++, size);
  }

 private:
  Random random_;
  Interval range_;
  std::int64_t height_, width_, scenes_, next_;
  std::function<Dataset(const Scene&)> prepare_;
  Dataset ready_;
};

}  // namespace

Task::Task(const Config& config, std::size_t scene) : config_(config) {
  const bool rectangles = has_scene(config, SceneKind::rectangles);
  is_noise_ = scene > 0 || !rectangles;
  const std::int64_t count = config.held_out.scenes;
  Scene shown;
  if (is_noise_) {
    noise_ = config.noise[scene - (rectangles ? 1 : 0)];
    record_.name = "noise " + text_of({noise_.range});
    record_.test = text_of(noise_.test_range);
    shown = draw({noise_.range}, training, 1);
    const auto add = [&](const char* name, const Scene& scenes) {
      record_.splits.push_back({name, scenes.target.size(0), scenes.target.norm().item<double>(),
                                static_cast<double>(scenes.target.numel())});
      noise_splits_.push_back(scenes);
    };
    if (!config.resample) {
      add("train", shown);
    }
    add("inside", draw({noise_.range}, inside, count));
    add("outside", draw(noise_.test_range, outside, count));
  } else {
    record_.name = "rectangles";
    // What rounding would hide is needed for near-exactness only.
    shown = make_rectangles(config.scene, config.success.rectangles ? at::kFloat : at::kDouble);
    splits_ = make_splits(config.scene, config.held_out);
    for (const auto& split : splits_) {
      const auto scenes = static_cast<std::int64_t>(split.scenes.size());
      double norm = 0;
      for (const auto& each : split.scenes) {
        norm = std::hypot(norm, target_norm(each));
      }
      record_.splits.push_back(
          {split.name, scenes, norm, static_cast<double>(scenes * config.scene.height * config.scene.width)});
    }
  }
  record_.success_error = is_noise_ ? config.success.noise : config.success.rectangles;
  if (record_.success_error) {
    record_.success_norm = *record_.success_error * record_.splits.front().target_norm;
  } else {
    record_.judged = is_noise_ ? record_.splits.size() - 1 : 0;
    record_.success_norm = near_exact_norm(is_noise_ ? noise_splits_.back() : shown);
  }
  record_.a = to_image(shown.a, config.scene);
  record_.b = to_image(shown.b, config.scene);
  record_.target = to_image(shown.target, config.scene);
}

Scene Task::draw(const std::vector<Interval>& ranges, std::uint32_t stream, std::int64_t pairs) const {
  Random random(stream == training ? config_.scene_seed : config_.held_out.seed, stream);
  return make_noise(ranges, pairs, config_.scene.height, config_.scene.width, random, at::kDouble);
}

bool Task::success_needs_checks() const { return record_.splits[record_.judged].name != "train"; }

TrainingData Task::training_data(const Architecture& architecture, at::ScalarType dtype,
                                 at::Device device) const {
  if (!resampled()) {
    return {fixed_data(architecture, dtype, config_.data).to(device), {}};
  }
  NoiseStream stream(
      config_, noise_.range, [architecture, dtype, device, form = config_.data](const Scene& scenes) {
        auto data = make_image_dataset(scenes, form, encoding_of(architecture.variant));
        data.input = data.input.to(dtype);
        data.target = data.target.to(dtype);
        return (prefers_patches(architecture, form) ? unfolded(data, architecture.kernel_size) : data)
            .to(device);
      });
  auto first = stream();
  return {std::move(first), std::move(stream)};
}

Dataset Task::fixed_data(const Architecture& architecture, at::ScalarType dtype, DataForm form) const {
  const auto& [variant, kernel_size, depth, width] = architecture;
  const auto encoding = encoding_of(variant);
  const bool as_patches = form == DataForm::automatic || form == DataForm::patches;
  const auto& rectangles = config_.scene;
  if (is_deep(variant)) {
    if (is_noise_) {
      return make_image_dataset(cast(draw({noise_.range}, training, 1), dtype), form);
    }
    return !as_patches        ? make_image_dataset(make_rectangles(rectangles, dtype), form)
           : kernel_size == 1 ? make_dataset(rectangles, dtype, DataForm::patches, kernel_size)
                              : make_shortened_dataset(rectangles, dtype, reach_of(architecture));
  }
  const auto data =
      is_noise_ ? make_dataset(cast(draw({noise_.range}, training, 1), dtype), form, kernel_size, encoding)
                : make_dataset(rectangles, dtype, form, kernel_size, encoding);
  return prefers_patches(architecture, form) ? unfolded(data, kernel_size) : data;
}

Dataset Task::evaluation_data(const Architecture& architecture, std::size_t split, std::int64_t first,
                              std::int64_t count) const {
  const auto& [variant, kernel_size, depth, width] = architecture;
  if (is_noise_) {
    const auto& [a, b, target] = noise_splits_[split];
    const Scene scenes{a.narrow(0, first, count), b.narrow(0, first, count), target.narrow(0, first, count)};
    const auto data = make_image_dataset(scenes, DataForm::image, encoding_of(variant));
    return is_deep(variant) ? data : unfolded(data, kernel_size);
  }
  const auto& rectangles = splits_[split].scenes[static_cast<std::size_t>(first)];
  return is_deep(variant) && kernel_size > 1
             ? make_shortened_dataset(rectangles, at::kDouble, reach_of(architecture))
             : make_dataset(rectangles, at::kDouble, DataForm::patches, kernel_size, encoding_of(variant));
}

at::Tensor Task::errors(const Model& model, std::size_t split) const {
  const at::NoGradGuard no_grad;
  constexpr std::int64_t most_values = 1 << 22;
  const bool deep = is_deep(model.architecture.variant);
  const std::int64_t scenes = record_.splits[split].scenes;
  const std::int64_t kernel_size = model.architecture.kernel_size;
  const std::int64_t per_pixel =
      deep ? model.replicas() * values_per_pixel(model.architecture) : 2 * kernel_size * kernel_size;
  const std::int64_t together =  // scenes of rectangles are of several sizes once they are shortened
      is_noise_
          ? std::max<std::int64_t>(1, most_values / (config_.scene.height * config_.scene.width * per_pixel))
          : 1;
  auto squares = at::zeros({model.replicas()}, at::kDouble);
  std::optional<FusedPatches> fused;
  for (std::int64_t first = 0; first < scenes; first += together) {
    const auto data = evaluation_data(model.architecture, split, first, std::min(together, scenes - first));
    if (!deep) {
      // For its losses alone: they have the same bits in any company of replicas, products of matrices have
      // not.
      if (fused) {
        fused->set_data(data);
      } else {
        fused.emplace(model, data, LossKind::l2);
      }
      squares += fused->losses_and_gradient().square();
      continue;
    }
    const std::int64_t at_once =
        std::max<std::int64_t>(1, most_values / (data.target[0].numel() * per_pixel));
    for (std::int64_t begin = 0; begin < data.input.size(0); begin += at_once) {
      const auto part = part_of(data, begin, std::min(at_once, data.input.size(0) - begin));
      squares += losses_of(LossKind::l2, forward(model, part), part).square();
    }
  }
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return squares.sqrt().nan_to_num(infinity, infinity);
}

std::optional<double> Task::floor(const Architecture& architecture) const {
  const auto& [variant, kernel_size, depth, width] = architecture;
  const bool mse = config_.training.loss == LossKind::mse;
  if (variant == Variant::nmu) {
    return 0;
  }
  if (variant == Variant::baseline && resampled()) {
    const double range = noise_.range.high - noise_.range.low;
    return mse ? std::optional(std::pow(range, 4) / 144) : std::nullopt;
  }
  if (variant == Variant::baseline || (variant == Variant::exp && !is_noise_)) {
    const auto data = fixed_data(architecture, at::kDouble, DataForm::automatic);
    const double floor = loss_floor(variant, data, kernel_size);
    return std::isfinite(floor) ? std::optional(mse ? floor * floor / data.pixels() : floor) : std::nullopt;
  }
  return std::nullopt;
}

at::Tensor Task::render(const Model& model) const {
  const at::NoGradGuard no_grad;
  const auto data = fixed_data(model.architecture, at::kDouble, DataForm::automatic);
  const auto values = forward(model, data).flatten();
  return data.row_of.defined() ? data.picture(values) : values;
}

}  // namespace conv_mult
