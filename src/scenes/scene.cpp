#include "scenes/scene.hpp"
#include <ATen/Functions.h>
#include "options/text.hpp"

namespace conv_mult {
const std::vector<SceneKind> scene_kinds{{"rectangles", rectangles}, {"noise", noise}, {"files", files}};

std::vector<SceneSource> sources_of(const Config& config) {
  std::vector<SceneSource> sources;
  for (const auto& [name, sources_for] : scene_kinds) {
    if (!contains(config.scenes, name)) { continue; }
    for (auto& source : sources_for(config)) {
      refuse_if(config.resample && !source.stream,
                "--resample: {} cannot be drawn anew; allowed: only with --scene noise", source.name);
      sources.push_back(std::move(source));
    }
  }
  return sources;
}

namespace {
/// The stored rows and columns of these numbers.
Scene picked(const Scene& scene, const at::Tensor& rows, const at::Tensor& columns, const at::Tensor& row_of = {},
             const at::Tensor& column_of = {}) {
  const auto from = [&](const at::Tensor& image) { return image.index_select(2, rows).index_select(3, columns); };
  return make_scene(from(scene.a), from(scene.b), row_of, column_of);
}

/// Along one axis: which of the stored rows each of the short ones is, and which short one each of the image is.
std::pair<at::Tensor, at::Tensor> shorten(const at::Tensor& row_of, std::int64_t reach) {
  auto stored = at::ones(row_of.numel(), at::kBool);  // others repeat the one before
  const std::int64_t end = row_of.numel() - reach;
  if (end > reach + 1) {
    const auto row = row_of.slice(0, reach + 1, end);
    const auto differs = row_of.slice(0, 0, end - reach - 1).ne(row).logical_or(row_of.slice(0, 2 * reach + 1).ne(row));
    stored.slice(0, reach + 1, end).copy_(differs);
  }
  return {row_of.masked_select(stored), stored.cumsum(0) - 1};
}

/// Of a scene with runs, how many pixels each stored one stands for: int64 [h, w].
at::Tensor pixel_counts(const Scene& scene) {
  return at::outer(at::bincount(scene.row_of), at::bincount(scene.column_of));
}

/// One patch for each place of a kernel on the image, which gets so many pixels of zero on each side.
Dataset unfold(const Dataset& image, std::int64_t kernel_size, std::int64_t padding) {
  const auto columns = kernel_size == 1
                           ? image.input.flatten(2)
                           : at::im2col(image.input, {kernel_size, kernel_size}, {1, 1}, {padding, padding}, {1, 1});
  return {DataForm::patches, columns.transpose(1, 2).reshape({-1, image.input.size(1), kernel_size, kernel_size}),
          image.target.reshape({-1, 1, 1, 1})};
}

/// A dataset of which each row occurs so often: int64, as many as rows.
Dataset with_counts(const Dataset& data, const at::Tensor& counts) {
  const auto roots = counts.to(at::kDouble).sqrt().to(data.target.scalar_type()).view(data.target.sizes());
  return {data.form, data.input, data.target, roots, counts.sum().item<std::int64_t>()};
}

/// The distinct receptive fields; none where there are more than `limit`.
std::optional<Dataset> distinct_fields(const Scene& scene, std::int64_t kernel_size, std::int64_t limit,
                                       Encode encode) {
  const auto small = shortened(scene, kernel_size / 2);
  std::unordered_map<std::string, std::int64_t> numbers;  // of the bytes of a receptive field and its target
  std::vector<std::int64_t> numbered;                     // each pixel
  std::vector<at::Tensor> fields;
  std::vector<at::Tensor> targets;
  for_fields({DataForm::image, encode(small), small.target}, kernel_size, [&](const Dataset& band) {
    if (numbers.size() > static_cast<std::size_t>(limit)) { return; }
    const auto input = at::cat({band.input.flatten(1), band.target.flatten(1)}, 1);
    const std::size_t bytes = input.nbytes() / static_cast<std::size_t>(input.size(0));
    const auto* field = static_cast<const char*>(input.data_ptr());
    std::vector<std::int64_t> first;
    for (std::int64_t i = 0; i < input.size(0) && numbers.size() <= static_cast<std::size_t>(limit); ++i) {
      const auto next = static_cast<std::int64_t>(numbers.size());
      const auto [entry, is_new] = numbers.emplace(std::string(field, bytes), next);
      if (is_new) { first.push_back(i); }
      numbered.push_back(entry->second);
      field += bytes;
    }
    fields.push_back(band.input.index_select(0, at::tensor(first, at::kLong)));
    targets.push_back(band.target.index_select(0, at::tensor(first, at::kLong)));
  });
  if (numbers.size() > static_cast<std::size_t>(limit)) { return std::nullopt; }
  const auto counts = at::bincount(at::tensor(numbered, at::kLong), pixel_counts(small).flatten());
  return with_counts({DataForm::patches, at::cat(fields), at::cat(targets)}, counts);
}
}  // namespace

Scene make_scene(const at::Tensor& a, const at::Tensor& b, const at::Tensor& row_of, const at::Tensor& column_of) {
  return {a, b, a * b, row_of, column_of};
}

Scene cast(const Scene& scene, at::ScalarType dtype) {
  const auto a = scene.a.to(dtype);
  const auto b = scene.b.to(dtype);
  return {a, b, scene.own_target ? scene.target.to(dtype) : a * b, scene.row_of, scene.column_of, scene.own_target};
}

double target_norm(const Scene& scene) {
  if (!scene.has_runs()) { return scene.target.norm().item<double>(); }
  const auto norms = scene.target.to(at::kDouble).abs() * pixel_counts(scene).to(at::kDouble).sqrt();
  const auto* begin = norms.data_ptr<double>();
  return std::accumulate(begin, begin + norms.numel(), 0.0,
                         [](double norm, double more) { return std::hypot(norm, more); });
}

Scene whole(const Scene& scene) { return scene.has_runs() ? picked(scene, scene.row_of, scene.column_of) : scene; }

Scene shortened(const Scene& scene, std::int64_t reach) {
  if (!scene.has_runs()) {
    return {scene.a, scene.b, scene.target, at::arange(scene.height()), at::arange(scene.width())};
  }
  const auto [rows, row_of] = shorten(scene.row_of, reach);
  const auto [columns, column_of] = shorten(scene.column_of, reach);
  return picked(scene, rows, columns, row_of, column_of);
}

at::Tensor plain(const Scene& scene) { return at::cat({scene.a, scene.b}, 1); }

Dataset Dataset::to(at::ScalarType dtype, at::Device device) const {
  Dataset moved = *this;
  for (auto* tensor : {&moved.input, &moved.target, &moved.root_count}) {
    if (tensor->defined()) {
      // From pinned memory the host need not wait for the copy: new scenes are on their way all the time.
      *tensor = tensor->to(dtype);
      if (device.is_cuda()) { *tensor = tensor->contiguous().pin_memory().to(device, dtype, true); }
    }
  }
  return moved;
}

Dataset unfolded(const Dataset& data, std::int64_t kernel_size) {
  return data.form == DataForm::patches ? data : unfold(data, kernel_size, kernel_size / 2);
}

void for_fields(const Dataset& data, std::int64_t kernel_size, const std::function<void(const Dataset&)>& use) {
  constexpr std::int64_t most_fields = 65536;
  const bool patches = data.form == DataForm::patches;
  const std::int64_t padding = kernel_size / 2;
  const std::int64_t count = data.target.size(patches ? 0 : 2);  // of patches or of rows
  const std::int64_t together = patches ? most_fields : std::max<std::int64_t>(1, most_fields / data.target.size(3));
  for (std::int64_t begin = 0; begin < count; begin += together) {
    const std::int64_t size = std::min(together, count - begin);
    if (patches) {
      use(part_of(data, begin, size));
      continue;
    }
    const std::int64_t above = std::min(begin, padding);  // rows of the image
    const std::int64_t below = std::min(count - begin - size, padding);
    const auto rows = at::constant_pad_nd(data.input.narrow(2, begin - above, above + size + below),
                                          {padding, padding, padding - above, padding - below});
    use(unfold({data.form, rows, data.target.narrow(2, begin, size)}, kernel_size, 0));
  }
}

Dataset make_dataset(const Scene& scene, DataForm form, std::int64_t kernel_size, Encode encode) {
  if (!is_image(form)) {
    const std::int64_t pixels = scene.target.size(0) * scene.height() * scene.width();
    const std::int64_t limit = form == DataForm::patches ? pixels : std::min<std::int64_t>((pixels - 1) / 4, 1 << 18);
    if (auto patches = distinct_fields(scene, kernel_size, limit, encode)) { return *std::move(patches); }
  }
  const auto full = whole(scene);
  return {form == DataForm::literal ? form : DataForm::image, encode(full), full.target};
}

Dataset stored_image(const Scene& scene) {
  return with_counts({DataForm::image, plain(scene), scene.target}, pixel_counts(scene));
}

Dataset part_of(const Dataset& data, std::int64_t begin, std::int64_t size) {
  const auto part = [&](const at::Tensor& all) { return all.defined() ? all.narrow(0, begin, size) : all; };
  return {data.form, part(data.input), part(data.target), part(data.root_count)};
}
}  // namespace conv_mult
