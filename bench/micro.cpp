// Micro-benchmarks of every hot path, and of the machine's two limits that they are held against.

#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/micro.cpp"
#include <hwy/foreach_target.h>
// Then:
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace conv_mult::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Multiply-adds of float32 that depend on nothing but their own predecessor, eight chains at once. Returns how many
/// there were.
double multiply_adds(std::int64_t rounds, float* sink) {
  const hn::CappedTag<float, 16> d;
  const auto factor = hn::Set(d, 0.999F);
  auto a0 = hn::Set(d, 1), a1 = hn::Set(d, 2), a2 = hn::Set(d, 3), a3 = hn::Set(d, 4);
  auto a4 = hn::Set(d, 5), a5 = hn::Set(d, 6), a6 = hn::Set(d, 7), a7 = hn::Set(d, 8);
  for (std::int64_t i = 0; i < rounds; ++i) {
    a0 = hn::MulAdd(a0, factor, factor);
    a1 = hn::MulAdd(a1, factor, factor);
    a2 = hn::MulAdd(a2, factor, factor);
    a3 = hn::MulAdd(a3, factor, factor);
    a4 = hn::MulAdd(a4, factor, factor);
    a5 = hn::MulAdd(a5, factor, factor);
    a6 = hn::MulAdd(a6, factor, factor);
    a7 = hn::MulAdd(a7, factor, factor);
  }
  const auto all = hn::Add(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), hn::Add(hn::Add(a4, a5), hn::Add(a6, a7)));
  *sink = hn::GetLane(hn::SumOfLanes(d, all));
  return 8.0 * static_cast<double>(rounds) * static_cast<double>(hn::Lanes(d));
}

/// The sum of `size` floats, a multiple of 64, on an aligned address.
float read_all(const float* values, std::int64_t size) {
  const hn::CappedTag<float, 16> d;
  const auto step = static_cast<std::int64_t>(hn::Lanes(d));
  auto s0 = hn::Zero(d), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
  for (std::int64_t i = 0; i < size; i += 4 * step) {
    s0 = hn::Add(s0, hn::Load(d, values + i));
    s1 = hn::Add(s1, hn::Load(d, values + i + step));
    s2 = hn::Add(s2, hn::Load(d, values + i + 2 * step));
    s3 = hn::Add(s3, hn::Load(d, values + i + 3 * step));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
}
}  // namespace conv_mult::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <ATen/Functions.h>
#include <benchmark/benchmark.h>
#include <torch/cuda.h>
#include <torch/optim/adam.h>
#include <string>
#include "output/records.hpp"
#include "run/results.hpp"
#include "scenes/scene.hpp"
#include "train/machine.hpp"
#include "train/trainer.hpp"
#include "variants/common.hpp"

