#include "train/machine.hpp"
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <torch/cuda.h>
#include <torch/version.h>
#include <unistd.h>
#include "options/text.hpp"
#include "util/pool.hpp"

/// What OpenBLAS asks when it is loaded, before main, for the number of its threads. They would compete with OpenMP's,
/// the products here are too small for threads of their own, and where one cannot be started it ends the program.
extern "C" int openblas_num_threads_env() { return 1; }

namespace conv_mult {
std::int64_t usable_cores() {
  cpu_set_t affinity;
  const bool known = sched_getaffinity(0, sizeof affinity, &affinity) == 0;
  double cores = known ? CPU_COUNT(&affinity) : std::thread::hardware_concurrency();
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    for (std::filesystem::path group : {"/sys/fs/cgroup", "/sys/fs/cgroup/cpu"}) {
      for (const auto& name : std::filesystem::path(line.substr(line.rfind(':') + 1))) {  // the first is /
        group /= name.relative_path();
        double quota = 0;
        double period = 0;
        const bool limited = std::ifstream(group / "cpu.max") >> quota >> period ||  // version 2
                             (std::ifstream(group / "cpu.cfs_quota_us") >> quota &&
                              std::ifstream(group / "cpu.cfs_period_us") >> period);
        if (limited && quota > 0) { cores = std::min(cores, std::ceil(quota / period)); }
      }
    }
  }
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(cores));
}

void prepare_process(std::int64_t threads) {
  // Above its threshold glibc maps and unmaps each block anew, and the page faults cost more than the arithmetic.
  constexpr int threshold = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, threshold);
  mallopt(M_TRIM_THRESHOLD, threshold);

  // On a GPU float32 is float32, not TF32 with its ten bits, and a run can be repeated to the last bit.
  auto& context = at::globalContext();
  context.setAllowTF32CuDNN(false);
  context.setAllowTF32CuBLAS(false);
  context.setDeterministicCuDNN(true);

  // Networks of exp run into numbers of below 1e-38 by the million, each of which costs a hundred normal ones; as 0
  // they change nothing. Threads that are started later inherit the setting.
  at::Context::setFlushDenormal(true);

  at::set_num_interop_threads(1);
  set_thread_count(threads);
}

c10::Device resolve_device(const Config& config) {
  const auto& name = config.device;
  const auto count = static_cast<int>(torch::cuda::device_count());
  if (name == "cpu" || (name == "auto" && (count == 0 || config.data != DataForm::literal))) { return c10::kCPU; }
  refuse_if(count == 0, "--device: {} is not available: {}; allowed: auto, cpu", name,
            at::detail::getCUDAHooks().hasCUDART() ? "no GPU was found" : "this LibTorch was built without CUDA");
  const c10::Device device(name == "auto" ? "cuda" : name);
  refuse_if(device.has_index() && device.index() >= count, "--device: {} does not exist; allowed: cuda:0 to cuda:{}",
            name, count - 1);
  return device;
}

std::string version_text() {
  return fmt::format("conv_mult {} (LibTorch {}, {} CUDA)", CONV_MULT_VERSION, TORCH_VERSION,
                     at::detail::getCUDAHooks().hasCUDART() ? "with" : "without");
}

double available_memory() {
  std::ifstream memory("/proc/meminfo");
  double available = memory.is_open() ? 0 : std::numeric_limits<double>::infinity();
  double number = 0;
  double taken = 0;
  for (std::string word; memory >> word;) {
    if ((word == "MemAvailable:" || word == "SwapFree:") && memory >> number) { available += 1024 * number; }
  }
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> number && std::ifstream("/sys/fs/cgroup/memory.current") >> taken) {
    available = std::min(available, number - taken);
  }
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  if (limit.rlim_cur != RLIM_INFINITY && std::ifstream("/proc/self/statm") >> taken) {
    // Threads and buffers of the libraries, 150 MiB on two cores; without them OpenBLAS waits for ever.
    const double left = static_cast<double>(limit.rlim_cur) - taken * static_cast<double>(sysconf(_SC_PAGESIZE));
    available = std::min(available, std::max(0.0, left - (160 << 20)));
  }
  return available;
}
}  // namespace conv_mult
