#include "conv_mult/run/machine.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <malloc.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include <algorithm>
#include <thread>

namespace conv_mult {

void prepare_process(const MachineConfig& config) {
  // A dense step allocates and frees the same few blocks over and over. Above its threshold (at most 32 MiB)
  // glibc maps and unmaps each anew, and the page faults cost more than the arithmetic; so keep such blocks
  // in the heap.
  constexpr int threshold = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, threshold);
  mallopt(M_TRIM_THRESHOLD, threshold);

  // On a GPU float32 is float32, not TF32 with its ten bits, and a run can be repeated to the last bit.
  auto& context = at::globalContext();
  context.setAllowTF32CuDNN(false);
  context.setAllowTF32CuBLAS(false);
  context.setDeterministicCuDNN(true);

  // Networks of exp run into numbers of below 1e-38 by the million, each of which costs a hundred normal
  // ones; as 0 they change nothing. Threads that are started later inherit the setting.
  at::Context::setFlushDenormal(true);

  // More threads than cores only wait for each other: 32 on two cores took 40 times as long.
  const auto cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  at::set_num_threads(std::min(config.threads, cores));
  at::set_num_interop_threads(1);
  // OpenBLAS built with its own threads does not listen to OpenMP's setting and would compete with it; the
  // products here are too small for threads of their own.
  using SetThreads = void (*)(int);
  if (auto* symbol = dlsym(RTLD_DEFAULT, "openblas_set_num_threads"); symbol != nullptr) {
    reinterpret_cast<SetThreads>(symbol)(1);
  }
}

c10::Device resolve_device(const std::string& name) {
  const bool available = torch::cuda::is_available();
  if (name == "cpu" || (name == "auto" && !available)) {
    return c10::kCPU;
  }
  if (!available) {
    throw UsageError(fmt::format("--device: {} is not available: {}; allowed: auto, cpu", name,
                                 at::detail::getCUDAHooks().hasCUDART()
                                     ? "no GPU was found"
                                     : "this LibTorch was built without CUDA"));
  }
  const c10::Device device(name == "auto" ? "cuda" : name);
  const auto count = static_cast<int>(torch::cuda::device_count());
  if (device.has_index() && device.index() >= count) {
    throw UsageError(fmt::format("--device: {} does not exist; allowed: cuda:0 to cuda:{}", name, count - 1));
  }
  return device;
}

std::string libtorch_version() { return TORCH_VERSION; }

std::string conv_mult_version() { return CONV_MULT_VERSION; }

std::string version_text() {
  return fmt::format("conv_mult {} (LibTorch {}, {} CUDA)", conv_mult_version(), libtorch_version(),
                     at::detail::getCUDAHooks().hasCUDART() ? "with" : "without");
}

}  // namespace conv_mult
