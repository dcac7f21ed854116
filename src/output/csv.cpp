#include <fmt/compile.h>
#include "options/options.hpp"
#include "output/records.hpp"

namespace conv_mult {
namespace {
using Path = std::filesystem::path;

template <typename Number>
std::string shortest(const std::optional<Number>& value) {
  return value && std::isfinite(static_cast<double>(*value)) ? fmt::format(FMT_COMPILE("{}"), *value) : "";
}

/// None of an empty field. Throws std::runtime_error for what is no number.
template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  const auto error = std::from_chars(text.data(), text.data() + text.size(), value).ec;
  if (!text.empty() && error != std::errc()) { throw std::runtime_error(fmt::format("'{}' is not a number", text)); }
  return text.empty() ? std::nullopt : std::optional(value);
}

/// With as few digits as identify it in the run's type: 35.97, not 35.970001220703125.
void append_number(Buffer& text, const std::string& begin, std::int64_t index, double value, bool single) {
  const auto digits = single ? shortest(std::optional(static_cast<float>(value))) : shortest(std::optional(value));
  fmt::format_to(fmt::appender(text), FMT_COMPILE("{}{},{}\n"), begin, index, digits);
}

double typed_number(std::string_view text, bool single) {
  return single ? static_cast<double>(number_of<float>(text).value_or(NAN)) : number_of<double>(text).value_or(NAN);
}

/// The first line, which tells the columns.
std::string heading(const CsvFile& file, const ExperimentResult& result) {
  return fmt::format("variant,{}{}{}seed,{}\n", result.scenes.size() > 1 ? "scene," : "",
                     result.sizes() ? "depth,width," : "", result.grid() ? "optimizer,learning_rate," : "",
                     file.columns);
}

/// The part of the row in what its lines begin with.
std::string csv_key(const ExperimentResult& result, const VariantResult& row) {
  std::string key = row.variant + ',';
  if (result.scenes.size() > 1) { key += result.scene_of(row).name + ','; }
  if (result.sizes()) { key += row.depth ? fmt::format("{},{},", *row.depth, *row.width) : ",,"; }
  if (result.grid()) { key += fmt::format("{},{},", row.optimizer, row.learning_rate); }
  return key;
}

[[noreturn]] void damaged(const Path& path, const std::string& reason) {
  throw std::runtime_error(
      fmt::format("{}: damaged: {}; without summary.json beside it the run starts anew", path.string(), reason));
}

/// The text of a file that summary.json knows: as it was written, so it is a table with numbers in it.
std::string known_text(const Path& path, const Summary& summary) {
  const auto known = summary.files.find(path.filename());
  if (known == summary.files.end()) { damaged(path, "summary.json beside it does not name it"); }
  auto text = read_file(path);
  const auto sum = checksum(text);
  const auto& [now, before] = known->second;
  if (sum != now && sum != before) { damaged(path, "its checksum is not that in summary.json"); }
  return text;
}

/// Adds what the lines of a file say to the runs of each row, by what its lines begin with.
void read_csv(const CsvFile& file, const Path& path, const Summary& summary, const ExperimentResult& result,
              std::unordered_map<std::string, std::vector<RunRecord>>& runs_of) {
  Fields fields(split(file.columns).size() + 1);
  const auto text = known_text(path, summary);
  const auto begin = heading(file, result);
  if (text.rfind(begin, 0) != 0) { damaged(path, "its columns are those of another version"); }
  for (auto rest = std::string_view(text).substr(begin.size()); !rest.empty();) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    auto key = line;  // what is left of it, field by field from its end
    for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
      *field = key.substr(key.rfind(',') + 1);
      key = key.substr(0, key.rfind(','));
    }
    const auto row = runs_of.find(std::string(key) + ',');
    if (row == runs_of.end()) { damaged(path, fmt::format("summary.json knows no row of the line '{}'", line)); }
    auto& runs = row->second;
    const auto seed = number_of<std::int64_t>(fields[0]).value_or(-1);
    if (&file == &csv_files.back()) { runs.emplace_back().seed = seed; }  // the list of runs, read first
    const auto run = std::lower_bound(runs.begin(), runs.end(), seed,     // their order
                                      [](const auto& each, std::int64_t sought) { return each.seed < sought; });
    if (run != runs.end() && run->seed == seed) { file.take(*run, fields, result.dtype == "float32"); }
  }
}
}  // namespace

const std::vector<CsvFile> csv_files{
    {"loss.csv", "step,loss",
     [](Buffer& text, const std::string& begin, const RunRecord& run, const SceneResult&, bool single) {
       for (const auto& [step, loss] : run.curve) { append_number(text, begin, step, loss, single); }
     },
     [](RunRecord& run, const Fields& fields, bool single) {
       run.curve.push_back({number_of<std::int64_t>(fields[1]).value_or(-1), typed_number(fields[2], single)});
     }},
    {"evaluation.csv", "split,loss,relative_error",
     [](Buffer& text, const std::string& begin, const RunRecord& run, const SceneResult& scene, bool) {
       for (std::size_t i = 0; i < scene.splits.size() && run.status != RunStatus::interrupted; ++i) {
         const auto& [name, norm] = std::tie(scene.splits[i].name, scene.splits[i].target_norm);
         const double loss = run.split_losses.empty() ? NAN : run.split_losses[i];
         fmt::format_to(fmt::appender(text), FMT_COMPILE("{}{},{},{}\n"), begin, name, shortest<double>(loss),
                        shortest<double>(loss / norm));
       }
     },
     [](RunRecord& run, const Fields& fields, bool) {
       if (run.status == RunStatus::ok) { run.split_losses.push_back(number_of<double>(fields[2]).value_or(INFINITY)); }
     }},
    {"weights.csv", "index,value",
     [](Buffer& text, const std::string& begin, const RunRecord& run, const SceneResult&, bool single) {
       std::int64_t index = 0;
       for (const double weight : run.weights) { append_number(text, begin, index++, weight, single); }
     },
     [](RunRecord& run, const Fields& fields, bool single) { run.weights.push_back(typed_number(fields[2], single)); }},
    {"runs.csv", "status,last_step,final_loss,first_success_step,success_at_best",
     [](Buffer& text, const std::string& begin, const RunRecord& run, const SceneResult&, bool) {
       fmt::format_to(fmt::appender(text), FMT_COMPILE("{}{},{},{},{},{}\n"), begin, text_of(run.status), run.last_step,
                      shortest(run.final_loss), shortest(run.first_success_step), shortest(run.success_at_best));
     },
     [](RunRecord& run, const Fields& fields, bool) {
       parse(fields[1], run.status);
       run.last_step = number_of<std::int64_t>(fields[2]).value_or(-1);
       run.final_loss = number_of<double>(fields[3]);
       run.first_success_step = number_of<std::int64_t>(fields[4]);
       if (!fields[5].empty()) { run.success_at_best = fields[5] == "true"; }
     }},
};

