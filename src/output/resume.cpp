#include "output/resume.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <unordered_map>
#include <utility>

#include "options/options.hpp"
#include "output/tables.hpp"
#include "util/files.hpp"

namespace conv_mult {
namespace {

using Path = std::filesystem::path;

[[noreturn]] void damaged(const Path& path, const std::string& reason) {
  throw std::runtime_error(
      fmt::format("{}: damaged: {}; without summary.json beside it the run starts anew", path.string(), reason));
}

/// Calls `take` with each line of a file that summary.json knows.
void for_lines(const Path& path, const Summary& summary, const std::function<void(std::string_view)>& take) {
  const auto known = std::find_if(summary.files.begin(), summary.files.end(),
                                  [&](const auto& file) { return file.first == path.filename(); });
  if (known == summary.files.end()) { damaged(path, "summary.json beside it does not name it"); }
  std::ifstream file(path, std::ios::binary);
  if (!file) { fail("cannot read", path, last_error()); }
  Checksum sum;
  for (std::string line; std::getline(file, line);) {
    take(line);
    sum.add(line);
    if (!file.eof()) { sum.add("\n"); }
  }
  const auto& [checksum, before] = known->second;
  if (sum.digits() != checksum && sum.digits() != before) { damaged(path, "its checksum is not that in summary.json"); }
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) { return parts; }
    text.remove_prefix(end + 1);
  }
}

template <typename Number>
Number number_of(std::string_view text, const Path& path) {
  Number value{};
  const auto* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc() || end != last) { damaged(path, fmt::format("'{}' is not a number", text)); }
  return value;
}

/// A float32 number has to become the same float again before it is widened. An empty field was not finite.
double value_of(std::string_view text, const RunHeader& header, const Path& path) {
  if (text.empty()) { return NAN; }
  return header.dtype == "float32" ? static_cast<double>(number_of<float>(text, path)) : number_of<double>(text, path);
}

using Fields = std::vector<std::string_view>;

/// The rows by what their lines in a CSV file begin with.
using RowsByLine = std::unordered_map<std::string, VariantResult*>;

/// Hands the row and the seed of each line to `take`, with the columns after these, `columns` in number.
void read_csv(const Path& path, const Summary& summary, std::size_t columns, const RowsByLine& rows,
              const std::function<void(VariantResult& row, std::int64_t seed, const Fields&)>& take) {
  bool heading = true;
  for_lines(path, summary, [&](std::string_view line) {
    if (std::exchange(heading, false)) { return; }
    auto fields = split(line, ',');
    if (fields.size() <= columns + 1) { damaged(path, fmt::format("'{}' is not a line of it", line)); }
    fields.erase(fields.begin(), fields.end() - static_cast<std::ptrdiff_t>(columns) - 1);
    const auto key = line.substr(0, static_cast<std::size_t>(fields.front().data() - line.data()));
    const auto row = rows.find(std::string(key));
    if (row == rows.end()) { damaged(path, fmt::format("summary.json knows no row of the line '{}'", line)); }
    const auto seed = number_of<std::int64_t>(fields.front(), path);
    fields.erase(fields.begin());
    take(*row->second, seed, fields);
  });
}

}  // namespace

