// conv_mult: parse, run, write. The only catch and the only exit codes of the program.

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "conv_mult/config.hpp"
#include "conv_mult/files.hpp"
#include "conv_mult/model/model_file.hpp"
#include "conv_mult/report/figures.hpp"
#include "conv_mult/report/images.hpp"
#include "conv_mult/report/output_folder.hpp"
#include "conv_mult/report/reader.hpp"
#include "conv_mult/report/tables.hpp"
#include "conv_mult/run/experiment.hpp"
#include "conv_mult/run/machine.hpp"
#include "conv_mult/run/memory.hpp"

#ifdef CONV_MULT_CHECK
extern "C" void __gcov_dump();
#endif

namespace {

using namespace conv_mult;

enum ExitCode { done = 0, failed = 1, wrong_usage = 2, ratio_not_met = 3, killed_by_signal = 128 };

volatile std::sig_atomic_t caught_signal = 0;
volatile std::sig_atomic_t worth_keeping = 0;

/// The first Ctrl-C or SIGTERM ends training in good order; one before it, or a second one, all at once. A
/// closed stdout and a file that may not grow are errors to report, not silent deaths.
void catch_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  struct sigaction action {};
  action.sa_handler = [](int signal) {
    if (worth_keeping == 0) {
      _exit(killed_by_signal + signal);
    }
    caught_signal = signal;
  };
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

/// One line on stderr, in which nothing commands the terminal. Where stderr is closed there is nobody to
/// tell, so failure is ignored.
void say(std::string message) {
  std::replace_if(
      message.begin(), message.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  std::fputs(fmt::format("conv_mult: {}\n", message).c_str(), stderr);
}

int report_error(ExitCode code, const std::string& message) {
  say(message);
  return code;
}

void note(const Config& config, const std::string& text) {
  if (!config.output.quiet) {
    say(text);
  }
}

/// A line on the terminal that is written over and, at the end, wiped.
class ProgressLine {
 public:
  explicit ProgressLine(const Config& config)
      : shown_(!config.output.quiet && isatty(STDERR_FILENO) != 0),
        steps_(config.training.steps),
        seeds_(seeds_of_shard(config)) {}
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(const Progress& progress) const {
    if (!shown_) {
      return;
    }
    const auto seeds = seeds_.count == 1
                           ? fmt::format("loss {:.6g}", progress.loss)
                           : fmt::format("seeds {} to {} of {} to {}", progress.first_seed,
                                         progress.last_seed, seeds_.first, seeds_.first + seeds_.count - 1);
    const auto line =
        fmt::format("\r\x1b[K{}: step {} of {}, {}", progress.row, progress.step, steps_, seeds);
    std::fputs(line.c_str(), stderr);
  }

  void clear() const {
    if (shown_) {
      std::fputs("\r\x1b[K", stderr);
    }
  }

 private:
  bool shown_;
  std::int64_t steps_;
  SeedRange seeds_;
};

/// Whether stdout took it.
bool print(const std::string& text) {
  return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
}

const VariantResult& find_variant(const ExperimentResult& result, Variant variant) {
  return *std::find_if(result.variants.begin(), result.variants.end(),
                       [&](const auto& v) { return v.variant == to_string(variant); });
}

/// Whether final loss of exp <= ratio x final loss of baseline. A run without a final loss does not meet it.
bool meets_ratio(const ExperimentResult& result, double ratio) {
  const auto& exp = find_variant(result, Variant::exp).statistics.final_loss;
  const auto& baseline = find_variant(result, Variant::baseline).statistics.final_loss;
  return exp && baseline && exp->median <= ratio * baseline->median;
}

constexpr auto stdout_is_closed = "cannot write to stdout";

int run(int argc, char** argv) {
  const auto command = parse_command_line(argc, argv, version_text());
  if (command.message) {
    return print(*command.message + "\n") ? done : report_error(failed, stdout_is_closed);
  }
  const bool merging = !command.merge.empty();
  Config config = command.config;
  if (merging) {
    config.machine.device = "cpu";  // nothing is left to train
  }
  config.models = load_models(config.load_model);
  const std::filesystem::path out = config.output.directory;
  // Wrong usage that only this machine knows of, before anything is written.
  resolve_device(config.machine.device);
  check_memory(config);
  ExperimentResult finished;
  if (merging) {
    finished = read_shards(command.merge, command.resolved_toml, config);
  }
  OutputFolder folder(out, command.resolved_toml, !config.output.no_lock);
  if (config.output.resume) {
    finished = read_earlier_run(out, command.resolved_toml);
  }
  prepare_process(config.machine);
  if (has_scene(config, SceneKind::rectangles) && !overlap(config.scene.a, config.scene.b)) {
    note(config, "warning: the rectangles do not overlap, so the target is zero everywhere");
  }

  const ProgressLine progress_line(config);
  const auto result = run_experiment(
      config, std::move(finished),
      [&](const Progress& progress) {
        worth_keeping = 1;
        progress_line.show(progress);
        return caught_signal == 0;
      },
      [&](const ExperimentResult& so_far) {
        worth_keeping = 1;
        try {
          folder.write(so_far);
        } catch (const std::exception&) {
          progress_line.clear();
          print(result_table(so_far));  // where else, if files cannot be written?
          throw;
        }
      });
  progress_line.clear();
  const bool printed = print(result_table(result));
  if (result.status == ExperimentStatus::interrupted) {
    note(config, fmt::format("interrupted: what was done so far is in '{}'; --resume goes on from there",
                             out.string()));
    return killed_by_signal + caught_signal;
  }
  write_heat_maps(result, out);
  for (const auto& row : result.variants) {
    if (!row.saved_model.empty()) {
      write_file(out / fmt::format("model-{}.pt", row.variant), row.saved_model);
    }
  }
  const auto warnings = write_figures(result, config.output.figures, out, [] { return caught_signal == 0; });
  if (caught_signal != 0) {
    note(config, fmt::format("interrupted while the figures were drawn; the tables in '{}' are complete",
                             out.string()));
    return killed_by_signal + caught_signal;
  }
  for (const auto& warning : warnings) {
    note(config, warning);
  }
  note(config, fmt::format("figures and tables are in '{}'", out.string()));
  if (!printed) {
    return report_error(failed, stdout_is_closed);
  }
  if (const auto ratio = config.output.require_ratio; ratio && !meets_ratio(result, *ratio)) {
    return report_error(ratio_not_met,
                        fmt::format("--require-ratio {}: exp's final loss is more than that times "
                                    "baseline's, see the table",
                                    *ratio));
  }
  return done;
}

int run_caught(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const UsageError& error) {
    return report_error(wrong_usage, error.what());
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    const bool memory = message.find("t allocate memory") != std::string::npos;
    return report_error(failed, memory ? "out of memory" : message.substr(0, message.find('\n')));
  } catch (const std::filesystem::filesystem_error& error) {
    return report_error(failed, fmt::format("'{}': {}", error.path1().string(), error.code().message()));
  } catch (const std::bad_alloc&) {
    return report_error(failed, "out of memory");
  } catch (const std::exception& error) {
    return report_error(failed, error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  catch_signals();
  const int code = run_caught(argc, argv);
  std::fflush(nullptr);
#ifdef CONV_MULT_CHECK
  __gcov_dump();  // what is counted so far, or coverage would end where _Exit begins
#endif
  std::_Exit(code);  // everything is written; LibTorch's 288 libraries would take 60 ms to say goodbye
}