void write_csv(const CsvFile& file, const ExperimentResult& result, const Sink& sink) {
  sink(heading(file, result));
  Buffer text;
  for (const auto& row : result.variants) {
    const auto key = csv_key(result, row);
    for (const auto& run : row.runs) {
      text.clear();
      file.append(text, fmt::format("{}{},", key, run.seed), run, result.scene_of(row), result.dtype == "float32");
      sink({text.data(), text.size()});
    }
  }
}

KnownFiles add_results(const Path& directory, ExperimentResult& result, bool interrupted_too) {
  const Path summary_path = directory / "summary.json";
  Summary summary;
  const auto text = read_file(summary_path);
  try {
    summary = parse_summary(text);
  } catch (const std::exception& error) { damaged(summary_path, error.what()); }
  known_text(directory / "config.toml", summary);
  std::unordered_map<std::string, std::vector<RunRecord>> runs_of;
  for (const auto& known : summary.rows) {
    const auto row = std::find(result.variants.begin(), result.variants.end(), known);
    if (row == result.variants.end()) {
      damaged(summary_path, fmt::format("it has a row of {} that its settings do not ask for", known.variant));
    }
    row->seconds += known.seconds;
    runs_of[csv_key(result, *row)];
  }
  for (auto file = csv_files.rbegin(); file != csv_files.rend(); ++file) {
    read_csv(*file, directory / file->name, summary, result, runs_of);
  }
  for (auto& row : result.variants) {
    const auto key = csv_key(result, row);
    for (auto& run : runs_of[key]) {
      if (run.status == RunStatus::interrupted && !interrupted_too) { continue; }
      const auto expect = [&](bool complete, const char* file) {
        if (!complete) { damaged(directory / file, fmt::format("the run {}{} is not complete", key, run.seed)); }
      };
      expect(!run.curve.empty() && run.curve.back().step == run.last_step, "loss.csv");
      const auto weights = run.status == RunStatus::interrupted ? 0 : row.parameters;
      expect(static_cast<std::int64_t>(run.weights.size()) == weights, "weights.csv");
      const auto splits = run.status == RunStatus::ok ? result.scene_of(row).splits.size() : 0;
      expect(run.split_losses.size() == splits, "evaluation.csv");
      row.runs.push_back(std::move(run));
    }
  }
  return summary.files;
}

std::optional<std::string> other_settings(const Path& directory, const Config& config, const ReadSettings& read) {
  const Path settings = directory / "config.toml";
  try {
    return std::filesystem::exists(settings) ? difference(config, read(settings)) : std::nullopt;
  } catch (const UsageError& error) { return error.what(); }
}

KnownFiles add_earlier_run(const Path& directory, const Config& config, const ReadSettings& read,
                           ExperimentResult& result) {
  const auto with_our_seeds = [&](const Path& file) {
    auto earlier = read(file);
    if (config.shard.count == 1 && earlier.shard.count == 1) { earlier.seeds = std::max(earlier.seeds, config.seeds); }
    return earlier;
  };
  const auto differing = other_settings(directory, config, with_our_seeds);
  refuse_if(differing.has_value(), "--resume: '{}' holds a run of other settings, see its config.toml; {}",
            directory.string(), differing.value_or(""));
  // Between the two files a run may have been killed.
  const bool told = exists(directory / "config.toml") && exists(directory / "summary.json");
  return told || config.report_only ? add_results(directory, result, config.report_only) : KnownFiles();
}

void add_shards(const std::vector<std::string>& folders, const Config& config, const ReadSettings& read,
                ExperimentResult& result) {
  for (const auto& folder : folders) {
    auto its = read(Path(folder) / "config.toml");
    std::tie(its.seed, its.seeds, its.shard) = std::tie(config.seed, config.seeds, config.shard);
    const auto differing = difference(config, its);
    refuse_if(differing.has_value(), "merge: '{}' was made with other settings than '{}', see their config.toml; {}",
              folder, folders.front(), differing.value_or(""));
    add_results(folder, result);
  }
  for (auto& row : result.variants) {
    std::sort(row.runs.begin(), row.runs.end(), [](const auto& a, const auto& b) { return a.seed < b.seed; });
    std::unordered_map<std::int64_t, int> copies;  // of each seed
    for (const auto& run : row.runs) { ++copies[run.seed]; }
    for (auto seed = config.seed; seed < config.seed + config.seeds; ++seed) {
      refuse_if(copies[seed] != 1, "merge: the finished runs of seed {} are in {} of the folders", seed,
                copies[seed] == 0 ? "none" : "two");
    }
  }
}
}  // namespace conv_mult
