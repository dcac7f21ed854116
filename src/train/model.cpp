#include "train/model.hpp"
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/accumulate.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/pickler.h>
#include "options/text.hpp"
#include "util/files.hpp"
#include "util/pickle.hpp"

namespace conv_mult {
namespace {
Architecture architecture_of(const c10::impl::GenericDict& file) {
  const std::string name = file.at("variant").toStringRef();
  const auto* variant = find_variant(name);
  check(variant != nullptr, fmt::format("its variant '{}' is unknown", name));
  const Size size{file.at("kernel_size").toInt(), file.at("depth").toInt(), file.at("width").toInt(),
                  variant->may_have_bias && file.at("state_dict").toGenericDict().contains("0.bias")};
  const auto& [kernel_size, depth, width, bias] = size;
  check(kernel_size >= 1 && kernel_size <= 31 && kernel_size % 2 == 1 && depth >= 1 && width >= 1 &&
            depth <= (variant->sized ? 64 : 1) && (variant->depth == 0 || depth == variant->depth) &&
            width <= (variant->sized ? 1024 : 1),
        fmt::format("no {} has kernel size {}, depth {} and width {}", name, kernel_size, depth, width));
  return {variant, size};
}
}  // namespace

Model make_model(const Architecture& architecture, SeedRange seeds, at::ScalarType dtype, at::Device device) {
  const auto parameters = architecture.parameters();
  std::vector<at::Tensor> drawn;  // of one replica after the other
  for (std::int64_t i = 0; i < seeds.count; ++i) {
    const auto generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(seeds.first + i));
    for (const auto& [name, shape, low, high, normal] : parameters) {
      auto numbers = at::full({c10::multiply_integers(shape)}, low, at::kFloat);
      drawn.push_back(normal        ? numbers.normal_(low, high, generator)
                      : low == high ? numbers
                                    : numbers.uniform_(low, high, generator));
    }
  }
  auto model = make_model(architecture, at::cat(drawn).view({seeds.count, -1}).to(device, dtype));
  model.first_seed = seeds.first;
  return model;
}

Model make_model(const Architecture& architecture, const at::Tensor& weights) {
  Model model{architecture, {}};
  for (auto& [name, shape, low, high, normal] : architecture.parameters()) {
    shape.insert(shape.begin(), weights.size(0));
    model.parameters.push_back(at::empty(shape, weights.options()).requires_grad_());
  }
  set_weights(model, weights);
  return model;
}

std::int64_t parameter_count(const Architecture& architecture) {
  std::int64_t count = 0;
  for (const auto& parameter : architecture.parameters()) { count += c10::multiply_integers(parameter.shape); }
  return count;
}

at::Tensor forward_in_training(Model& model, const Dataset& data) {
  if (model.variant().noisy_output == nullptr) { return forward(model, data); }
  constexpr std::uint32_t stream = 16;  // beyond those of scenes
  auto noise = at::empty({model.replicas(), data.input.size(0), model.architecture.size.fields()}, at::kDouble);
  auto* number = noise.data_ptr<double>();
  for (std::int64_t i = 0; i < model.replicas(); ++i) {
    if (model.noise.size() <= static_cast<std::size_t>(i)) { model.noise.emplace_back(model.first_seed + i, stream); }
    number = std::generate_n(number, noise[0].numel(), [&] { return model.noise[static_cast<std::size_t>(i)].unit(); });
  }
  return model.variant().noisy_output(model.parameters, data, noise.transpose(0, 1).to(data.input.options()));
}

std::optional<at::Tensor> sparsity_error(const Model& model) {
  if (model.variant().selection == nullptr) { return std::nullopt; }
  const auto w = model.variant().selection(model.parameters).detach().abs();
  return at::minimum(w, (1 - w).abs()).flatten(1).amax(1);
}

at::Tensor weights_of(const Model& model) {
  std::vector<at::Tensor> rows;
  for (const auto& parameter : model.parameters) { rows.push_back(parameter.detach().flatten(1)); }
  return at::cat(rows, 1).to(at::kCPU, at::kDouble).contiguous();
}

void set_weights(Model& model, const at::Tensor& weights) {
  const at::NoGradGuard no_grad;
  std::int64_t begin = 0;
  for (auto& parameter : model.parameters) {
    const std::int64_t size = parameter.numel() / parameter.size(0);
    parameter.copy_(weights.narrow(1, begin, size).reshape(parameter.sizes()));
    begin += size;
  }
}

at::Tensor losses_of(LossKind kind, const at::Tensor& output, const Dataset& data) {
  const auto difference = output - data.target;
  const auto error = data.root_count.defined() ? difference * data.root_count : difference;
  if (kind == LossKind::mse) { return error.square().sum({0, 2, 3}) / data.pixels(); }
  // One replica is PyTorch's own sequence of operators, to the last bit.
  return output.size(1) == 1 ? error.norm().view({1}) : error.norm(2, at::IntArrayRef{0, 2, 3});
}

std::string model_file(const Model& model) {
  c10::Dict<std::string, at::Tensor> state;
  const auto parameters = model.architecture.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    state.insert(parameters[i].name, model.parameters[i].detach()[0].to(at::kCPU).contiguous());
  }
  c10::impl::GenericDict file(c10::StringType::get(), c10::AnyType::get());
  file.insert("variant", std::string(model.variant().name));
  file.insert("kernel_size", model.architecture.size.kernel_size);
  file.insert("depth", model.architecture.size.depth);
  file.insert("width", model.architecture.size.width);
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
  return content;
}

Model parse_model_file(const std::string& content) {
  try {
    const auto file = unpickled(content).toGenericDict();
    Model model{architecture_of(file), {}};
    const auto state = file.at("state_dict").toGenericDict();
    for (const auto& [name, shape, low, high, normal] : model.architecture.parameters()) {
      const auto parameter = state.at(name).toTensor();
      check(parameter.sizes() == at::IntArrayRef(shape) && parameter.is_floating_point(),
            fmt::format("'{}' has another shape than its variant's", name));
      model.parameters.push_back(parameter.to(at::kDouble).unsqueeze(0));
    }
    return model;
  } catch (const c10::Error&) {
    throw std::runtime_error("it is not the dictionary of a model");
  } catch (const std::out_of_range&) {
    throw std::runtime_error("it lacks variant, kernel_size, depth, width, state_dict, or a part of that");
  }
}

std::vector<Model> load_models(const std::vector<std::string>& paths) {
  std::vector<Model> models;
  std::map<std::string, std::string> path_of;  // each variant
  for (const auto& path : paths) {
    const auto content = read_file(path);
    try {
      models.push_back(parse_model_file(content));
    } catch (const std::exception& error) {
      throw std::runtime_error(fmt::format("'{}' is no saved model, or damaged: {}", path, error.what()));
    }
    const auto [variant, is_first] = path_of.emplace(models.back().architecture.variant->name, path);
    refuse_if(!is_first, "--load-model: '{}' and '{}' are both of {}; allowed: one of each variant", variant->second,
              path, variant->first);
  }
  return models;
}
}  // namespace conv_mult
