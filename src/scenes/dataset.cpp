#include "scenes/dataset.hpp"
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace conv_mult {
namespace {
/// One patch for each place of a kernel on the image, which gets so many pixels of zero on each side.
Dataset unfold(const Dataset& image, std::int64_t kernel_size, std::int64_t padding) {
  const auto columns = at::im2col(image.input, {kernel_size, kernel_size}, {1, 1}, {padding, padding}, {1, 1});
  return {DataForm::patches, columns.transpose(1, 2).reshape({-1, image.input.size(1), kernel_size, kernel_size}),
          image.target.reshape({-1, 1, 1, 1})};
}

/// The roots of how often each pixel of a shortened scene occurs, as its target.
at::Tensor root_counts(const at::Tensor& counts, const at::Tensor& target) {
  return counts.to(at::kDouble).sqrt().to(target.scalar_type()).view(target.sizes());
}
}  // namespace

double Dataset::pixels() const {
  // Of their sizes alone: a sum of counts would have the host wait for the device, at every step.
  return static_cast<double>(row_of.defined() ? row_of.numel() * column_of.numel() : target.numel());
}

double Dataset::target_norm() const {
  const auto values = target.to(at::kDouble);
  return (root_count.defined() ? values * root_count.to(at::kDouble) : values).norm().item<double>();
}

Dataset Dataset::to(at::Device device) const {
  Dataset moved = *this;
  for (auto* tensor : {&moved.input, &moved.target, &moved.root_count, &moved.index, &moved.row_of, &moved.column_of}) {
    if (tensor->defined()) {
      // From pinned memory the host need not wait for the copy: new scenes are on their way all the time.
      *tensor = device.is_cuda() ? tensor->contiguous().pin_memory().to(device, tensor->scalar_type(), true)
                                 : tensor->to(device);
    }
  }
  return moved;
}

at::Tensor Dataset::picture(const at::Tensor& values) const {
  const auto map = index.defined() ? values.index_select(0, index.flatten()).view(index.sizes())
                                   : values.view({target.size(2), target.size(3)});
  return row_of.defined() ? map.index_select(0, row_of).index_select(1, column_of) : map;
}

Dataset make_image_dataset(const Scene& scene, DataForm form, Encode encode) {
  const auto full = whole(scene);
  return {form == DataForm::literal ? form : DataForm::image, encode(full), full.target};
}

Dataset unfolded(const Dataset& data, std::int64_t kernel_size) {
  return data.form == DataForm::patches ? data : unfold(data, kernel_size, kernel_size / 2);
}

void for_fields(const Dataset& data, std::int64_t kernel_size, const std::function<void(const Dataset&)>& use) {
  constexpr std::int64_t most_rows = 65536;
  if (data.form == DataForm::patches) {
    for (std::int64_t begin = 0; begin < data.rows(); begin += most_rows) {
      use(part_of(data, begin, std::min(most_rows, data.rows() - begin)));
    }
    return;
  }
  const std::int64_t padding = kernel_size / 2;
  const std::int64_t height = data.input.size(2);
  const std::int64_t band = std::max<std::int64_t>(1, most_rows / data.input.size(3));
  const auto padded = at::constant_pad_nd(data.input, {padding, padding, padding, padding});
  for (std::int64_t top = 0; top < height; top += band) {
    const std::int64_t size = std::min(band, height - top);
    const auto input = padded.narrow(2, top, size + 2 * padding);
    use(unfold({DataForm::image, input, data.target.narrow(2, top, size)}, kernel_size, 0));
  }
}

std::optional<Dataset> make_patch_dataset(const Scene& scene, std::int64_t kernel_size, std::int64_t limit,
                                          Encode encode) {
  const auto small = shortened(scene, kernel_size / 2);
  std::unordered_map<std::string, std::int64_t> numbers;  // of the bytes of a receptive field
  std::vector<std::int64_t> numbered;                     // each pixel
  std::vector<at::Tensor> fields;
  std::vector<at::Tensor> targets;
  for_fields({DataForm::image, encode(small), small.target}, kernel_size, [&](const Dataset& band) {
    const auto input = band.input.contiguous();
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
    fields.push_back(input.index_select(0, at::tensor(first, at::kLong)));
    targets.push_back(band.target.index_select(0, at::tensor(first, at::kLong)));
  });
  if (numbers.size() > static_cast<std::size_t>(limit)) { return std::nullopt; }
  const auto index = at::tensor(numbered, at::kLong);
  const auto counts = at::bincount(index, pixel_counts(small).flatten());
  const auto target = at::cat(targets);
  return Dataset{
      DataForm::patches, at::cat(fields), target, root_counts(counts, target), index.view({small.target.size(2), -1}),
      small.row_of,      small.column_of};
}

Dataset make_dataset(const Scene& scene, DataForm form, std::int64_t kernel_size, Encode encode) {
  if (form == DataForm::automatic || form == DataForm::patches) {
    const std::int64_t pixels = scene.target.size(0) * scene.height() * scene.width();
    const std::int64_t limit = form == DataForm::patches ? pixels : (pixels - 1) / 4;
    if (auto patches = make_patch_dataset(scene, kernel_size, limit, encode)) { return *std::move(patches); }
  }
  return make_image_dataset(scene, form, encode);
}

Dataset make_shortened_dataset(const Scene& scene, std::int64_t reach) {
  const auto small = shortened(scene, reach);
  return {DataForm::image, plain(small),   small.target, root_counts(pixel_counts(small), small.target), {},
          small.row_of,    small.column_of};
}

Dataset part_of(const Dataset& data, std::int64_t begin, std::int64_t size) {
  const auto part = [&](const at::Tensor& all) { return all.defined() ? all.narrow(0, begin, size) : all; };
  return {data.form, part(data.input), part(data.target), part(data.root_count)};
}
}  // namespace conv_mult
