#include "output/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace conv_mult {
namespace {

std::string percent(double fraction, int decimals) {
  const bool small = fraction != 0 && std::abs(fraction) < 0.005 * std::pow(10, -decimals);
  return std::isinf(fraction)      ? "inf"
         : fraction < 10 && !small ? fmt::format("{:.{}f} %", 100 * fraction, decimals)
                                   : fmt::format("{:.3g} %", 100 * fraction);
}

std::string grouped(std::int64_t number) {
  std::string text = fmt::format("{}", number);
  for (std::size_t i = text.size(); i > 3; i -= 3) { text.insert(i - 3, ","); }
  return text;
}

/// How far above the floor the loss ended; a floor of 0 leaves no ratio.
std::string gap(const VariantResult& v) {
  if (!v.statistics.final_loss || !v.floor || *v.floor <= 0) { return "-"; }
  return percent(v.statistics.final_loss->median / *v.floor - 1, 3);
}

/// Of the only run.
std::string outcome(const VariantResult& v) {
  const auto& run = v.runs.front();
  if (run.status != RunStatus::ok) { return fmt::format("{} at step {}", name_of(run.status), run.last_step); }
  if (v.statistics.dead > 0) { return "output vanished"; }
  return v.statistics.success.count > 0 ? "success" : "no success";
}

/// A line of the table: what heads each column, and what stands there for this row.
using Cells = std::vector<std::pair<std::string, std::string>>;

Cells cells_of(const VariantResult& v, const ExperimentResult& result) {
  const auto& statistics = v.statistics;
  const auto& success = statistics.success;
  const auto& scene = result.scene_of(v);
  const bool many = result.header.seeds > 1;
  const auto digits = [](const std::optional<double>& value) { return value ? fmt::format("{:.6g}", *value) : "-"; };
  Cells cells{{"variant", v.variant}};
  if (result.sizes()) {
    cells.emplace_back("depth", v.depth ? fmt::format("{}", *v.depth) : "-");
    cells.emplace_back("width", v.width ? fmt::format("{}", *v.width) : "-");
    cells.emplace_back("parameters", grouped(v.parameters));
  }
  if (result.grid()) {
    cells.emplace_back("optimizer", v.optimizer);
    cells.emplace_back("lr", fmt::format("{}", v.learning_rate));
  }
  const auto& loss = statistics.final_loss;
  cells.emplace_back(many ? "median loss" : "loss", digits(loss ? std::optional(loss->median) : std::nullopt));
  cells.emplace_back("floor", digits(v.floor));
  if (!many) { cells.emplace_back("gap", gap(v)); }
  for (std::size_t i = 0; i < scene.splits.size(); ++i) {
    const auto& error = statistics.split_errors[i];
    cells.emplace_back(scene.splits[i].name, error ? percent(error->median, 2) : "-");
  }
  const auto time = fmt::format("{:.2f} s", v.seconds);
  if (!many) {
    cells.emplace_back("time", time);
    cells.emplace_back("outcome", outcome(v));
    return cells;
  }
  cells.emplace_back("success", percent(success.rate, 1));
  cells.emplace_back("95 % interval", fmt::format("{:.1f} to {:.1f} %", 100 * success.low, 100 * success.high));
  if (scene.success_error) { cells.emplace_back("everywhere", percent(statistics.everywhere.rate, 1)); }
  cells.emplace_back("at step", statistics.first_success ? grouped(std::llround(*statistics.first_success)) : "-");
  if (!scene.success_error) {  // near-exact: then the weights should be whole
    const auto& best = statistics.best_look;
    cells.emplace_back("best look", best.of > 0 ? percent(best.rate, 1) : "-");
    cells.emplace_back("sparsity error",
                       statistics.sparsity_error ? fmt::format("{:.2g}", *statistics.sparsity_error) : "-");
  }
  cells.emplace_back("diverged", grouped(statistics.diverged));
  cells.emplace_back("dead", grouped(statistics.dead));
  cells.emplace_back("seeds", grouped(success.of));
  cells.emplace_back("time", time);
  return cells;
}

/// The first column and a column of words are flush left, numbers flush right.
std::string aligned(const std::vector<Cells>& rows) {
  std::vector<std::string> lines(rows.size() + 1);
  for (std::size_t column = 0; column < rows.front().size(); ++column) {
    const std::string& heading = rows.front()[column].first;
    const bool words = column == 0 || heading == "optimizer" || heading == "outcome";
    std::size_t width = heading.size();
    for (const auto& row : rows) { width = std::max(width, row[column].second.size()); }
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::string& text = i == 0 ? heading : rows[i - 1][column].second;
      const std::string space(width - text.size(), ' ');
      lines[i] += (column > 0 ? "  " : "") + (words ? text + space : space + text);
    }
  }
  std::string table;
  for (const auto& line : lines) { table += line.substr(0, line.find_last_not_of(' ') + 1) + '\n'; }
  return table;
}

