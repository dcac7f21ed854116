// conv_mult: parse, run, write. The only catch and the only exit codes of the program.

#include <c10/util/Exception.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cstdio>
#include "options/options.hpp"
#include "output/figures.hpp"
#include "output/records.hpp"
#include "run/experiment.hpp"
#include "scenes/scene.hpp"
#include "train/machine.hpp"
#include "util/files.hpp"
#include "util/pool.hpp"
#include "variants/variant.hpp"

namespace {
using namespace conv_mult;

enum ExitCode { done = 0, failed = 1, wrong_usage = 2, ratio_not_met = 3, killed_by_signal = 128 };

std::atomic<bool> worth_keeping{false};
std::atomic<bool> progress_shown{false};  // on a terminal

/// A signal of a user or scheduler ends training in good order; one before it, or a second SIGINT or SIGTERM, all at
/// once. What was ignored stays ignored. A closed stdout and a file that may not grow are errors to report.
void catch_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  struct sigaction action {};
  action.sa_handler = [](int signal) {
    if (!worth_keeping) { _exit(killed_by_signal + signal); }
    if (stop_signal == 0) { stop_signal = signal; }
  };
  sigfillset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU}) {
    const bool once = signal == SIGINT || signal == SIGTERM;
    action.sa_flags = static_cast<int>(once ? SA_RESETHAND | SA_RESTART : SA_RESTART);
    struct sigaction before {};
    sigaction(signal, &action, &before);
    if (before.sa_handler == SIG_IGN) { std::signal(signal, SIG_IGN); }
  }
}

void wipe_progress() {
  if (progress_shown.exchange(false)) { std::fputs("\r\x1b[K", stderr); }
}

/// One line on stderr, in which nothing commands the terminal; where it is closed there is nobody to tell.
void say(std::string message) {
  wipe_progress();
  for (char& c : message) { c = std::iscntrl(static_cast<unsigned char>(c)) != 0 ? ' ' : c; }
  std::fputs(fmt::format("conv_mult: {}\n", message).c_str(), stderr);
}

int report_error(ExitCode code, const std::string& message) {
  say(message);
  return code;
}

template <typename... Args>
void note(const Config& config, fmt::format_string<Args...> text, Args&&... args) {
  if (!config.quiet) { say(fmt::format(text, std::forward<Args>(args)...)); }
}

/// Of a terminal, which has 80 columns if it does not say how many; `colour` is whether it takes escape sequences.
TableStyle style_of(int descriptor) {
  if (isatty(descriptor) == 0) { return {}; }
  winsize size{};
  ioctl(descriptor, TIOCGWINSZ, &size);
  const char* const kind = std::getenv("TERM");
  const char* const plain = std::getenv("NO_COLOR");
  const bool colour = kind != nullptr && std::string_view(kind) != "dumb" && (plain == nullptr || *plain == 0);
  return {size.ws_col > 0 ? size.ws_col : std::size_t{80}, colour};
}

/// On a terminal a line that is written over and, at the end, wiped; in a log a line every minute.
void show_progress(const Config& config, const Progress& progress, std::size_t rows) {
  static auto last_line = std::chrono::steady_clock::now();
  worth_keeping = true;
  const auto now = std::chrono::steady_clock::now();
  const auto terminal = style_of(STDERR_FILENO);
  if (config.quiet || (!terminal.colour && now - last_line < std::chrono::minutes(1))) { return; }
  last_line = now;
  const double speed = progress.done / std::max(progress.seconds, 1e-3);
  auto text = fmt::format("{:.0f} %, {} left; {}: step {} of {}, loss {:.4g}; {:.2f} million seed-steps/s",
                          100 * progress.done / progress.of, time_text((progress.of - progress.done) / speed),
                          progress.row, progress.step, config.steps, progress.loss, 1e-6 * speed);
  if (rows > 1) { text += fmt::format(", {} of {} rows", progress.rows_done, rows); }
  if (!terminal.colour) { return say(text); }
  wipe_progress();
  std::fputs(fmt::format("{:.{}}", text, terminal.width - 1).c_str(), stderr);
  progress_shown = true;
}

/// Whether stdout took it.
bool print(const std::string& text) {
  wipe_progress();
  return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
}

/// Whether final loss of exp <= ratio x final loss of baseline. A run without a final loss does not meet it.
bool meets_ratio(const ExperimentResult& result, double ratio) {
  std::map<std::string, double> losses{{"exp", NAN}, {"baseline", NAN}};
  for (const auto& row : result.variants) {
    if (row.statistics.final_loss) { losses[row.variant] = row.statistics.final_loss->median; }
  }
  return losses["exp"] <= ratio * losses["baseline"];
}

