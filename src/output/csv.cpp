#include <fmt/format.h>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <unordered_map>
#include "options/options.hpp"
#include "output/records.hpp"

namespace conv_mult {
namespace {
using Path = std::filesystem::path;

template <typename Number>
std::string shortest(Number value) {
  return std::isfinite(static_cast<double>(value)) ? fmt::format("{}", value) : "";
}
template <typename Number>
std::string shortest(const std::optional<Number>& value) {
  return value ? shortest(*value) : "";
}

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  const auto* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (!text.empty() && (error != std::errc() || end != last)) {
    throw std::runtime_error(fmt::format("'{}' is not a number", text));
  }
  return text.empty() ? std::nullopt : std::optional(value);
}

// A loss or a weight has as few digits as identify it in the run's type: 35.97, not 35.970001220703125.

void append_number(std::string& text, const std::string& begin, std::int64_t index, double value,
                   const ExperimentResult& result) {
  const auto digits = result.header.dtype == "float32" ? shortest(static_cast<float>(value)) : shortest(value);
  fmt::format_to(std::back_inserter(text), "{}{},{}\n", begin, index, digits);
}

double typed_number(std::string_view text, const RunHeader& header) {
  return header.dtype == "float32" ? static_cast<double>(number_of<float>(text).value_or(NAN))
                                   : number_of<double>(text).value_or(NAN);
}

/// The part of the row in what its lines begin with.
std::string csv_key(const ExperimentResult& result, const VariantResult& row) {
  std::string key = row.variant + ',';
  if (result.header.scenes.size() > 1) { key += result.scene_of(row).name + ','; }
  if (result.sizes()) { key += row.depth ? fmt::format("{},{},", *row.depth, *row.width) : ",,"; }
  if (result.grid()) { key += fmt::format("{},{},", row.optimizer, row.learning_rate); }
  return key;
}

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

Fields fields_of(std::string_view text) {
  Fields fields;
  for (auto end = text.find(','); end != std::string_view::npos; end = text.find(',')) {
    fields.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  fields.push_back(text);
  return fields;
}

/// The run of this seed, null where there is none; they are in order of the seeds. Of runs.csv a new one.
RunRecord* run_of(VariantResult& row, std::int64_t seed, bool is_new) {
  if (is_new) {
    row.runs.emplace_back().seed = seed;
    return &row.runs.back();
  }
  const auto run = std::lower_bound(row.runs.begin(), row.runs.end(), seed,
                                    [](const RunRecord& each, std::int64_t sought) { return each.seed < sought; });
  return run != row.runs.end() && run->seed == seed ? &*run : nullptr;
}

/// Adds what the lines of a file say to the runs of the rows, which are known by what the lines begin with.
void read_csv(const CsvFile& file, const Path& path, const Summary& summary, const RunHeader& header,
              const std::unordered_map<std::string, VariantResult*>& rows) {
  const bool is_list = &file == &csv_files.back();
  const auto columns = fields_of(file.columns).size();
  bool heading = true;
  for_lines(path, summary, [&](std::string_view line) {
    auto fields = fields_of(line);
    if (heading || fields.size() <= columns + 1) {
      if (!heading) { damaged(path, fmt::format("'{}' is not a line of it", line)); }
      heading = false;
      return;
    }
    fields.erase(fields.begin(), fields.end() - static_cast<std::ptrdiff_t>(columns) - 1);
    const auto row = rows.find(std::string(line.substr(0, static_cast<std::size_t>(fields[0].data() - line.data()))));
    if (row == rows.end()) { damaged(path, fmt::format("summary.json knows no row of the line '{}'", line)); }
    try {
      const auto seed = number_of<std::int64_t>(fields[0]).value_or(-1);
      fields.erase(fields.begin());
      auto& runs = row->second->runs;
      if (auto* run = run_of(*row->second, seed, is_list)) { file.take(*run, fields, header); }
      if (is_list && runs.back().status == RunStatus::interrupted) { runs.pop_back(); }
    } catch (const std::runtime_error& error) { damaged(path, error.what()); }
  });
}
}  // namespace

const std::vector<CsvFile> csv_files{
    {"loss.csv", "step,loss",
     [](std::string& text, const std::string& begin, const RunRecord& run, const VariantResult& /*row*/,
        const ExperimentResult& result) {
       for (const auto& [step, loss] : run.curve) { append_number(text, begin, step, loss, result); }
     },
     [](RunRecord& run, const Fields& fields, const RunHeader& header) {
       run.curve.push_back({number_of<std::int64_t>(fields[0]).value_or(-1), typed_number(fields[1], header)});
     }},
    {"evaluation.csv", "split,loss,relative_error",
     [](std::string& text, const std::string& begin, const RunRecord& run, const VariantResult& row,
        const ExperimentResult& result) {
       const auto& splits = result.scene_of(row).splits;
       for (std::size_t i = 0; i < splits.size() && run.status != RunStatus::interrupted; ++i) {
         const auto loss = run.split_losses.empty() ? std::nullopt : std::optional(run.split_losses[i]);
         const double norm = splits[i].target_norm;
         text += fmt::format("{}{},{},{}\n", begin, splits[i].name, shortest(loss),
                             loss && norm > 0 ? shortest(*loss / norm) : "");
       }
     },
     [](RunRecord& run, const Fields& fields, const RunHeader& /*header*/) {
       if (run.status == RunStatus::ok) { run.split_losses.push_back(number_of<double>(fields[1]).value_or(INFINITY)); }
     }},
    {"weights.csv", "index,value",
     [](std::string& text, const std::string& begin, const RunRecord& run, const VariantResult& /*row*/,
        const ExperimentResult& result) {
       for (std::size_t i = 0; i < run.weights.size(); ++i) {
         append_number(text, begin, static_cast<std::int64_t>(i), run.weights[i], result);
       }
     },
     [](RunRecord& run, const Fields& fields, const RunHeader& header) {
       run.weights.push_back(typed_number(fields[1], header));
     }},
    {"runs.csv", "status,last_step,final_loss,first_success_step,success_at_best",
     [](std::string& text, const std::string& begin, const RunRecord& run, const VariantResult& /*row*/,
        const ExperimentResult& /*result*/) {
       text += fmt::format("{}{},{},{},{},{}\n", begin, name_of(run.status), run.last_step, shortest(run.final_loss),
                           shortest(run.first_success_step), shortest(run.success_at_best));
     },
     [](RunRecord& run, const Fields& fields, const RunHeader& /*header*/) {
       for (const auto status : {RunStatus::interrupted, RunStatus::diverged, RunStatus::ok}) {
         run.status = fields[0] == name_of(status) ? status : run.status;
       }
       run.last_step = number_of<std::int64_t>(fields[1]).value_or(-1);
       run.final_loss = number_of<double>(fields[2]);
       run.first_success_step = number_of<std::int64_t>(fields[3]);
       if (!fields[4].empty()) { run.success_at_best = fields[4] == "true"; }
     }},
};

void write_csv(const CsvFile& file, const ExperimentResult& result, const Sink& sink) {
  sink(fmt::format("variant,{}{}{}seed,{}\n", result.header.scenes.size() > 1 ? "scene," : "",
                   result.sizes() ? "depth,width," : "", result.grid() ? "optimizer,learning_rate," : "",
                   file.columns));
  std::string text;
  for (const auto& row : result.variants) {
    const auto key = csv_key(result, row);
    for (const auto& run : row.runs) {
      text.clear();
      file.append(text, fmt::format("{}{},", key, run.seed), run, row, result);
      sink(text);
    }
  }
}

void add_results(const Path& directory, ExperimentResult& result) {
  const Path summary_path = directory / "summary.json";
  Summary summary;
  const auto text = read_file(summary_path);
  try {
    summary = parse_summary(text);
  } catch (const std::runtime_error& error) { damaged(summary_path, error.what()); }
  for_lines(directory / "config.toml", summary, [](std::string_view /*line*/) {});
  auto& header = result.header;
  std::tie(header.libtorch, header.device, header.threads) =
      std::tie(summary.result.header.libtorch, summary.result.header.device, summary.result.header.threads);
  const auto row_like = [&](const VariantResult& row) {
    return std::find(result.variants.begin(), result.variants.end(), row);
  };
  std::unordered_map<std::string, VariantResult*> rows;
  for (auto& row : summary.result.variants) {
    if (row_like(row) == result.variants.end()) {
      damaged(summary_path, fmt::format("it has a row of {} that its settings do not ask for", row.variant));
    }
    rows.emplace(csv_key(result, *row_like(row)), &row);
  }
  for (auto file = csv_files.rbegin(); file != csv_files.rend(); ++file) {
    read_csv(*file, directory / file->name, summary, header, rows);
  }
  for (auto& row : summary.result.variants) {
    auto& into = *row_like(row);
    for (auto& run : row.runs) {
      const auto expect = [&](bool complete, const char* file) {
        const auto what = fmt::format("{}, seed {} is not complete", row.variant, run.seed);
        if (!complete) { damaged(directory / file, what); }
      };
      expect(!run.curve.empty() && run.curve.back().step == run.last_step, "loss.csv");
      expect(static_cast<std::int64_t>(run.weights.size()) == into.parameters, "weights.csv");
      const auto splits = run.status == RunStatus::ok ? result.scene_of(into).splits.size() : 0;
      expect(run.split_losses.size() == splits, "evaluation.csv");
      into.runs.push_back(std::move(run));
    }
    into.seconds += row.seconds;
  }
}

std::optional<std::string> other_settings(const Path& directory, const Config& config, const ReadSettings& read) {
  const Path settings = directory / "config.toml";
  try {
    return std::filesystem::exists(settings) ? difference(config, read(settings), true) : std::nullopt;
  } catch (const UsageError& error) { return error.what(); }
}

void add_earlier_run(const Path& directory, const Config& config, const ReadSettings& read, ExperimentResult& result) {
  const auto with_our_seeds = [&](const Path& file) {
    auto earlier = read(file);
    const bool fewer = config.shard.count == 1 && earlier.shard.count == 1 && earlier.seeds < config.seeds;
    earlier.seeds = fewer ? config.seeds : earlier.seeds;
    return earlier;
  };
  if (const auto differing = other_settings(directory, config, with_our_seeds)) {
    throw UsageError(fmt::format("--resume: '{}' holds a run of other settings, see its config.toml; {}",
                                 directory.string(), *differing));
  }
  // Between the two files a run may have been killed.
  const bool begun = std::filesystem::exists(directory / "config.toml");
  if (begun && std::filesystem::exists(directory / "summary.json")) { add_results(directory, result); }
}

void join_seeds(const std::vector<std::string>& folders, const ReadSettings& read, Config& config) {
  auto end = config.seed + config.seeds;
  for (const auto& folder : folders) {
    const auto its = read(Path(folder) / "config.toml");
    config.seed = std::min(config.seed, its.seed);
    end = std::max(end, its.seed + its.seeds);
  }
  config.seeds = end - config.seed;
}

void add_shards(const std::vector<std::string>& folders, const Config& config, const ReadSettings& read,
                ExperimentResult& result) {
  for (const auto& folder : folders) {
    auto its = read(Path(folder) / "config.toml");
    std::tie(its.seed, its.seeds) = std::tie(config.seed, config.seeds);
    if (const auto differing = difference(config, its, false)) {
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