std::string sentence(const Comparison& c) {
  const auto ratio = c.ratio ? fmt::format(", median ratio {:.3g}", c.ratio->median) : "";
  return fmt::format(
      "{} against {}, same seeds: lower loss on {} of {} ({:.1f} to {:.1f} %){}; "
      "success: both {}, only {} {}, only {} {}, neither {}\n",
      c.variant, c.reference, grouped(c.lower.count), grouped(c.lower.of), 100 * c.lower.low, 100 * c.lower.high, ratio,
      grouped(c.both_succeed), c.variant, grouped(c.only_variant), c.reference, grouped(c.only_reference),
      grouped(c.neither));
}

template <typename Number>
std::string shortest(Number value) {
  return std::isfinite(static_cast<double>(value)) ? fmt::format("{}", value) : "";
}
template <typename Number>
std::string shortest(const std::optional<Number>& value) {
  return value ? shortest(*value) : "";
}

/// A loss or a weight with as few digits as identify it in its type: 35.97, not 35.970001220703125.
void append_number(std::string& text, const std::string& begin, std::int64_t index, double value,
                   const ExperimentResult& result) {
  const auto digits = result.header.dtype == "float32" ? shortest(static_cast<float>(value)) : shortest(value);
  fmt::format_to(std::back_inserter(text), "{}{},{}\n", begin, index, digits);
}

}  // namespace

std::string csv_key(const ExperimentResult& result, const VariantResult& row) {
  std::string key = row.variant + ',';
  if (result.header.scenes.size() > 1) { key += result.scene_of(row).name + ','; }
  if (result.sizes()) { key += row.depth ? fmt::format("{},{},", *row.depth, *row.width) : ",,"; }
  if (result.grid()) { key += fmt::format("{},{},", row.optimizer, row.learning_rate); }
  return key;
}

const std::vector<CsvFile> csv_files{
    {"loss.csv", "step,loss",
     [](std::string& text, const std::string& begin, const RunRecord& run, const VariantResult& /*row*/,
        const ExperimentResult& result) {
       for (const auto& [step, loss] : run.curve) { append_number(text, begin, step, loss, result); }
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
     }},
    {"weights.csv", "index,value",
     [](std::string& text, const std::string& begin, const RunRecord& run, const VariantResult& /*row*/,
        const ExperimentResult& result) {
       for (std::size_t i = 0; i < run.weights.size(); ++i) {
         append_number(text, begin, static_cast<std::int64_t>(i), run.weights[i], result);
       }
     }},
    {"runs.csv", "status,last_step,final_loss,first_success_step,success_at_best",
     [](std::string& text, const std::string& begin, const RunRecord& run, const VariantResult& /*row*/,
        const ExperimentResult& /*result*/) {
       text += fmt::format("{}{},{},{},{},{}\n", begin, name_of(run.status), run.last_step, shortest(run.final_loss),
                           shortest(run.first_success_step), shortest(run.success_at_best));
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

std::string result_table(const ExperimentResult& result) {
  const auto& scenes = result.header.scenes;
  std::string text;
  for (std::size_t scene = 0; scene < scenes.size(); ++scene) {
    std::vector<Cells> rows;
    for (const auto& row : result.variants) {
      if (row.scene == scene && !row.runs.empty()) { rows.push_back(cells_of(row, result)); }
    }
    if (rows.empty()) { break; }  // interrupted before
    if (scenes.size() > 1) {
      text += fmt::format("{}{}{}\n", scene > 0 ? "\n" : "", scenes[scene].name,
                          scenes[scene].test.empty() ? "" : ", outside: " + scenes[scene].test);
    }
    text += aligned(rows);
  }
  constexpr std::size_t most_sentences = 3;  // more are in summary.json, and those of a grid
  if (result.header.seeds > 1 && !result.grid() && result.comparisons.size() <= most_sentences) {
    for (const auto& comparison : result.comparisons) { text += sentence(comparison); }
  }
  return text;
}

}  // namespace conv_mult
