#include "conv_mult/model/model_file.hpp"

#include <ATen/Functions.h>
#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>
#include <torch/csrc/jit/serialization/pickle.h>
#include <torch/csrc/jit/serialization/pickler.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include "conv_mult/files.hpp"

namespace conv_mult {
namespace {

/// Of the parameters, in their order.
std::vector<std::string> names_of(const Architecture& architecture) {
  switch (architecture.variant) {
    case Variant::nmu:
      return {"w"};
    case Variant::nac_mul:
      return {"w", "m"};
    case Variant::nalu:
      return {"w", "m", "g"};
    case Variant::npu:
      return {"w", "g"};
    default:
      break;
  }
  std::vector<std::string> names;
  for (std::int64_t layer = 0; layer < architecture.depth; ++layer) {
    const auto prefix = is_deep(architecture.variant) ? fmt::format("{}.", layer) : "";
    names.push_back(prefix + "weight");
    names.push_back(prefix + "bias");
  }
  return names;
}

std::vector<double> numbers_of(const Model& model) {
  const auto weights = weights_of(model);
  const auto* begin = weights.data_ptr<double>();
  return {begin, begin + weights.numel()};
}

constexpr std::string_view seal_name = "conv_mult ";
constexpr std::size_t seal_size = seal_name.size() + 16;

/// The zip archive with a checksum of itself as its comment, whose length ends the archive. LibTorch reads
/// what it is told: a wrong length of a wrong record may be gigabytes.
std::string with_seal(std::string archive) {
  const auto seal = std::string(seal_name) + checksum(archive);
  archive.at(archive.size() - 2) = static_cast<char>(seal_size);
  return archive + seal;
}

std::string without_seal(std::string content) {
  content.resize(content.size() - seal_size);
  content.at(content.size() - 2) = 0;
  return content;
}

/// Whether a seal ends the file; one that Python wrote has none.
bool is_sealed(const std::string& content) {
  return content.size() > seal_size + 2 &&
         content.compare(content.size() - seal_size, seal_name.size(), seal_name) == 0;
}

Architecture architecture_of(const c10::impl::GenericDict& file) {
  const std::string name = file.at("variant").toStringRef();
  const auto* const variant = std::find_if(all_variants.begin(), all_variants.end(),
                                           [&](Variant each) { return to_string(each) == name; });
  if (variant == all_variants.end()) {
    throw std::runtime_error(fmt::format("its variant '{}' is unknown", name));
  }
  const Architecture read{*variant, file.at("kernel_size").toInt(), file.at("depth").toInt(),
                          file.at("width").toInt()};
  const auto& [_, kernel_size, depth, width] = read;
  const bool deep = is_deep(*variant);
  if (kernel_size < 1 || kernel_size > 31 || kernel_size % 2 == 0 || depth < 1 || width < 1 ||
      depth > (deep ? 64 : 1) || width > (deep ? 1024 : 1)) {
    throw std::runtime_error(
        fmt::format("no {} has kernel size {}, depth {} and width {}", name, kernel_size, depth, width));
  }
  return read;
}

}  // namespace

std::string model_file(const Model& model) {
  const auto& architecture = model.architecture;
  c10::Dict<std::string, at::Tensor> state;
  const auto names = names_of(architecture);
  for (std::size_t i = 0; i < names.size(); ++i) {
    state.insert(names[i], model.parameters[i].detach()[0].to(at::kCPU).contiguous());
  }
  c10::impl::GenericDict file(c10::StringType::get(), c10::AnyType::get());
  file.insert("variant", to_string(architecture.variant));
  file.insert("kernel_size", architecture.kernel_size);
  file.insert("depth", architecture.depth);
  file.insert("width", architecture.width);
  file.insert("state_dict", state);

  // As torch::pickle_save, but without its marks of types, which weights_only refuses.
  std::string pickle;
  torch::jit::Pickler pickler([&](const char* data, std::size_t size) { pickle.append(data, size); }, nullptr,
                              nullptr, nullptr, nullptr, false);
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
  if (is_sealed(content) && with_seal(without_seal(content)) != content) {
    throw std::runtime_error("its checksum is not that of its content");
  }
  try {
    const auto file = torch::jit::pickle_load({content.begin(), content.end()}).toGenericDict();
    SavedModel saved{architecture_of(file), {}};
    const auto state = file.at("state_dict").toGenericDict();
    const auto names = names_of(saved.architecture);
    std::vector<at::Tensor> parameters;
    std::int64_t count = 0;
    for (const auto& name : names) {
      parameters.push_back(state.at(name).toTensor());
      count += parameters.back().numel();
    }
    if (count != parameter_count(saved.architecture)) {  // before as many are allocated
      throw std::runtime_error(
          fmt::format("it has {} numbers in place of {}", count, parameter_count(saved.architecture)));
    }
    const at::NoGradGuard no_grad;
    auto model = make_model(saved.architecture, at::zeros({1, count}, at::kDouble));
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto parameter = model.parameters[i][0];
      if (parameters[i].sizes() != parameter.sizes() || !parameters[i].is_floating_point()) {
        throw std::runtime_error(fmt::format("'{}' has another shape than its variant's", names[i]));
      }
      parameter.copy_(parameters[i]);
    }
    saved.weights = numbers_of(model);
    return saved;
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    throw std::runtime_error(message.substr(0, message.find('\n')));
  } catch (const std::out_of_range&) {
    throw std::runtime_error("a part of it is missing");
  }
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
    const auto variant = models.back().architecture.variant;
    for (std::size_t i = 0; i + 1 < models.size(); ++i) {
      if (models[i].architecture.variant == variant) {
        throw UsageError(
            fmt::format("--load-model: '{}' and '{}' are both of {}; allowed: one of each variant", paths[i],
                        path, to_string(variant)));
      }
    }
  }
  return models;
}

}  // namespace conv_mult