namespace conv_mult {
namespace {
HWY_EXPORT(multiply_adds);
HWY_EXPORT(read_all);

using benchmark::Counter;
using benchmark::State;

/// The program's own rectangles on an image of that size.
Scene scene_of(std::int64_t size) {
  const auto scaled = [&](const Rectangle& r) {
    return Rectangle{r.top * size / 100, r.left * size / 100, r.height * size / 100, r.width * size / 100, r.value};
  };
  const Config config;
  return cast(make_rectangles({size, size}, scaled(config.rect_a), scaled(config.rect_b)), at::kFloat);
}

Model model_of(const Variant& variant, std::int64_t seeds) {
  return make_model({&variant, {}}, {0, seeds}, at::kFloat, at::kCPU);
}

/// What a second of the benchmark gets done.
void rate(State& state, const char* name, double each) {
  state.counters[name] = Counter(each * static_cast<double>(state.iterations()), Counter::kIsRate);
}

void limit_multiply_adds(State& state) {
  float sink = 0;
  double count = 0;
  for (auto _ : state) {
    count = HWY_DYNAMIC_DISPATCH(multiply_adds)(100'000, &sink);
    benchmark::DoNotOptimize(sink);
  }
  rate(state, "multiply_adds", count);
}

void limit_memory(State& state) {  // bytes: of an image of 1000x1000 with its target, and far beyond any cache
  const auto values = at::ones({state.range(0) / 4});
  for (auto _ : state) {
    benchmark::DoNotOptimize(HWY_DYNAMIC_DISPATCH(read_all)(values.data_ptr<float>(), values.numel()));
  }
  rate(state, "bytes", static_cast<double>(state.range(0)));
}

/// Multiply-adds of one pass: 2 K^2 for z and as many for the gradient.
void fused_pass(State& state, FusedLayer& layer, std::int64_t rows) {
  for (auto _ : state) { layer.losses_and_gradient(); }
  const double parameters = 18;
  const auto replicas = static_cast<double>(layer.weights().size(0));
  rate(state, "multiply_adds", 2 * parameters * static_cast<double>(rows) * replicas);
}

/// Of units, as many multiply-adds as make the factors and exponents, and transcendental functions on top.
void patch_pass_of_seeds(State& state, const Variant& variant) {
  const auto data = make_dataset(scene_of(100), DataForm::patches, 3, variant.encode);
  FusedLayer layer(model_of(variant, state.range(0)), data, LossKind::l2);
  fused_pass(state, layer, data.rows());
}

void image_pass_of_size(State& state) {
  const auto data = make_dataset(scene_of(state.range(0)), DataForm::image, 3);
  FusedLayer layer(model_of(variants::exp, 1), data, LossKind::l2);
  fused_pass(state, layer, data.rows());
  rate(state, "bytes", 12 * static_cast<double>(data.rows()));
}

void literal_pass_of_size(State& state) {
  const auto data = make_dataset(scene_of(state.range(0)), DataForm::literal, 3);
  auto model = model_of(variants::exp, 1);
  for (auto _ : state) {
    for (auto& parameter : model.parameters) { parameter.mutable_grad().reset(); }
    losses_of(LossKind::l2, forward(model, data), data).backward();
  }
}

void adam_step_of_seeds(State& state) {
  auto parameters = at::zeros({state.range(0) * 19});
  parameters.mutable_grad() = at::ones_like(parameters);
  torch::optim::Adam adam({parameters}, torch::optim::AdamOptions(0.01));
  for (auto _ : state) { adam.step(); }
}

/// Steps of exp on a GPU, 500 at a time and as train takes them.
void gpu_steps(State& state, std::int64_t size, DataForm form, std::int64_t seeds) {
  const at::Device gpu(at::kCUDA, 0);
  const auto data = make_dataset(scene_of(size), form, 3).to(at::kFloat, gpu);
  TrainingConfig config;
  config.steps = 500;
  for (auto _ : state) {
    auto model = make_model({&variants::exp, {}}, {0, seeds}, at::kFloat, gpu);
    train(model, {data, {}}, config, [](std::int64_t, const at::Tensor&) { return true; });
  }
  rate(state, "steps", 500);
}

void initial_weights_of_seeds(State& state) {
  for (auto _ : state) { model_of(variants::exp, state.range(0)); }
}

void preparing_a_scene_of_size(State& state) {
  for (auto _ : state) { make_dataset(scene_of(state.range(0)), DataForm::automatic, 3); }
}

void floor_of_the_baseline(State& state) {
  const auto data = make_dataset(cast(scene_of(100), at::kDouble), DataForm::patches, 3);
  for (auto _ : state) { best_affine(data, {3}); }
}

void recording_losses_of_seeds(State& state) {
  const std::vector<double> losses(static_cast<std::size_t>(state.range(0)), 1.0);
  Config config;
  config.steps = config.log_every = 1'000'000'000;
  Recorder recorder(0, state.range(0), config, 0.5);
  std::int64_t step = 0;
  for (auto _ : state) { recorder.take(++step, losses.data()); }
}

void csv_of_a_thousand_curves(State& state) {
  ExperimentResult result;
  result.dtype = "float32";
  VariantResult row;
  row.variant = "exp";
  for (std::int64_t seed = 0; seed < 1000; ++seed) {
    RunRecord run;
    run.seed = seed;
    for (std::int64_t step = 0; step <= 3000; step += 30) {
      run.curve.push_back({step, static_cast<double>(54.772F / static_cast<float>(step + seed + 1))});
    }
    row.runs.push_back(run);
  }
  result.scenes.resize(1);
  result.variants.push_back(row);
  for (auto _ : state) {
    std::size_t bytes = 0;
    write_csv(csv_files.front(), result, [&](std::string_view piece) { bytes += piece.size(); });
    benchmark::DoNotOptimize(bytes);
  }
}

BENCHMARK(limit_multiply_adds)->Unit(benchmark::kMicrosecond);
BENCHMARK(limit_memory)->Arg(12'000'000)->Arg(512 << 20)->Unit(benchmark::kMicrosecond);
BENCHMARK(image_pass_of_size)->Arg(100)->Arg(1000)->Arg(4096)->Unit(benchmark::kMicrosecond);
BENCHMARK(literal_pass_of_size)->Arg(100)->Arg(1000)->Unit(benchmark::kMicrosecond);
BENCHMARK(adam_step_of_seeds)->Arg(32)->Arg(1024)->Unit(benchmark::kMicrosecond);
BENCHMARK(initial_weights_of_seeds)->Arg(1)->Arg(1024)->Unit(benchmark::kMicrosecond);
BENCHMARK(preparing_a_scene_of_size)->Arg(100)->Arg(4096)->Unit(benchmark::kMicrosecond);
BENCHMARK(floor_of_the_baseline)->Unit(benchmark::kMicrosecond);
BENCHMARK(recording_losses_of_seeds)->Arg(1024)->Unit(benchmark::kMicrosecond);
BENCHMARK(csv_of_a_thousand_curves)->Unit(benchmark::kMicrosecond);
}  // namespace
}  // namespace conv_mult

int main(int argc, char** argv) {
  using namespace conv_mult;
  prepare_process(1);
  benchmark::Initialize(&argc, argv);
  for (const auto* variant : all_variants) {
    if (variant->patch_pass) {
      benchmark::RegisterBenchmark((std::string("patch_pass_of_seeds/") + variant->name).c_str(),
                                   [=](benchmark::State& state) { patch_pass_of_seeds(state, *variant); })
          ->Arg(1)
          ->Arg(1024)
          ->Unit(benchmark::kMicrosecond);
    }
  }
  if (torch::cuda::is_available()) {
    for (const std::int64_t seeds : {1, 1024, 65536}) {
      benchmark::RegisterBenchmark(("gpu_steps/seeds:" + std::to_string(seeds)).c_str(), gpu_steps, 100,
                                   DataForm::patches, seeds)
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
    benchmark::RegisterBenchmark("gpu_steps/image:4096", gpu_steps, 4096, DataForm::image, 1)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
#endif