int run(int argc, char** argv) {
  constexpr auto stdout_is_closed = "cannot write to stdout";
  Vocabulary words;
  for (const auto* variant : all_variants) { words.variants.emplace_back(variant->name); }
  for (const auto& kind : scene_kinds) { words.scenes.push_back(kind.first); }
  const auto command = parse_command_line({argv + 1, argv + argc}, words, version_text());
  if (command.message) { return print(*command.message + "\n") ? done : report_error(failed, stdout_is_closed); }
  const auto read = [&](const auto& file) { return parse_command_line({"--config", file}, words, "").config; };
  Config config = command.config;
  if (config.report_only || !command.merge.empty()) { config.device = "cpu"; }  // nothing is left to train
  // Wrong usage that only this machine knows of, before anything is written.
  const auto plan = make_plan(config);
  resolve_device(config);
  check_memory(plan, available_memory());
  auto begun = start_of(plan);
  if (!command.merge.empty()) { add_shards(command.merge, command.config, read, begun); }
  OutputFolder folder(config.out, toml_of(command.config), !config.no_lock);
  if (!folder.unlocked().empty()) {
    note(config, "'{}' cannot be locked ({}): let no other run write there", config.out, folder.unlocked());
  }
  if (config.resume) {
    folder.go_on(add_earlier_run(config.out, command.config, read, begun));
  } else if (const auto differing = other_settings(config.out, command.config, read)) {
    note(config, "'{}' holds a run of other settings ({}): its files are replaced by this one's first results",
         config.out, *differing);
  }
  const auto cores = usable_cores();
  if (config.threads > cores) {
    note(config, "--threads: {} would wait for each other on the {} cores that may be used: it is {}", config.threads,
         cores, cores);
  }
  prepare_process(config.threads == 0 ? cores : std::min(config.threads, cores));
  const auto style = style_of(STDOUT_FILENO);
  const auto write = [&](const ExperimentResult& so_far) {
    worth_keeping = true;
    try {
      if (!config.report_only) { folder.write(so_far); }
    } catch (const std::exception&) {
      print(result_table(so_far, style));  // where else, if files cannot be written?
      throw;
    }
  };
  const auto on_progress = [&](const Progress& progress) { show_progress(config, progress, plan.rows.size()); };
  const auto on_row = [&](const std::string& row, double seconds) {
    if (!style_of(STDERR_FILENO).colour) { note(config, "{}: trained in {:.2f} s", row, seconds); }
  };
  const auto result = run_experiment(plan, std::move(begun), {on_progress, on_row, write});
  const bool printed = print(result_table(result, style) + (config.quiet ? "" : '\n' + verdicts(result)));
  if (result.status != ExperimentStatus::interrupted) {
    for (const auto& row : result.variants) {
      const auto file = fmt::format("{}/model-{}.pt", config.out, row.variant);
      if (!row.saved_model.empty()) { write_file(file, row.saved_model); }
    }
    for (const auto& text : write_pictures(result, config.figures, config.out)) {
      if (stop_signal == 0) { note(config, "{}", text); }
    }
  }
  if (!config.no_report) { write_report(result, config.out); }
  if (stop_signal != 0) {
    const bool any = std::any_of(result.variants.begin(), result.variants.end(),
                                 [](const auto& row) { return row.statistics.success.of > 0; });
    const auto* what = result.status != ExperimentStatus::interrupted
                           ? "interrupted while the figures were drawn; the tables in '{}' are complete"
                       : any ? "interrupted: the finished blocks of seeds are in '{}', and --resume goes on there"
                             : "interrupted before a block of seeds was finished: '{}' has no more than losses";
    note(config, fmt::runtime(what), config.out);
    return killed_by_signal + stop_signal;
  }
  note(config, "{} in '{}'", config.no_report ? "figures and tables are" : "the page is report.html", config.out);
  if (!printed) { return report_error(failed, stdout_is_closed); }
  if (config.require_ratio && !config.report_only && !meets_ratio(result, *config.require_ratio)) {
    constexpr auto message = "--require-ratio {}: exp's final loss is more than that times baseline's, see the table";
    return report_error(ratio_not_met, fmt::format(message, *config.require_ratio));
  }
  return done;
}
}  // namespace

int main(int argc, char** argv) {
  catch_signals();
  int code = failed;
  try {
    code = run(argc, argv);
  } catch (const UsageError& error) {
    code = report_error(wrong_usage, error.what());
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    const bool memory = message.find("t allocate memory") != std::string::npos;
    code = report_error(failed, memory ? "out of memory" : message.substr(0, message.find('\n')));
  } catch (const std::filesystem::filesystem_error& error) {
    code = report_error(failed, fmt::format("'{}': {}", error.path1().string(), error.code().message()));
  } catch (const std::bad_alloc&) {
    code = report_error(failed, "out of memory");
  } catch (const std::exception& error) { code = report_error(failed, error.what()); }
  std::fflush(nullptr);
  std::_Exit(code);  // everything is written; LibTorch's 288 libraries would take 60 ms to say goodbye
}