void add_results(const Path& directory, ExperimentResult& result) {
  const Path summary_path = directory / "summary.json";
  const Path list = directory / "runs.csv";
  const Path loss = directory / "loss.csv";
  const Path weights = directory / "weights.csv";
  const Path evaluation = directory / "evaluation.csv";
  Summary summary;
  const auto text = read_file(summary_path);
  try {
    summary = parse_summary(text);
  } catch (const std::runtime_error& error) { damaged(summary_path, error.what()); }
  for_lines(directory / "config.toml", summary, [](std::string_view /*line*/) {});
  auto& header = result.header;
  header.libtorch = summary.result.header.libtorch;
  header.device = summary.result.header.device;
  header.threads = summary.result.header.threads;

  RowsByLine rows;
  for (auto& row : summary.result.variants) {
    const auto like = std::find(result.variants.begin(), result.variants.end(), row);
    if (like == result.variants.end()) {
      damaged(summary_path, fmt::format("it has a row of {} that its settings do not ask for", row.variant));
    }
    rows.emplace(csv_key(result, *like), &row);
  }
  read_csv(list, summary, 5, rows, [&](VariantResult& row, std::int64_t seed, const Fields& fields) {
    RunRecord run;
    run.seed = seed;
    if (fields[0] == name_of(RunStatus::interrupted)) { return; }
    run.status = fields[0] == name_of(RunStatus::ok) ? RunStatus::ok : RunStatus::diverged;
    run.last_step = number_of<std::int64_t>(fields[1], list);
    if (!fields[2].empty()) { run.final_loss = number_of<double>(fields[2], list); }
    if (!fields[3].empty()) { run.first_success_step = number_of<std::int64_t>(fields[3], list); }
    if (!fields[4].empty()) { run.success_at_best = fields[4] == "true"; }
    row.runs.push_back(std::move(run));  // the files are in order of the seeds
  });
  const auto read = [&](const Path& path, std::size_t columns, const auto& take) {
    read_csv(path, summary, columns, rows, [&](VariantResult& row, std::int64_t seed, const Fields& fields) {
      const auto run = std::lower_bound(row.runs.begin(), row.runs.end(), seed,
                                        [](const RunRecord& each, std::int64_t sought) { return each.seed < sought; });
      if (run != row.runs.end() && run->seed == seed) { take(*run, fields); }
    });
  };
  read(loss, 2, [&](RunRecord& run, const Fields& fields) {
    run.curve.push_back({number_of<std::int64_t>(fields[0], loss), value_of(fields[1], header, loss)});
  });
  read(weights, 2,
       [&](RunRecord& run, const Fields& fields) { run.weights.push_back(value_of(fields[1], header, weights)); });
  read(evaluation, 3, [&](RunRecord& run, const Fields& fields) {
    if (run.status != RunStatus::ok) { return; }
    run.split_losses.push_back(fields[1].empty() ? INFINITY : number_of<double>(fields[1], evaluation));
  });
  for (auto& row : summary.result.variants) {
    auto& into = *std::find(result.variants.begin(), result.variants.end(), row);
    for (const auto& run : row.runs) {
      const auto expect = [&](bool complete, const Path& path) {
        if (!complete) { damaged(path, fmt::format("{}, seed {} is not complete", row.variant, run.seed)); }
      };
      expect(!run.curve.empty() && run.curve.back().step == run.last_step, loss);
      expect(static_cast<std::int64_t>(run.weights.size()) == into.parameters, weights);
      const auto splits = run.status == RunStatus::ok ? result.scene_of(into).splits.size() : 0;
      expect(run.split_losses.size() == splits, evaluation);
    }
    into.seconds += row.seconds;
    std::move(row.runs.begin(), row.runs.end(), std::back_inserter(into.runs));
  }
}

std::optional<std::string> other_settings(const Path& directory, const Config& config, const ReadSettings& read) {
  const Path settings = directory / "config.toml";
  try {
    return std::filesystem::exists(settings) ? difference(config, read(settings), true) : std::nullopt;
  } catch (const UsageError& error) { return error.what(); }
}

void add_earlier_run(const Path& directory, const Config& config, const ReadSettings& read, ExperimentResult& result) {
  if (const auto differing = other_settings(directory, config, read)) {
    throw UsageError(fmt::format("--resume: '{}' holds a run of other settings, see its config.toml; {}",
                                 directory.string(), *differing));
  }
  // Between the two files a run may have been killed.
  const bool begun = std::filesystem::exists(directory / "config.toml");
  if (begun && std::filesystem::exists(directory / "summary.json")) { add_results(directory, result); }
}

void add_shards(const std::vector<std::string>& folders, const Config& config, const ReadSettings& read,
                ExperimentResult& result) {
  for (const auto& folder : folders) {
    if (const auto differing = difference(config, read(Path(folder) / "config.toml"), false)) {
      throw UsageError(fmt::format("merge: '{}' was made with other settings than '{}', see their config.toml; {}",
                                   folder, folders.front(), *differing));
    }
    add_results(folder, result);
  }
  for (auto& row : result.variants) {
    std::sort(row.runs.begin(), row.runs.end(), [](const auto& a, const auto& b) { return a.seed < b.seed; });
    for (std::size_t i = 0; i < static_cast<std::size_t>(config.seeds); ++i) {
      const auto seed = config.seed + static_cast<std::int64_t>(i);
      if (i < row.runs.size() && row.runs[i].seed == seed) { continue; }
      const bool twice = i > 0 && i < row.runs.size() && row.runs[i].seed == seed - 1;
      throw UsageError(fmt::format("merge: the finished runs of seed {} are in {} of the folders",
                                   twice ? seed - 1 : seed, twice ? "two" : "none"));
    }
  }
}

}  // namespace conv_mult
