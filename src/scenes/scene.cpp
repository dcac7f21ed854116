#include "scenes/scene.hpp"
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <cmath>
#include <numeric>
#include <utility>

namespace conv_mult {
namespace {
/// The stored rows and columns of these numbers.
Scene picked(const Scene& scene, const at::Tensor& rows, const at::Tensor& columns, const at::Tensor& row_of = {},
             const at::Tensor& column_of = {}) {
  const auto from = [&](const at::Tensor& image) { return image.index_select(2, rows).index_select(3, columns); };
  return make_scene(from(scene.a), from(scene.b), row_of, column_of);
}

/// Along one axis: which of the stored rows each of the short ones is, and which short one stands for each of the
/// image.
std::pair<at::Tensor, at::Tensor> shorten(const at::Tensor& row_of, std::int64_t reach) {
  const auto* row = row_of.data_ptr<std::int64_t>();
  std::vector<std::int64_t> stored;
  std::vector<std::int64_t> origin;
  for (std::int64_t y = 0; y < row_of.numel(); ++y) {
    if (y <= reach || row[y - reach - 1] != row[y] || y + reach >= row_of.numel() ||
        row[y + reach] != row[y]) {  // others repeat the one before
      stored.push_back(row[y]);
    }
    origin.push_back(static_cast<std::int64_t>(stored.size()) - 1);
  }
  return {at::tensor(stored, at::kLong), at::tensor(origin, at::kLong)};
}
}  // namespace

Scene make_scene(const at::Tensor& a, const at::Tensor& b, const at::Tensor& row_of, const at::Tensor& column_of) {
  return {a, b, a * b, row_of, column_of};
}

Scene cast(const Scene& scene, at::ScalarType dtype) {
  return make_scene(scene.a.to(dtype), scene.b.to(dtype), scene.row_of, scene.column_of);
}

at::Tensor pixel_counts(const Scene& scene) {
  return at::outer(at::bincount(scene.row_of), at::bincount(scene.column_of));
}

double target_norm(const Scene& scene) {
  if (!scene.has_runs()) { return scene.target.norm().item<double>(); }
  const auto norms = scene.target.to(at::kDouble).abs() * pixel_counts(scene).to(at::kDouble).sqrt();
  const auto* begin = norms.data_ptr<double>();
  return std::accumulate(begin, begin + norms.numel(), 0.0,
                         [](double norm, double more) { return std::hypot(norm, more); });
}

Scene shortened(const Scene& scene, std::int64_t reach) {
  if (!scene.has_runs()) {
    return {scene.a, scene.b, scene.target, at::arange(scene.height()), at::arange(scene.width())};
  }
  const auto [rows, row_of] = shorten(scene.row_of, reach);
  const auto [columns, column_of] = shorten(scene.column_of, reach);
  return picked(scene, rows, columns, row_of, column_of);
}

Scene whole(const Scene& scene) { return scene.has_runs() ? picked(scene, scene.row_of, scene.column_of) : scene; }

at::Tensor plain(const Scene& scene) { return at::cat({scene.a, scene.b}, 1); }
}  // namespace conv_mult
