#include "output/folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <stdexcept>

#include "output/figures.hpp"
#include "util/files.hpp"
#include "variants/variant.hpp"

namespace conv_mult {
namespace {

namespace fs = std::filesystem;

/// Only names that this program writes. config.toml goes first, so that --resume never takes the numbers of one run for
/// those of another.
void remove_old_results(const fs::path& out) {
  std::vector<std::string> names{"config.toml",    "summary.json", "loss.csv", "weights.csv",
                                 "evaluation.csv", "a.png",        "b.png",    "target.png"};
  for (const auto* variant : all_variants) {
    const std::string name = variant->name;
    names.insert(names.end(), {"output-" + name + ".png", "error-" + name + ".png", "model-" + name + ".pt"});
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
  descriptor_ = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0 || flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      unlocked_ = last_error().message();
      return;
    }
    close(descriptor_);
    throw std::runtime_error("another run is writing into '" + path_.string() +
                             "': wait for its end, name another folder by --out, or allow both by --no-lock");
  }
  remove_unfinished(path_);
  remove_unfinished(path_ / "figures");
}

OutputFolder::~OutputFolder() {
  if (descriptor_ >= 0) { close(descriptor_); }
}

void OutputFolder::write(const ExperimentResult& result) {
  if (csv_.loss().empty()) { remove_old_results(path_); }
  csv_.append(result);
  const std::vector<NamedText> files{{"config.toml", settings_},
                                     {"loss.csv", csv_.loss()},
                                     {"weights.csv", csv_.weights()},
                                     {"evaluation.csv", csv_.evaluation()}};
  for (const auto& [name, text] : files) { write_file(path_ / name, text); }
  write_file(path_ / "summary.json", summary_json(result, files));
}

}  // namespace conv_mult
