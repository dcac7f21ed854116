#include "conv_mult/report/reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>
#include <unordered_map>

#include "conv_mult/files.hpp"
#include "conv_mult/report/tables.hpp"

namespace conv_mult {
namespace {

using Json = nlohmann::json;
using Path = std::filesystem::path;

[[noreturn]] void damaged(const Path& path, const std::string& reason) {
  throw std::runtime_error(fmt::format("{}: damaged: {}; without summary.json beside it the run starts anew",
                                       path.string(), reason));
}

/// The part of the file that summary.json knows; a run that was killed leaves CSV files that go on.
std::string known_part(const Path& path, const Json& files) {
  auto content = read_file(path);
  const auto& known = files.at(path.filename().string());
  const std::size_t bytes = known.at("bytes");
  if (content.size() < bytes) {
    damaged(path, fmt::format("of its {} bytes {} are there", bytes, content.size()));
  }
  content.resize(bytes);
  if (checksum(content) != known.at("checksum").get<std::string>()) {
    damaged(path, "its checksum is not that in summary.json");
  }
  return content;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

template <typename Number>
Number number_of(std::string_view text, const Path& path) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    damaged(path, fmt::format("'{}' is not a number", text));
  }
  return value;
}

/// A float32 number has to become the same float again before it is widened.
double value_of(std::string_view text, const RunHeader& header, const Path& path) {
  return header.dtype == "float32" ? static_cast<double>(number_of<float>(text, path))
                                   : number_of<double>(text, path);
}

/// The finished runs by what their lines in a CSV file begin with.
using Runs = std::unordered_map<std::string, RunRecord*>;

Runs runs_by_key(ExperimentResult& result) {
  Runs runs;
  for (auto& row : result.variants) {
    for (auto& run : row.runs) {
      runs.emplace(csv_key(result, row, run), &run);
    }
  }
  return runs;
}

/// Hands the columns after the key, `columns` in number, to the run that they are of.
void read_csv(const Path& path, const Json& files, std::size_t columns, const Runs& runs,
              const std::function<void(RunRecord&, const std::vector<std::string_view>&)>& take) {
  const std::string content = known_part(path, files);
  auto lines = split(content, '\n');
  lines.pop_back();
  for (const auto line : lines) {
    auto fields = split(line, ',');
    if (fields.size() <= columns) {
      damaged(path, fmt::format("'{}' is not a line of it", line));
    }
    fields.erase(fields.begin(), fields.end() - static_cast<std::ptrdiff_t>(columns));
    const auto key = line.substr(0, static_cast<std::size_t>(fields.front().data() - line.data()));
    if (const auto run = runs.find(std::string(key)); run != runs.end()) {
      take(*run->second, fields);
    }
  }
}

template <typename T>
std::optional<T> optional_of(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional<T>(value.get<T>());
}

VariantResult row_of(const Json& json) {
  VariantResult row;
  row.scene = json.at("scene");
  row.depth = optional_of<std::int64_t>(json.at("depth"));
  row.width = optional_of<std::int64_t>(json.at("width"));
  row.variant = json.at("variant");
  row.optimizer = json.at("optimizer");
  row.learning_rate = json.at("learning_rate");
  row.steps = json.at("steps");
  row.parameters = json.at("parameters");
  row.seconds = json.at("seconds");
  for (const auto& each : json.at("runs")) {
    const std::string status = each.at("status");
    if (status == "interrupted") {
      continue;
    }
    RunRecord run;
    run.seed = each.at("seed");
    run.status = status == "diverged" ? RunStatus::diverged : RunStatus::ok;
    run.last_step = each.at("last_step");
    run.final_loss = optional_of<double>(each.at("final_loss"));
    run.first_success_step = optional_of<std::int64_t>(each.at("first_success_step"));
    row.runs.push_back(std::move(run));
  }
  return row;
}

}  // namespace

