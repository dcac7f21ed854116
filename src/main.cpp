// conv_mult: parse, run, write. The only catch and the only exit codes of the program.

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "options/options.hpp"
#include "output/figures.hpp"
#include "output/folder.hpp"
#include "output/images.hpp"
#include "output/resume.hpp"
#include "run/experiment.hpp"
#include "scenes/scene.hpp"
#include "train/machine.hpp"
#include "util/files.hpp"
#include "util/stop.hpp"
#include "variants/variant.hpp"

#ifdef CONV_MULT_CHECK
extern "C" void __gcov_dump();
#endif

namespace {

using namespace conv_mult;

enum ExitCode { done = 0, failed = 1, wrong_usage = 2, ratio_not_met = 3, killed_by_signal = 128 };

std::atomic<bool> worth_keeping{false};
bool progress_shown = false;

/// The first Ctrl-C or SIGTERM ends training in good order; one before it, or a second one, all at once. A closed
/// stdout and a file that may not grow are errors to report, not silent deaths.
void catch_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  struct sigaction action {};
  action.sa_handler = [](int signal) {
    if (!worth_keeping) { _exit(killed_by_signal + signal); }
    stop_signal = signal;
  };
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void wipe_progress() {
  if (progress_shown) { std::fputs("\r\x1b[K", stderr); }
  progress_shown = false;
}

/// One line on stderr, in which nothing commands the terminal. Where stderr is closed there is nobody to tell, so
/// failure is ignored.
void say(std::string message) {
  wipe_progress();
  std::replace_if(
      message.begin(), message.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  std::fputs(fmt::format("conv_mult: {}\n", message).c_str(), stderr);
}

int report_error(ExitCode code, const std::string& message) {
  say(message);
  return code;
}

void note(const Config& config, const std::string& text) {
  if (!config.quiet) { say(text); }
}

/// A line on the terminal that is written over and, at the end, wiped.
void show_progress(const Config& config, const Progress& progress) {
  worth_keeping = true;
  if (config.quiet || isatty(STDERR_FILENO) == 0) { return; }
  const auto seeds = seeds_of_shard(config);
  const auto what = seeds.count == 1 ? fmt::format("loss {:.6g}", progress.loss)
                                     : fmt::format("seeds {} to {} of {} to {}", progress.first_seed,
                                                   progress.last_seed, seeds.first, seeds.first + seeds.count - 1);
  wipe_progress();
  std::fputs(fmt::format("{}: step {} of {}, {}", progress.row, progress.step, config.steps, what).c_str(), stderr);
  progress_shown = true;
}

/// Whether stdout took it.
bool print(const std::string& text) {
  wipe_progress();
  return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
}

/// Whether final loss of exp <= ratio x final loss of baseline. A run without a final loss does not meet it.
bool meets_ratio(const ExperimentResult& result, double ratio) {
  const auto loss = [&](const char* variant) {
    const auto row = std::find_if(result.variants.begin(), result.variants.end(),
                                  [&](const auto& each) { return each.variant == variant; });
    return row->statistics.final_loss ? row->statistics.final_loss->median : NAN;
  };
  return loss("exp") <= ratio * loss("baseline");
}

Vocabulary vocabulary() {
  Vocabulary words;
  for (const auto* variant : all_variants) {
    words.variants.emplace_back(variant->name);
    if (variant->sized && variant->depth == 0) { words.sized.emplace_back(variant->name); }
  }
  for (const auto& kind : scene_kinds) { words.scenes.emplace_back(kind.name); }
  return words;
}

constexpr auto stdout_is_closed = "cannot write to stdout";

void write_pictures(const ExperimentResult& result, const Config& config) {
  write_heat_maps(result, config.out);
  for (const auto& row : result.variants) {
    if (row.saved_model.empty()) { continue; }
    write_file(fmt::format("{}/model-{}.pt", config.out, row.variant), row.saved_model);
  }
  for (const auto& text : write_figures(result, config.figures, config.out)) {
    if (stop_signal == 0) { note(config, text); }
  }
}

int run(int argc, char** argv) {
  const auto words = vocabulary();
  const auto command = parse_command_line(argc, argv, words, version_text());
  if (command.message) { return print(*command.message + "\n") ? done : report_error(failed, stdout_is_closed); }
  const bool merging = !command.merge.empty();
  Config config = command.config;
  if (merging) { config.device = "cpu"; }  // nothing is left to train
  // Wrong usage that only this machine knows of, before anything is written.
  const auto plan = make_plan(config);
  resolve_device(config.device);
  check_memory(plan);
  auto begun = start_of(plan);
  const auto read_settings = [&](const std::filesystem::path& file) {
    const char* const arguments[] = {"conv_mult", "--config", file.c_str()};
    return parse_command_line(3, arguments, words, "").config;
  };
  if (merging) { add_shards(command.merge, command.config, read_settings, begun); }
  OutputFolder folder(config.out, toml_of(command.config), !config.no_lock);
  if (config.resume) { add_earlier_run(config.out, command.config, read_settings, begun); }
  prepare_process(config.threads);
  for (const auto& source : plan.sources) {
    if (!source.stream && target_norm(source.train()) == 0) {
      note(config, fmt::format("warning: {}: a times b is zero everywhere: there is nothing to learn", source.name));
    }
  }

  const auto write_block = [&](const ExperimentResult& so_far) {  // every finished block is in the folder at once
    worth_keeping = true;
    try {
      folder.write(so_far);
    } catch (const std::exception&) {
      print(result_table(so_far));  // where else, if files cannot be written?
      throw;
    }
  };
  const auto result = run_experiment(
      plan, std::move(begun), [&](const Progress& progress) { show_progress(config, progress); }, write_block);
  const bool printed = print(result_table(result));
  if (result.status != ExperimentStatus::interrupted) { write_pictures(result, config); }
  if (stop_signal != 0) {
    note(config,
         result.status == ExperimentStatus::interrupted
             ? fmt::format("interrupted: what was done so far is in '{}'; --resume goes on from there", config.out)
             : fmt::format("interrupted while the figures were drawn; the tables in '{}' are complete", config.out));
    return killed_by_signal + stop_signal;
  }
  note(config, fmt::format("figures and tables are in '{}'", config.out));
  if (!printed) { return report_error(failed, stdout_is_closed); }
  if (config.require_ratio && !meets_ratio(result, *config.require_ratio)) {
    constexpr auto message = "--require-ratio {}: exp's final loss is more than that times baseline's, see the table";
    return report_error(ratio_not_met, fmt::format(message, *config.require_ratio));
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
  } catch (const std::exception& error) { return report_error(failed, error.what()); }
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
