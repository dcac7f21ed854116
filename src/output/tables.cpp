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
  if (run.status != RunStatus::ok) {
    return fmt::format("{} at step {}", run.status == RunStatus::diverged ? "diverged" : "interrupted", run.last_step);
  }
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

}  // namespace

std::string csv_key(const ExperimentResult& result, const VariantResult& row) {
  std::string key = row.variant + ',';
  if (result.header.scenes.size() > 1) { key += result.scene_of(row).name + ','; }
  if (result.sizes()) { key += row.depth ? fmt::format("{},{},", *row.depth, *row.width) : ",,"; }
  if (result.grid()) { key += fmt::format("{},{},", row.optimizer, row.learning_rate); }
  return key;
}

void CsvFiles::append(const ExperimentResult& result) {
  if (loss_.empty()) {
    const auto key = fmt::format("variant,{}{}{}seed", result.header.scenes.size() > 1 ? "scene," : "",
                                 result.sizes() ? "depth,width," : "", result.grid() ? "optimizer,learning_rate," : "");
    loss_ = key + ",step,loss\n";
    evaluation_ = key + ",split,loss,relative_error\n";
    weights_ = key + ",index,value\n";
  }
  // A loss or a weight with as few digits as identify it in its type: 35.97, not 35.970001220703125.
  const bool single = result.header.dtype == "float32";
  const auto append = [&](std::string& text, const std::string& key, auto index, double value) {
    const auto end = std::back_inserter(text);
    single ? fmt::format_to(end, "{}{},{}\n", key, index, static_cast<float>(value))
           : fmt::format_to(end, "{}{},{}\n", key, index, value);
  };
  written_.resize(result.variants.size());
  for (std::size_t row = 0; row < result.variants.size(); ++row) {
    const auto& v = result.variants[row];
    const auto& splits = result.scene_of(v).splits;
    const auto row_key = csv_key(result, v);
    for (; written_[row] < v.runs.size(); ++written_[row]) {
      const auto& run = v.runs[written_[row]];
      const auto key = fmt::format("{}{},", row_key, run.seed);
      for (const auto& [step, loss] : run.curve) { append(loss_, key, step, loss); }
      if (run.status == RunStatus::interrupted) { continue; }
      for (std::size_t i = 0; i < run.weights.size(); ++i) { append(weights_, key, i, run.weights[i]); }
      for (std::size_t i = 0; i < splits.size(); ++i) {
        const auto loss = run.split_losses.empty() ? std::nullopt : std::optional(run.split_losses[i]);
        const double norm = splits[i].target_norm;
        evaluation_ += fmt::format("{}{},{},{}\n", key, splits[i].name, loss ? fmt::format("{}", *loss) : "",
                                   loss && norm > 0 ? fmt::format("{}", *loss / norm) : "");
      }
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
