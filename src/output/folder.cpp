#include <dirent.h>
#include <sys/file.h>
#include "output/figures.hpp"
#include "output/records.hpp"
#include "variants/variant.hpp"

namespace conv_mult {
namespace {
namespace fs = std::filesystem;

/// Only names that this program writes; of the tables config.toml first, so that --resume never mixes two runs.
void remove_old_files(const fs::path& out, bool tables_too) {
  std::vector<std::string> names{"a.png", "b.png", "target.png", "report.html"};
  for (const auto* variant : all_variants) {
    const std::string name = variant->name;
    names.insert(names.end(), {"output-" + name + ".png", "output-" + name + ".npy", "error-" + name + ".png",
                               "model-" + name + ".pt"});
  }
  if (tables_too) {
    names.insert(names.end(), {"config.toml", "summary.json"});
    for (const auto& file : csv_files) { names.emplace_back(file.name); }
  }
  for (const auto& name : names) { fs::remove(out / name); }
  remove_figures(out);
}
}  // namespace

OutputFolder::OutputFolder(fs::path path, std::string settings, bool alone)
    : path_(std::move(path)), settings_(std::move(settings)) {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) { fail("cannot create the output folder", path_, error); }
  const fs::path probe = unfinished(path_ / "probe");
  if (!std::ofstream(probe)) { fail("cannot write into the output folder", path_, last_error()); }
  fs::remove(probe, error);
  if (!alone) { return; }
  const std::shared_ptr<DIR> folder(opendir(path_.c_str()), closedir);
  if (folder == nullptr || flock(dirfd(folder.get()), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      unlocked_ = last_error().message();
      return;
    }
    throw std::runtime_error("another run is writing into '" + path_.string() +
                             "': wait for its end, name another folder by --out, or allow both by --no-lock");
  }
  lock_ = folder;
  remove_unfinished(path_);
  remove_unfinished(path_ / "figures");
}

void OutputFolder::write(const ExperimentResult& result) {
  if (!std::exchange(written_, true)) { remove_old_files(path_, known_.empty()); }
  KnownFiles known;
  const auto stage = [&](const std::string& name, const std::function<void(const Sink&)>& write_content) {
    const auto before = known_.empty() ? std::nullopt : std::optional(known_.at(name).checksum);
    known.emplace(name, {stage_file(path_ / name, write_content), before});
  };
  const auto write_summary = [&] { write_file(path_ / "summary.json", summary_json(result, known)); };
  try {
    stage("config.toml", [&](const Sink& sink) { sink(settings_); });
    for (const auto& file : csv_files) {
      stage(file.name, [&](const Sink& sink) { write_csv(file, result, sink); });
    }
    if (!known_.empty()) { write_summary(); }
  } catch (const std::exception&) {
    for (const auto& [name, file] : known) { fs::remove(unfinished(path_ / name)); }
    throw;
  }
  for (const auto& [name, file] : known) { publish_file(path_ / name); }
  if (known_.empty() || result.status != ExperimentStatus::incomplete) {  // the last time
    for (auto& [name, file] : known) { file.before.reset(); }
    write_summary();
  }
  known_ = std::move(known);
}
}  // namespace conv_mult
