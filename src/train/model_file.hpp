#pragma once

#include "train/model.hpp"

namespace conv_mult {
/// The content of a file for conv_mult and for Python's torch.load (with weights_only, too), of one replica:
///   {"variant": str, "kernel_size": int, "depth": int, "width": int, "state_dict": {name: tensor}}
/// The state_dict of one convolution is nn.Conv2d's, that of a deep network nn.ModuleList's of Conv2d; that of a unit
/// has its letters, each [2 K^2]. It is a zip archive with a checksum in its comment.
std::string model_file(const Model& model);

/// What such a file holds.
struct SavedModel {
  Architecture architecture;
  std::vector<double> weights;
};

/// The inverse, in float64, also of files that Python wrote. Throws std::runtime_error: in one line what is wrong.
SavedModel parse_model_file(const std::string& content);

/// The models of the files. Throws std::runtime_error that names a file that is no model, UsageError where a variant is
/// given twice.
std::vector<SavedModel> load_models(const std::vector<std::string>& paths);
}  // namespace conv_mult
