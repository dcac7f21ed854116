#include "conv_mult/data/dataset.hpp"

#include <ATen/Dispatch.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace conv_mult {
namespace {

struct Patches {
  std::vector<std::int64_t> first_pixel;  // [P]
  std::vector<double> count;              // [P]
  at::Tensor index;                       // int64 [H, W]
};

/// Which row or column of a smaller scene stands for each of a larger one; none: the scene is as it is.
struct Origin {
  at::Tensor row_of, column_of;  // int64
};

template <typename Scalar>
std::optional<Patches> find_patches(const at::Tensor& input, std::int64_t kernel_size, std::int64_t limit,
                                    const Origin& origin) {
  const std::int64_t height = input.size(2);
  const std::int64_t width = input.size(3);
  const std::int64_t padding = kernel_size / 2;
  const auto padded = at::constant_pad_nd(input, {padding, padding, padding, padding}).contiguous();
  const auto pixels = padded.accessor<Scalar, 4>();
  const auto row_count = at::bincount(origin.row_of);
  const auto column_count = at::bincount(origin.column_of);

  Patches found;
  found.index = at::empty({height, width}, at::kLong);
  auto* index = found.index.data_ptr<std::int64_t>();
  std::unordered_map<std::string, std::size_t> numbers;  // of the bytes of a receptive field
  std::string field;
  for (std::int64_t row = 0; row < height; ++row) {
    for (std::int64_t column = 0; column < width; ++column) {
      field.clear();
      for (std::int64_t channel = 0; channel < input.size(1); ++channel) {
        for (std::int64_t y = row; y < row + kernel_size; ++y) {
          field.append(reinterpret_cast<const char*>(&pixels[0][channel][y][column]),
                       static_cast<std::size_t>(kernel_size) * sizeof(Scalar));
        }
      }
      const auto [entry, is_new] = numbers.emplace(field, found.count.size());
      if (is_new) {
        if (static_cast<std::int64_t>(numbers.size()) > limit) {
          return std::nullopt;
        }
        found.first_pixel.push_back(row * width + column);
        found.count.push_back(0);
      }
      found.count[entry->second] += static_cast<double>(row_count.data_ptr<std::int64_t>()[row] *
                                                        column_count.data_ptr<std::int64_t>()[column]);
      index[row * width + column] = static_cast<std::int64_t>(entry->second);
    }
  }
  return found;
}

/// Cuts the receptive fields of the given pixels out of [1, C, H, W]: [P, C, K, K].
at::Tensor cut_out(const at::Tensor& input, const std::vector<std::int64_t>& first_pixel,
                   std::int64_t kernel_size) {
  const std::int64_t padding = kernel_size / 2;
  const std::int64_t width = input.size(3);
  const auto padded = at::constant_pad_nd(input, {padding, padding, padding, padding});
  std::vector<at::Tensor> patches;
  patches.reserve(first_pixel.size());
  for (const std::int64_t pixel : first_pixel) {
    patches.push_back(padded.narrow(2, pixel / width, kernel_size).narrow(3, pixel % width, kernel_size));
  }
  return at::cat(patches);
}

std::optional<Dataset> patches_of(const Scene& scene, std::int64_t kernel_size, std::int64_t limit,
                                  Encoding encoding, const Origin& origin) {
  const auto input = encode(scene, encoding);
  const auto found = AT_DISPATCH_FLOATING_TYPES(input.scalar_type(), "find_patches", [&] {
    return find_patches<scalar_t>(input, kernel_size, limit, origin);
  });
  if (!found) {
    return std::nullopt;
  }
  const auto count = at::tensor(found->count, at::kDouble).reshape({-1, 1, 1, 1});
  const auto pixels = at::tensor(found->first_pixel, at::kLong);
  return Dataset{DataForm::patches,
                 cut_out(input, found->first_pixel, kernel_size),
                 scene.target.reshape({-1}).index_select(0, pixels).reshape({-1, 1, 1, 1}),
                 count.sqrt().to(input.scalar_type()),
                 found->index,
                 origin.row_of,
                 origin.column_of};
}

bool allows_patches(DataForm form) { return form == DataForm::automatic || form == DataForm::patches; }

std::int64_t patch_limit(DataForm form, std::int64_t pixels) {
  return form == DataForm::patches ? pixels : (pixels - 1) / 4;
}

/// Where something begins or ends along one axis of a scene, in order.
std::vector<std::int64_t> edges_along(std::int64_t length, const Rectangle& a, const Rectangle& b,
                                      std::int64_t Rectangle::*begin, std::int64_t Rectangle::*size) {
  std::vector<std::int64_t> edges{0, a.*begin, a.*begin + a.*size, b.*begin, b.*begin + b.*size, length};
  std::sort(edges.begin(), edges.end());
  return edges;
}

/// One axis of a scene with every long run of equal rows cut down: `padding` rows beside each edge and one
/// that stands for the rest.
class ShortAxis {
 public:
  ShortAxis(std::int64_t length, const Rectangle& a, const Rectangle& b, std::int64_t Rectangle::*begin,
            std::int64_t Rectangle::*size, std::int64_t padding)
      : length_(length),
        edges_(edges_along(length, a, b, begin, size)),
        origin_(at::empty({length}, at::kLong)) {
    auto* origin = origin_.data_ptr<std::int64_t>();
    std::int64_t next = 0;
    for (std::size_t i = 0; i + 1 < edges_.size(); ++i) {
      short_edges_.push_back(next);
      const std::int64_t run = edges_[i + 1] - edges_[i];
      for (std::int64_t y = 0; y < run; ++y) {
        const bool middle = y > padding && y < run - padding;  // repeats the row before it
        next += middle || y == 0 ? 0 : 1;
        origin[edges_[i] + y] = next;
      }
      next += run > 0 ? 1 : 0;
    }
    short_edges_.push_back(next);
  }

