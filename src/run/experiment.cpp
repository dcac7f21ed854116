#include "conv_mult/run/experiment.hpp"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <utility>

#include "conv_mult/data/dataset.hpp"
#include "conv_mult/data/scene.hpp"
#include "conv_mult/model/optimum.hpp"
#include "conv_mult/model/variants.hpp"
#include "conv_mult/run/evaluation.hpp"
#include "conv_mult/run/machine.hpp"
#include "conv_mult/run/trainer.hpp"

namespace conv_mult {
namespace {

/// [1, 1, H, W], or as many pixels in a row.
Image to_image(const at::Tensor& pixels, const SceneConfig& scene) {
  const auto values = pixels.to(at::kCPU, at::kFloat).contiguous();
  const auto* begin = values.data_ptr<float>();
  return {scene.height, scene.width, {begin, begin + values.numel()}};
}

/// The model's output over the whole scene.
Image render(ConvLayer& model, const Dataset& data, const SceneConfig& scene) {
  const at::NoGradGuard no_grad;
  const auto output = model->forward(data.input, data.form);
  return to_image(data.form == DataForm::patches ? output.flatten().index_select(0, data.index) : output,
                  scene);
}

VariantResult run_variant(const Config& config, Variant variant, const Dataset& data, double target_norm,
                          const OnStep& on_step) {
  auto model =
      make_model(variant, config.kernel_size, config.seed, data.target.scalar_type(), data.target.device());
  VariantResult result;
  result.variant = to_string(variant);
  result.optimizer = to_string(config.training.optimizer);
  result.learning_rate = config.training.learning_rate;
  result.steps = config.training.steps;
  for (const auto& parameter : model->parameters()) {
    result.parameters += parameter.numel();
  }
  result.floor = loss_floor(variant, data, config.kernel_size);

  const auto start = std::chrono::steady_clock::now();
  auto history = train(model, data, config.training,
                       [&](std::int64_t step, double loss) { return on_step(result.variant, step, loss); });
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.runs = {assess(config.seed, std::move(history.losses), history.interrupted, target_norm)};
  result.statistics = statistics_of(result.runs, target_norm);
  result.output = render(model, data, config.scene);
  return result;
}

}  // namespace

ExperimentResult run_experiment(const Config& config, const OnStep& on_step, const OnVariant& on_variant) {
  const auto device = resolve_device(config.machine.device);
  const auto dtype = config.machine.dtype == Dtype::float64 ? at::kDouble : at::kFloat;
  const auto scene = make_rectangles(config.scene, dtype);
  const auto data = make_dataset(scene, config.data, config.kernel_size).to(device);

  ExperimentResult result;
  auto& header = result.header;
  header.conv_mult = conv_mult_version();
  header.libtorch = libtorch_version();
  header.device = device.str();
  header.threads = config.machine.threads;
  header.dtype = to_string(config.machine.dtype);
  header.data_form = to_string(data.form);
  header.rows = data.rows();
  header.target_norm = data.target_norm();
  header.a = to_image(scene.a, config.scene);
  header.b = to_image(scene.b, config.scene);
  header.target = to_image(scene.target, config.scene);

  for (const auto variant : config.variants) {
    result.variants.push_back(run_variant(config, variant, data, header.target_norm, on_step));
    result.interrupted = result.variants.back().runs.back().status == RunStatus::interrupted;
    on_variant(result);
    if (result.interrupted) {
      break;
    }
  }
  return result;
}

}  // namespace conv_mult
