#include "conv_mult/data/dataset.hpp"

#include <ATen/Dispatch.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cstring>
#include <vector>

namespace conv_mult {
namespace {

/// Numbers distinct fixed-length keys in order of first appearance: open addressing with linear probing; a
/// hit is confirmed by comparing the keys themselves, so a collision of hashes costs time, never correctness.
template <typename Word>
class Numbering {
 public:
  explicit Numbering(std::size_t key_length) : key_length_(key_length), slots_(1024, empty) {}

  std::int64_t number_of(const Word* key) {
    if (2 * hashes_.size() >= slots_.size()) {
      grow();
    }
    const std::uint64_t hash = hash_of(key);
    std::size_t slot = hash & (slots_.size() - 1);
    while (slots_[slot] != empty) {
      const auto number = static_cast<std::size_t>(slots_[slot]);
      if (hashes_[number] == hash && std::memcmp(this->key(number), key, key_length_ * sizeof(Word)) == 0) {
        return slots_[slot];
      }
      slot = (slot + 1) & (slots_.size() - 1);
    }
    slots_[slot] = size();
    hashes_.push_back(hash);
    keys_.insert(keys_.end(), key, key + key_length_);
    return slots_[slot];
  }

  std::int64_t size() const { return static_cast<std::int64_t>(hashes_.size()); }
  const Word* key(std::size_t number) const { return keys_.data() + number * key_length_; }

 private:
  static constexpr std::int64_t empty = -1;

  std::uint64_t hash_of(const Word* key) const {
    std::uint64_t hash = 0x9E3779B97F4A7C15U;  // 2^64 / golden ratio, Fibonacci hashing
    for (std::size_t i = 0; i < key_length_; ++i) {
      std::uint64_t bits = 0;
      std::memcpy(&bits, key + i, sizeof(Word));
      hash = (hash ^ bits) * 0x9E3779B97F4A7C15U;
      hash ^= hash >> 32U;
    }
    return hash;
  }

  void grow() {
    slots_.assign(2 * slots_.size(), empty);
    for (std::size_t number = 0; number < hashes_.size(); ++number) {
      std::size_t slot = hashes_[number] & (slots_.size() - 1);
      while (slots_[slot] != empty) {
        slot = (slot + 1) & (slots_.size() - 1);
      }
      slots_[slot] = static_cast<std::int64_t>(number);
    }
  }

  std::size_t key_length_;
  std::vector<std::int64_t> slots_;
  std::vector<std::uint64_t> hashes_;
  std::vector<Word> keys_;
};

struct Patches {
  std::vector<std::int64_t> first_pixel;  // [P]
  std::vector<double> count;              // [P]
  at::Tensor index;                       // int64 [H * W]
};

/// A receptive field is K neighbouring columns, each of K pixels of both channels. Columns are numbered
/// first, then the K-tuples of column numbers: a pixel costs one key of 2 K values and one of K numbers
/// instead of 2 K^2 values.
template <typename Scalar>
std::optional<Patches> find_patches(const at::Tensor& input, std::int64_t kernel_size, std::int64_t limit) {
  const std::int64_t height = input.size(2);
  const std::int64_t width = input.size(3);
  const std::int64_t padding = kernel_size / 2;
  const auto pixels = input.accessor<Scalar, 4>();

  Numbering<Scalar> columns(static_cast<std::size_t>(2 * kernel_size));
  Numbering<std::int64_t> fields(static_cast<std::size_t>(kernel_size));
  std::vector<Scalar> column(static_cast<std::size_t>(2 * kernel_size), Scalar{0});
  const std::int64_t zero_column = columns.number_of(column.data());
  std::vector<std::int64_t> line(static_cast<std::size_t>(width + 2 * padding), zero_column);

  Patches found;
  found.index = at::empty({height * width}, at::kLong);
  auto* index = found.index.data_ptr<std::int64_t>();
  for (std::int64_t row = 0; row < height; ++row) {
    for (std::int64_t x = 0; x < width; ++x) {
      std::size_t i = 0;
      for (std::int64_t channel = 0; channel < 2; ++channel) {
        for (std::int64_t y = row - padding; y <= row + padding; ++y) {
          column[i++] = y >= 0 && y < height ? pixels[0][channel][y][x] : Scalar{0};
        }
      }
      line[static_cast<std::size_t>(x + padding)] = columns.number_of(column.data());
    }
    for (std::int64_t x = 0; x < width; ++x) {
      const std::int64_t pixel = row * width + x;
      const std::int64_t number = fields.number_of(line.data() + x);
      if (number == static_cast<std::int64_t>(found.count.size())) {
        if (fields.size() > limit) {
          return std::nullopt;
        }
        found.first_pixel.push_back(pixel);
        found.count.push_back(0);
      }
      found.count[static_cast<std::size_t>(number)] += 1;
      index[pixel] = number;
    }
  }
  return found;
}

/// Cuts the receptive fields of the given pixels out of [1, 2, H, W]: [P, 2, K, K].
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

}  // namespace

double Dataset::target_norm() const {
  const auto values = target.to(at::kDouble);
  return (root_count.defined() ? values * root_count.to(at::kDouble) : values).norm().item<double>();
}

Dataset Dataset::to(at::Device device) const {
  Dataset moved = *this;
  for (auto* tensor : {&moved.input, &moved.target, &moved.root_count, &moved.index}) {
    if (tensor->defined()) {
      *tensor = tensor->to(device);
    }
  }
  return moved;
}

Dataset make_image_dataset(const Scene& scene) {
  return {DataForm::image, scene.input(), scene.target, at::Tensor(), at::Tensor()};
}

std::optional<Dataset> make_patch_dataset(const Scene& scene, std::int64_t kernel_size, std::int64_t limit) {
  const auto input = scene.input();
  const auto found = AT_DISPATCH_FLOATING_TYPES(
      input.scalar_type(), "find_patches", [&] { return find_patches<scalar_t>(input, kernel_size, limit); });
  if (!found) {
    return std::nullopt;
  }
  const auto count = at::tensor(found->count, at::kDouble).reshape({-1, 1, 1, 1});
  const auto pixels = at::tensor(found->first_pixel, at::kLong);
  return Dataset{DataForm::patches, cut_out(input, found->first_pixel, kernel_size),
                 scene.target.reshape({-1}).index_select(0, pixels).reshape({-1, 1, 1, 1}),
                 count.sqrt().to(input.scalar_type()), found->index};
}

Dataset make_dataset(const Scene& scene, DataForm form, std::int64_t kernel_size) {
  if (form == DataForm::image) {
    return make_image_dataset(scene);
  }
  const std::int64_t pixels = scene.target.numel();
  const std::int64_t limit = form == DataForm::patches ? pixels : (pixels - 1) / 4;
  auto patches = make_patch_dataset(scene, kernel_size, limit);
  return patches ? *std::move(patches) : make_image_dataset(scene);
}

}  // namespace conv_mult