  /// Where an edge is on the short axis.
  std::int64_t operator()(std::int64_t edge) const {
    return short_edges_[static_cast<std::size_t>(std::find(edges_.begin(), edges_.end(), edge) -
                                                 edges_.begin())];
  }

  std::int64_t size() const { return (*this)(length_); }
  const at::Tensor& origin() const { return origin_; }

 private:
  std::int64_t length_;
  std::vector<std::int64_t> edges_, short_edges_;
  at::Tensor origin_;
};

/// A scene of rectangles made smaller: rows and columns that are like their neighbours up to `reach` pixels
/// away are there but once.
struct Shortened {
  SceneConfig scene;
  Origin origin;
};

Shortened shortened(const SceneConfig& config, std::int64_t reach) {
  const auto& [height, width, a, b] = config;
  const ShortAxis y(height, a, b, &Rectangle::top, &Rectangle::height, reach);
  const ShortAxis x(width, a, b, &Rectangle::left, &Rectangle::width, reach);
  const auto shrunk = [&](const Rectangle& r) {
    return Rectangle{y(r.top), x(r.left), y(r.top + r.height) - y(r.top), x(r.left + r.width) - x(r.left),
                     r.value};
  };
  return {{y.size(), x.size(), shrunk(a), shrunk(b)}, {y.origin(), x.origin()}};
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
  for (auto* tensor :
       {&moved.input, &moved.target, &moved.root_count, &moved.index, &moved.row_of, &moved.column_of}) {
    if (tensor->defined()) {
      // From pinned memory the host need not wait for the copy: scenes drawn anew are on their way all the
      // time.
      *tensor = device.is_cuda() ? tensor->contiguous().pin_memory().to(device, tensor->scalar_type(), true)
                                 : tensor->to(device);
    }
  }
  return moved;
}

at::Tensor Dataset::picture(const at::Tensor& values) const {
  if (!row_of.defined()) {
    return values.view({target.size(2), target.size(3)});
  }
  const auto map = index.defined() ? values.index_select(0, index.flatten()).view(index.sizes())
                                   : values.view({target.size(2), target.size(3)});
  return map.index_select(0, row_of).index_select(1, column_of);
}

Dataset make_image_dataset(const Scene& scene, DataForm form, Encoding encoding) {
  Dataset data;
  data.form = form == DataForm::literal ? form : DataForm::image;
  data.input = encode(scene, encoding);
  data.target = scene.target;
  return data;
}

Dataset unfolded(const Dataset& data, std::int64_t kernel_size) {
  if (data.form == DataForm::patches) {
    return data;
  }
  const std::int64_t padding = kernel_size / 2;
  Dataset patches;
  patches.form = DataForm::patches;
  patches.input = at::im2col(data.input, {kernel_size, kernel_size}, {1, 1}, {padding, padding}, {1, 1})
                      .transpose(1, 2)
                      .reshape({-1, data.input.size(1), kernel_size, kernel_size});
  patches.target = data.target.reshape({-1, 1, 1, 1});
  return patches;
}

std::optional<Dataset> make_patch_dataset(const Scene& scene, std::int64_t kernel_size, std::int64_t limit,
                                          Encoding encoding) {
  return patches_of(scene, kernel_size, limit, encoding,
                    {at::arange(scene.target.size(2)), at::arange(scene.target.size(3))});
}

Dataset make_dataset(const Scene& scene, DataForm form, std::int64_t kernel_size, Encoding encoding) {
  if (allows_patches(form)) {
    if (auto patches =
            make_patch_dataset(scene, kernel_size, patch_limit(form, scene.target.numel()), encoding)) {
      return *std::move(patches);
    }
  }
  return make_image_dataset(scene, form, encoding);
}

Dataset make_dataset(const SceneConfig& config, at::ScalarType dtype, DataForm form, std::int64_t kernel_size,
                     Encoding encoding) {
  if (allows_patches(form)) {
    const auto& [small, origin] = shortened(config, kernel_size / 2);
    if (auto patches = patches_of(make_rectangles(small, dtype), kernel_size,
                                  patch_limit(form, config.height * config.width), encoding, origin)) {
      return *std::move(patches);
    }
  }
  return make_image_dataset(make_rectangles(config, dtype), form, encoding);
}

std::int64_t shortened_pixels(const SceneConfig& config, std::int64_t reach) {
  const auto along = [&](std::int64_t length, std::int64_t Rectangle::*begin, std::int64_t Rectangle::*size) {
    const auto edges = edges_along(length, config.a, config.b, begin, size);
    std::int64_t left = 0;
    for (std::size_t i = 0; i + 1 < edges.size(); ++i) {
      left += std::min(edges[i + 1] - edges[i], 2 * reach + 1);
    }
    return left;
  };
  return along(config.height, &Rectangle::top, &Rectangle::height) *
         along(config.width, &Rectangle::left, &Rectangle::width);
}

Dataset make_shortened_dataset(const SceneConfig& config, at::ScalarType dtype, std::int64_t reach) {
  const auto& [small, origin] = shortened(config, reach);
  auto data = make_image_dataset(make_rectangles(small, dtype), DataForm::image);
  const auto count = at::outer(at::bincount(origin.row_of), at::bincount(origin.column_of));
  data.root_count = count.to(at::kDouble).sqrt().to(dtype).view(data.target.sizes());
  data.row_of = origin.row_of;
  data.column_of = origin.column_of;
  return data;
}

}  // namespace conv_mult