ExperimentResult read_results(const Path& directory) {
  ExperimentResult result;
  const Path summary = directory / "summary.json";
  const Path loss = directory / "loss.csv";
  const Path weights = directory / "weights.csv";
  const Path evaluation = directory / "evaluation.csv";
  const std::string content = read_file(summary);
  if (!is_intact(content)) {
    damaged(summary, "its checksum is not that of its text");
  }
  try {
    const auto json = Json::parse(content);
    result.header.libtorch = json.at("libtorch");
    result.header.device = json.at("device");
    result.header.threads = json.at("threads");
    result.header.dtype = json.at("dtype");
    for (const auto& each : json.at("scenes")) {
      auto& scene = result.header.scenes.emplace_back();
      scene.name = each.at("scene");
      scene.splits.resize(each.at("splits").size());
    }
    result.grid = json.at("grid");
    result.sizes = json.at("sizes");
    for (const auto& variant : json.at("variants")) {
      result.variants.push_back(row_of(variant));
    }
    const Json& files = json.at("files");
    known_part(directory / "config.toml", files);
    const auto runs = runs_by_key(result);
    read_csv(loss, files, 2, runs, [&](RunRecord& run, const auto& fields) {
      run.curve.push_back(
          {number_of<std::int64_t>(fields[0], loss), value_of(fields[1], result.header, loss)});
    });
    read_csv(weights, files, 2, runs, [&](RunRecord& run, const auto& fields) {
      run.weights.push_back(value_of(fields[1], result.header, weights));
    });
    read_csv(evaluation, files, 3, runs, [&](RunRecord& run, const auto& fields) {
      if (!fields[1].empty()) {
        run.split_losses.push_back(number_of<double>(fields[1], evaluation));
      }
    });
  } catch (const Json::exception& error) {
    damaged(summary, error.what());
  }
  for (const auto& row : result.variants) {
    for (const auto& run : row.runs) {
      const auto expect = [&](bool complete, const Path& path) {
        if (!complete) {
          damaged(path, fmt::format("{}, seed {} is not complete", row.variant, run.seed));
        }
      };
      expect(!run.curve.empty() && run.curve.back().step == run.last_step, loss);
      expect(static_cast<std::int64_t>(run.weights.size()) == row.parameters, weights);
      const auto splits = run.status == RunStatus::ok ? result.scene_of(row).splits.size() : 0;
      expect(run.split_losses.size() == splits, evaluation);
    }
  }
  return result;
}

ExperimentResult read_earlier_run(const Path& directory, const std::string& resolved_toml) {
  const Path config = directory / "config.toml";
  if (!std::filesystem::exists(config)) {
    return {};
  }
  if (deciding_settings(read_file(config), true) != deciding_settings(resolved_toml, true)) {
    throw UsageError(
        fmt::format("--resume: '{}' holds a run of other settings, see its config.toml", directory.string()));
  }
  // Between the two files a run may have been killed.
  return std::filesystem::exists(directory / "summary.json") ? read_results(directory) : ExperimentResult{};
}

ExperimentResult read_shards(const std::vector<std::string>& folders, const std::string& resolved_toml,
                             const Config& config) {
  const SeedRange seeds = config.seeds;
  const std::size_t rows = rows_of(config).size();
  ExperimentResult whole;
  for (const auto& folder : folders) {
    const auto theirs = read_file(Path(folder) / "config.toml");
    if (deciding_settings(theirs, false) != deciding_settings(resolved_toml, false)) {
      throw UsageError(
          fmt::format("merge: '{}' was made with other settings than '{}', see their config.toml", folder,
                      folders.front()));
    }
    auto part = read_results(folder);
    if (whole.variants.empty()) {
      whole = std::move(part);
      whole.variants.resize(rows);
      continue;
    }
    for (std::size_t row = 0; row < std::min(rows, part.variants.size()); ++row) {
      auto& from = part.variants[row].runs;
      auto& runs = whole.variants[row].runs;
      std::move(from.begin(), from.end(), std::back_inserter(runs));
      whole.variants[row].seconds += part.variants[row].seconds;
    }
  }
  for (auto& row : whole.variants) {
    std::sort(row.runs.begin(), row.runs.end(), [](const auto& a, const auto& b) { return a.seed < b.seed; });
    for (std::int64_t i = 0; i < seeds.count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const std::int64_t seed = seeds.first + i;
      if (at >= row.runs.size() || row.runs[at].seed != seed) {
        const bool twice = at > 0 && at < row.runs.size() && row.runs[at].seed == seed - 1;
        throw UsageError(fmt::format("merge: the finished runs of seed {} are in {}", twice ? seed - 1 : seed,
                                     twice ? "two of the folders" : "none of the folders"));
      }
    }
  }
  return whole;
}

}  // namespace conv_mult
