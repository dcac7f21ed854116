#include "run/task.hpp"
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <cmath>
#include <limits>
#include "train/fused.hpp"

namespace conv_mult {
namespace {
/// [H, W], or any view of as many pixels.
Image to_image(const at::Tensor& pixels, const SceneSource& source) {
  const auto values = pixels.to(at::kCPU, at::kFloat).contiguous();
  const auto* begin = values.data_ptr<float>();
  return {source.height, source.width, {begin, begin + values.numel()}};
}

bool allows_patches(DataForm form) { return form == DataForm::automatic || form == DataForm::patches; }

/// Patches from K = 1 on even where they are all different: then they are smaller than the image's rows.
bool prefers_patches(const Architecture& architecture, DataForm form) {
  return architecture.variant->takes == Takes::patches || (architecture.size.kernel_size == 1 && allows_patches(form));
}

std::int64_t reach_of(const Size& size) { return size.depth * (size.kernel_size / 2); }

/// Calls `use` with all scenes of a split, at most so many at once.
template <typename Use>
void for_scenes(const Split& split, std::int64_t together, const Use& use) {
  for (std::int64_t first = 0; first < split.scenes;) {
    const auto scenes = split.draw(first, std::min(together, split.scenes - first));
    use(scenes);
    first += scenes.a.size(0);
  }
}

/// Of some measure of scenes, an L2 norm, that of all in the split together.
template <typename Norm>
double norm_over(const Split& split, const Norm& norm_of) {
  double norm = 0;
  for_scenes(split, split.scenes, [&](const Scene& scenes) { norm = std::hypot(norm, norm_of(scenes)); });
  return norm;
}

/// Scenes as evaluation takes them, exactly.
Dataset evaluation_data(const Scene& scenes, const Architecture& architecture) {
  const auto& [variant, size] = architecture;
  const bool network = variant->takes == Takes::images;
  if (scenes.has_runs()) {
    return network && size.kernel_size > 1 ? make_shortened_dataset(scenes, reach_of(size))
                                           : make_dataset(scenes, DataForm::patches, size.kernel_size, variant->encode);
  }
  const auto data = make_image_dataset(scenes, DataForm::image, variant->encode);
  return network ? data : unfolded(data, size.kernel_size);
}
}  // namespace

Task::Task(const Config& config, const SceneSource& source) : form_(config.data), loss_(config.loss), source_(source) {
  record_.name = source.name;
  record_.test = source.tested_on;
  for (const auto& split : source.splits) {
    const double pixels = static_cast<double>(split.scenes) * static_cast<double>(source.height * source.width);
    record_.splits.push_back({split.name, split.text, split.scenes, norm_over(split, target_norm), pixels});
  }
  record_.success_error = config.success.given ? config.success.error : source.success;
  if (record_.success_error) {
    record_.success_norm = *record_.success_error * record_.splits.front().target_norm;
  } else {
    record_.judged = source.judged;
    const auto& split = record_.splits[source.judged];
    const double off = config.success.near_exact;
    record_.success_norm =
        config.success.mse ? std::sqrt(*config.success.mse * split.pixels) : off * (2 - off) * split.target_norm;
  }
  const auto shown = whole(cast(source.train(), at::kFloat));
  record_.a = to_image(shown.a, source);
  record_.b = to_image(shown.b, source);
  record_.target = to_image(shown.target, source);
}

TrainingData Task::training_data(const Architecture& architecture, at::ScalarType dtype, at::Device device) const {
  if (!resampled()) { return {fixed_data(architecture, dtype, form_).to(device), {}}; }
  auto redraw = [draw = source_.stream(), ready = Dataset(), scenes = std::int64_t{0}, next = std::int64_t{0},
                 architecture, dtype, device, form = form_]() mutable {
    if (next == scenes) {
      const auto drawn = draw();
      auto data = make_image_dataset(drawn, form, architecture.variant->encode);
      data.input = data.input.to(dtype);
      data.target = data.target.to(dtype);
      ready = (prefers_patches(architecture, form) ? unfolded(data, architecture.size.kernel_size) : data).to(device);
      scenes = drawn.a.size(0);
      next = 0;
    }
    const std::int64_t size = ready.input.size(0) / scenes;
    return part_of(ready, size * next++, size);
  };
  auto first = redraw();
  return {std::move(first), redraw};
}

Dataset Task::fixed_data(const Architecture& architecture, at::ScalarType dtype, DataForm form) const {
  const auto& [variant, size] = architecture;
  const auto scene = cast(source_.train(), dtype);
  if (variant->takes == Takes::images) {
    if (!allows_patches(form) || !scene.has_runs()) { return make_image_dataset(scene, form, variant->encode); }
    return size.kernel_size == 1 ? make_dataset(scene, DataForm::patches, 1, variant->encode)
                                 : make_shortened_dataset(scene, reach_of(size));
  }
  const auto data = make_dataset(scene, form, size.kernel_size, variant->encode);
  return prefers_patches(architecture, form) ? unfolded(data, size.kernel_size) : data;
}

at::Tensor Task::errors(const Model& model, std::size_t split) const {
  const at::NoGradGuard no_grad;
  constexpr std::int64_t most_values = 1 << 22;
  const auto& [variant, size] = model.architecture;
  const bool fused = static_cast<bool>(variant->patch_pass);
  const std::int64_t per_pixel =
      fused ? size.fields()
            : model.replicas() * (variant->takes == Takes::images ? 1 + (size.depth - 1) * size.width
                                                                  : std::max(size.fields(), size.width));
  const auto at_once = [&](auto pixels) { return std::max<std::int64_t>(1, most_values / (pixels * per_pixel)); };
  auto squares = at::zeros({model.replicas()}, at::kDouble);
  std::optional<FusedLayer> layer;
  for_scenes(source_.splits[split], at_once(source_.height * source_.width), [&](const Scene& scenes) {
    const auto data = evaluation_data(scenes, model.architecture);
    if (fused) {
      // For its losses alone: they have the same bits in any company of replicas, products of matrices have not.
      if (!layer) { layer.emplace(model, data, LossKind::l2); }
      layer->set_data(data);
      squares += layer->losses_and_gradient().square();
      return;
    }
    const std::int64_t step = at_once(data.target[0].numel());
    for (std::int64_t begin = 0; begin < data.input.size(0); begin += step) {
      const auto part = part_of(data, begin, std::min(step, data.input.size(0) - begin));
      squares += losses_of(LossKind::l2, forward(model, part), part).square();
    }
  });
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return squares.sqrt().nan_to_num(infinity, infinity);
}

std::optional<double> Task::floor(const Architecture& architecture) const {
  const auto& [variant, size] = architecture;
  const bool mse = loss_ == LossKind::mse;
  if (size.width >= variant->exact_width) { return 0; }
  if (resampled()) { return mse && variant->affine ? source_.affine_error : std::nullopt; }
  if (variant->floor == nullptr) { return std::nullopt; }
  const auto data = fixed_data(architecture, at::kDouble, DataForm::automatic);
  const auto floor = variant->floor(data, size);
  return !floor || !std::isfinite(*floor) ? std::nullopt
                                          : std::optional(mse ? *floor * *floor / data.pixels() : *floor);
}

Image Task::render(const Model& model) const {
  const at::NoGradGuard no_grad;
  const auto data = fixed_data(model.architecture, at::kDouble, DataForm::automatic);
  const auto values = forward(model, data).flatten();
  return to_image(data.row_of.defined() ? data.picture(values) : values, source_);
}
}  // namespace conv_mult
