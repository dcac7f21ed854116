#include <ATen/Functions.h>
#include <c10/core/InferenceMode.h>
#include "run/experiment.hpp"

namespace conv_mult {
namespace {
/// Patches where the variant takes no image, and of K = 1: even where all are different they are smaller than its rows.
Dataset taken(const Dataset& data, const Architecture& architecture, DataForm form) {
  const auto& [variant, size] = architecture;
  const bool patches = variant->takes == Takes::patches || (size.kernel_size == 1 && !is_image(form));
  return patches ? unfolded(data, size.kernel_size) : data;
}

/// A scene as the variant takes it, in this form where it can be.
Dataset data_of(const Scene& scene, const Architecture& architecture, DataForm form) {
  const auto& [variant, size] = architecture;
  if (variant->takes == Takes::images && !is_image(form)) {
    if (scene.has_runs() && size.kernel_size > 1) { return stored_image(shortened(scene, size.reach())); }
    form = scene.has_runs() ? DataForm::patches : DataForm::image;
  }
  return taken(make_dataset(scene, form, size.kernel_size, variant->encode), architecture, form);
}

/// Calls `use` with all scenes of a split, at most so many at once.
template <typename Use>
void for_scenes(const Split& split, std::int64_t together, const Use& use) {
  for (std::int64_t first = 0; first < split.scenes;) {
    const auto scenes = split.draw(first, std::min(together, split.scenes - first));
    use(scenes);
    first += scenes.a.size(0);
  }
}
}  // namespace

Task::Task(const Config& config, const SceneSource& source) : form_(config.data), loss_(config.loss), source_(source) {
  record_.name = source.name;
  record_.test = source.tested_on;
  for (const auto& split : source.splits) {
    const double pixels = static_cast<double>(split.scenes) * static_cast<double>(source.height * source.width);
    double norm = 0;
    for_scenes(split, split.scenes, [&](const Scene& scenes) { norm = std::hypot(norm, target_norm(scenes)); });
    record_.splits.push_back({split.name, split.text, split.scenes, norm, pixels});
  }
  record_.success_error = config.success.given ? config.success.error : source.success;
  record_.judged = record_.success_error && !source.success ? 0 : source.judged;
  const auto& split = record_.splits[record_.judged];
  const double off = config.success.near_exact;
  record_.success_norm = record_.success_error ? *record_.success_error * split.target_norm
                         : config.success.mse  ? std::sqrt(*config.success.mse * split.pixels)
                                               : off * (2 - off) * split.target_norm;
  const auto shown = whole(cast(source.train(), at::kFloat));
  record_.a = shown.a[0][0].contiguous();
  record_.b = shown.b[0][0].contiguous();
  record_.target = shown.target[0][0].contiguous();
  std::tie(record_.own_images, record_.own_target) = std::pair(source.own_images, shown.own_target);
}

TrainingData Task::training_data(const Architecture& architecture, at::ScalarType dtype, at::Device device) const {
  if (!resampled()) { return {data_of(cast(source_.train(), dtype), architecture, form_).to(dtype, device), {}}; }
  auto redraw = [draw = source_.stream(), ready = Dataset(), scenes = std::int64_t{0}, next = std::int64_t{0},
                 architecture, dtype, device, form = form_]() mutable {
    if (next == scenes) {
      const auto drawn = draw();
      const auto images = make_dataset(drawn, is_image(form) ? form : DataForm::image, 1, architecture.variant->encode);
      ready = taken(images.to(dtype, at::kCPU), architecture, form).to(dtype, device);
      scenes = drawn.a.size(0);
      next = 0;
    }
    const std::int64_t size = ready.input.size(0) / scenes;
    return part_of(ready, size * next++, size);
  };
  auto first = redraw();
  return {std::move(first), redraw};
}

at::Tensor Task::errors(const Model& model, std::size_t split) const {
  const c10::InferenceMode without_autograd;
  constexpr std::int64_t most_values = 1 << 22;
  const auto* variant = model.architecture.variant;
  const auto& size = model.architecture.size;
  const bool fused = static_cast<bool>(variant->patch_pass);
  const bool network = variant->takes == Takes::images;
  const std::int64_t per_pixel =
      fused ? size.fields() : model.replicas() * (network ? size.values() : std::max(size.fields(), size.width));
  const auto at_once = [&](auto pixels) { return std::max<std::int64_t>(1, most_values / (pixels * per_pixel)); };
  auto squares = at::zeros({model.replicas()}, at::kDouble);
  std::optional<FusedLayer> layer;
  const auto add = [&](const Dataset& data) {
    const std::int64_t count = data.input.size(0);
    const std::int64_t step = fused ? count : variant->network_pass ? 1 : at_once(data.target[0].numel());
    for (std::int64_t begin = 0; begin < count; begin += step) {
      const auto part = part_of(data, begin, std::min(step, count - begin));
      if (!is_fused(model.architecture, part)) {
        squares += losses_of(LossKind::l2, forward(model, part), part).square();
        continue;
      }
      // They have the same bits in any company of replicas, products of matrices have not.
      if (!layer) { layer.emplace(model, part, LossKind::l2); }
      layer->set_data(part);
      squares += layer->losses_and_gradient(true).square();
    }
  };
  for_scenes(source_.splits[split], at_once(source_.height * source_.width), [&](const Scene& scenes) {
    if (network || scenes.has_runs()) { return add(data_of(scenes, model.architecture, DataForm::patches)); }
    for_fields(make_dataset(scenes, DataForm::image, size.kernel_size, variant->encode), size.kernel_size, add);
  });
  return squares.sqrt().nan_to_num(INFINITY, INFINITY);
}

std::optional<double> Task::floor(const Architecture& architecture) const {
  const auto& [variant, size] = architecture;
  const bool mse = loss_ == LossKind::mse;
  if (size.width >= variant->exact_width && !record_.own_target) { return 0; }
  if (resampled()) { return mse && variant->affine ? source_.affine_error : std::nullopt; }
  if (variant->floor == nullptr || (record_.own_target && !variant->affine)) { return std::nullopt; }
  const auto data = data_of(source_.train(), architecture, DataForm::automatic);
  const auto floor = variant->floor(data, size);
  return !floor || !std::isfinite(*floor) ? std::nullopt
                                          : std::optional(mse ? *floor * *floor / data.pixels() : *floor);
}

at::Tensor Task::render(const Model& model) const {
  const c10::InferenceMode without_autograd;
  const auto& [variant, size] = model.architecture;
  const auto scene = shortened(source_.train(), size.reach());
  const Dataset image{DataForm::image, variant->encode(scene), scene.target};
  std::vector<at::Tensor> values;
  const auto add = [&](const Dataset& part) { values.push_back(forward(model, part).flatten()); };
  variant->takes == Takes::images ? add(image) : for_fields(image, size.kernel_size, add);
  const auto stored = at::cat(values).view({scene.target.size(2), scene.target.size(3)});
  return stored.index_select(0, scene.row_of).index_select(1, scene.column_of).to(at::kFloat).contiguous();
}
}  // namespace conv_mult
