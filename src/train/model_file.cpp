#include "train/model_file.hpp"
#include <ATen/Functions.h>
#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>
#include <torch/csrc/jit/serialization/pickle.h>
#include <torch/csrc/jit/serialization/pickler.h>
#include "options/text.hpp"
#include "util/files.hpp"

namespace conv_mult {
namespace {
constexpr std::string_view seal_name = "conv_mult ";
constexpr std::size_t seal_size = seal_name.size() + 16;

/// The zip archive with a checksum of itself as its comment, whose length ends the archive. LibTorch reads what it is
/// told: a wrong length of a wrong record may be gigabytes.
std::string with_seal(std::string archive) {
  const auto seal = std::string(seal_name) + checksum(archive);
  archive.at(archive.size() - 2) = static_cast<char>(seal_size);
  return archive + seal;
}

/// Throws std::runtime_error where the two do not agree. Python writes the archive without a seal.
void check_seal(const std::string& content) {
  const auto begin = content.size() - std::min(content.size(), seal_size);
  if (content.compare(begin, seal_name.size(), seal_name) != 0 || begin < 2) { return; }
  auto archive = content.substr(0, begin);
  archive[begin - 2] = 0;
  if (with_seal(archive) != content) { throw std::runtime_error("its checksum is not that of its content"); }
}

Architecture architecture_of(const c10::impl::GenericDict& file) {
  const std::string name = file.at("variant").toStringRef();
  const auto* variant = find_variant(name);
  if (variant == nullptr) { throw std::runtime_error(fmt::format("its variant '{}' is unknown", name)); }
  const Size size{file.at("kernel_size").toInt(), file.at("depth").toInt(), file.at("width").toInt(),
                  variant->may_have_bias && file.at("state_dict").toGenericDict().contains("0.bias")};
  const auto& [kernel_size, depth, width, bias] = size;
  if (kernel_size < 1 || kernel_size > 31 || kernel_size % 2 == 0 || depth < 1 || width < 1 ||
      depth > (variant->sized ? 64 : 1) || (variant->depth > 0 && depth != variant->depth) ||
      width > (variant->sized ? 1024 : 1)) {
    throw std::runtime_error(
        fmt::format("no {} has kernel size {}, depth {} and width {}", name, kernel_size, depth, width));
  }
  return {variant, size};
}
}  // namespace

std::string model_file(const Model& model) {
  const auto& architecture = model.architecture;
  c10::Dict<std::string, at::Tensor> state;
  const auto parameters = architecture.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    state.insert(parameters[i].name, model.parameters[i].detach()[0].to(at::kCPU).contiguous());
  }
  c10::impl::GenericDict file(c10::StringType::get(), c10::AnyType::get());
  file.insert("variant", std::string(architecture.variant->name));
  file.insert("kernel_size", architecture.size.kernel_size);
  file.insert("depth", architecture.size.depth);
  file.insert("width", architecture.size.width);
  file.insert("state_dict", state);

  // As torch::pickle_save, but without its marks of types, which weights_only refuses.
  std::string pickle;
  torch::jit::Pickler pickler([&](const char* data, std::size_t size) { pickle.append(data, size); }, nullptr, nullptr,
                              nullptr, nullptr, false);
  pickler.protocol();
  pickler.pushIValue(file);
  pickler.stop();
  std::string content;
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, std::size_t size) {
    content.append(static_cast<const char*>(data), size);
    return size;
  });
  writer.writeRecord("data.pkl", pickle.data(), pickle.size());
  std::size_t count = 0;
  for (const auto& tensor : pickler.tensorData()) {
    writer.writeRecord(fmt::format("data/{}", count++), tensor.data_ptr(), tensor.nbytes());
  }
  writer.writeEndOfFile();
  return with_seal(content);
}

SavedModel parse_model_file(const std::string& content) {
  check_seal(content);
  try {
    const auto file = torch::jit::pickle_load({content.begin(), content.end()}).toGenericDict();
    SavedModel saved{architecture_of(file), {}};
    const auto state = file.at("state_dict").toGenericDict();
    for (const auto& [name, shape, low, high] : saved.architecture.parameters()) {
      const auto parameter = state.at(name).toTensor();
      if (parameter.sizes() != at::IntArrayRef(shape) || !parameter.is_floating_point()) {
        throw std::runtime_error(fmt::format("'{}' has another shape than its variant's", name));
      }
      const auto numbers = parameter.to(at::kCPU, at::kDouble).contiguous();
      const auto* first = numbers.data_ptr<double>();
      saved.weights.insert(saved.weights.end(), first, first + numbers.numel());
    }
    return saved;
  } catch (const c10::Error&) {
    throw std::runtime_error("LibTorch cannot read it");
  } catch (const std::out_of_range&) { throw std::runtime_error("a part of it is missing"); }
}

std::vector<SavedModel> load_models(const std::vector<std::string>& paths) {
  std::vector<SavedModel> models;
  for (const auto& path : paths) {
    const auto content = read_file(path);
    try {
      models.push_back(parse_model_file(content));
    } catch (const std::exception& error) {
      throw std::runtime_error(fmt::format("'{}' is no saved model, or damaged: {}", path, error.what()));
    }
    const auto* variant = models.back().architecture.variant;
    for (std::size_t i = 0; i + 1 < models.size(); ++i) {
      refuse_if(models[i].architecture.variant == variant,
                "--load-model: '{}' and '{}' are both of {}; allowed: one of each variant", paths[i], path,
                variant->name);
    }
  }
  return models;
}
}  // namespace conv_mult
