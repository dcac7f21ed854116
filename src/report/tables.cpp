#include "conv_mult/report/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "conv_mult/files.hpp"

namespace conv_mult {
namespace {

using OrderedJson = nlohmann::ordered_json;  // keys in the order of writing

/// The end of summary.json.
constexpr auto seal_begin = ",\n \"checksum\": \"";

std::string seal_of(std::string_view text) { return fmt::format("{}{}\"\n}}\n", seal_begin, checksum(text)); }

/// JSON knows no infinity.
OrderedJson finite_or_null(double value) {
  return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr);
}

OrderedJson or_null(const std::optional<double>& value) {
  return value ? finite_or_null(*value) : OrderedJson(nullptr);
}

OrderedJson or_null(const std::optional<std::int64_t>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

const char* name_of(RunStatus status) {
  switch (status) {
    case RunStatus::ok:
      return "ok";
    case RunStatus::diverged:
      return "diverged";
    case RunStatus::interrupted:
      break;
  }
  return "interrupted";
}

const char* name_of(ExperimentStatus status) {
  switch (status) {
    case ExperimentStatus::complete:
      return "complete";
    case ExperimentStatus::incomplete:
      return "incomplete";
    case ExperimentStatus::interrupted:
      break;
  }
  return "interrupted";
}

OrderedJson json_of(const RunRecord& run) {
  return {{"seed", run.seed},
          {"status", name_of(run.status)},
          {"last_step", run.last_step},
          {"final_loss", or_null(run.final_loss)},
          {"first_success_step", or_null(run.first_success_step)}};
}

OrderedJson json_of(const std::optional<Spread>& spread) {
  if (!spread) {
    return nullptr;
  }
  return {{"median", finite_or_null(spread->median)},
          {"q1", finite_or_null(spread->q1)},
          {"q3", finite_or_null(spread->q3)},
          {"min", finite_or_null(spread->min)},
          {"max", finite_or_null(spread->max)}};
}

OrderedJson json_of(const SuccessRate& success) {
  return {{"count", success.count},
          {"of", success.of},
          {"rate", success.rate},
          {"low", success.low},
          {"high", success.high}};
}

OrderedJson json_of(const VariantResult& v, const SceneResult& scene) {
  const auto& statistics = v.statistics;
  OrderedJson errors = OrderedJson::object();
  for (std::size_t i = 0; i < scene.splits.size(); ++i) {
    errors[scene.splits[i].name] = json_of(statistics.split_errors[i]);
  }
  OrderedJson runs = OrderedJson::array();
  for (const auto& run : v.runs) {
    runs.push_back(json_of(run));
  }
  return {{"variant", v.variant},
          {"scene", v.scene},
          {"depth", or_null(v.depth)},
          {"width", or_null(v.width)},
          {"optimizer", v.optimizer},
          {"learning_rate", v.learning_rate},
          {"steps", v.steps},
          {"parameters", v.parameters},
          {"form", v.data_form},
          {"rows", v.rows},
          {"floor", or_null(v.floor)},
          {"seconds", v.seconds},
          {"final_loss", json_of(statistics.final_loss)},
          {"relative_error", or_null(statistics.relative_error)},
          {"success", json_of(statistics.success)},
          {"first_success",
           {{"median", or_null(statistics.first_success)}, {"never", statistics.never_succeeded}}},
          {"diverged", statistics.diverged},
          {"dead", statistics.dead},
          {"sparsity_error", or_null(statistics.sparsity_error)},
          {"evaluation", std::move(errors)},
          {"shown_seed", v.runs.empty() ? OrderedJson(nullptr) : OrderedJson(v.runs[v.shown].seed)},
          {"runs", std::move(runs)}};
}

OrderedJson json_of(const SceneResult& scene) {
  OrderedJson splits = OrderedJson::array();
  for (const auto& split : scene.splits) {
    splits.push_back({{"split", split.name},
                      {"scenes", split.scenes},
                      {"pixels", split.pixels},
                      {"target_norm", split.target_norm}});
  }
  return {{"scene", scene.name},
          {"test_range", scene.test.empty() ? OrderedJson(nullptr) : OrderedJson(scene.test)},
          {"height", scene.target.height},
          {"width", scene.target.width},
          {"target_norm", scene.splits.front().target_norm},
          {"seconds", scene.data_seconds},
          {"splits", std::move(splits)},
          {"success",
           {{"split", scene.splits[scene.judged].name},
            {"norm", scene.success_norm},
            {"relative_error", or_null(scene.success_error)}}}};
}

OrderedJson json_of(const Comparison& c) {
  return {{"scene", c.scene},
          {"variant", c.variant},
          {"reference", c.reference},
          {"optimizer", c.optimizer},
          {"learning_rate", c.learning_rate},
          {"lower", json_of(c.lower)},
          {"ties", c.ties},
          {"ratio", json_of(c.ratio)},
          {"success",
           {{"both", c.both_succeed},
            {"only_variant", c.only_variant},
            {"only_reference", c.only_reference},
            {"neither", c.neither}}}};
}

std::string percent(double fraction, int decimals) {
  const bool small = fraction != 0 && std::abs(fraction) < 0.005 * std::pow(10, -decimals);
  return std::isinf(fraction)      ? "inf"
         : fraction < 10 && !small ? fmt::format("{:.{}f} %", 100 * fraction, decimals)
                                   : fmt::format("{:.3g} %", 100 * fraction);
}

std::string grouped(std::int64_t number) {
  std::string text = fmt::format("{}", number);
  for (std::size_t i = text.size(); i > 3; i -= 3) {
    text.insert(i - 3, ",");
  }
  return text;
}

/// How far above the floor the loss ended; a floor of 0 leaves no ratio.
std::string gap(const VariantResult& v) {
  if (!v.statistics.final_loss || !v.floor || *v.floor <= 0) {
    return "-";
  }
  return percent(v.statistics.final_loss->median / *v.floor - 1, 3);
}

/// Of the only run.
std::string outcome(const VariantResult& v) {
  if (v.runs.empty()) {
    return "not started";
  }
  const auto& run = v.runs.front();
  if (run.status != RunStatus::ok) {
    return fmt::format("{} at step {}", name_of(run.status), run.last_step);
  }
  if (v.statistics.dead > 0) {
    return "output vanished";
  }
  return v.statistics.success.count > 0 ? "success" : "no success";
}

using Line = std::vector<std::string>;

/// A line of the table: what heads each column, and what stands there for this row.
struct Cells {
  Line headings, texts;

  void add(const std::string& heading, const std::string& text) {
    headings.push_back(heading);
    texts.push_back(text);
  }
};

Cells cells_of(const VariantResult& v, const ExperimentResult& result) {
  const auto& statistics = v.statistics;
  const auto& success = statistics.success;
  const auto& scene = result.scene_of(v);
  const bool many = result.header.seeds > 1;
  const auto digits = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.6g}", *value) : "-";
  };
  const auto whole = [](const auto& value) { return value ? grouped(std::llround(*value)) : "-"; };
  Cells cells;
  cells.add("variant", v.variant);
  if (result.sizes) {
    cells.add("depth", v.depth ? fmt::format("{}", *v.depth) : "-");
    cells.add("width", v.width ? fmt::format("{}", *v.width) : "-");
    cells.add("parameters", grouped(v.parameters));
  }
  if (result.grid) {
    cells.add("optimizer", v.optimizer);
    cells.add("lr", fmt::format("{}", v.learning_rate));
  }
  const auto& loss = statistics.final_loss;
  cells.add(many ? "median loss" : "loss", digits(loss ? std::optional(loss->median) : std::nullopt));
  cells.add("floor", digits(v.floor));
  if (!many) {
    cells.add("gap", gap(v));
  }
  for (std::size_t i = 0; i < scene.splits.size(); ++i) {
    const auto& error = statistics.split_errors[i];
    cells.add(scene.splits[i].name, error ? percent(error->median, 2) : "-");
  }
  const auto time = fmt::format("{:.2f} s", v.seconds);
  if (!many) {
    cells.add("time", time);
    cells.add("outcome", outcome(v));
    return cells;
  }
  cells.add("success", percent(success.rate, 1));
  cells.add("95 % interval", fmt::format("{:.1f} to {:.1f} %", 100 * success.low, 100 * success.high));
  cells.add("at step", whole(statistics.first_success));
  if (!scene.success_error) {  // near-exact: then the weights should be whole
    cells.add("sparsity error",
              statistics.sparsity_error ? fmt::format("{:.2g}", *statistics.sparsity_error) : "-");
  }
  cells.add("diverged", grouped(statistics.diverged));
  cells.add("dead", grouped(statistics.dead));
  cells.add("seeds", grouped(success.of));
  cells.add("time", time);
  return cells;
}

/// The first column and a column of words are flush left, numbers flush right.
std::string aligned(const std::vector<Line>& lines) {
  std::vector<std::size_t> widths(lines.front().size());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      widths[i] = std::max(widths[i], line[i].size());
    }
  }
  std::string text;
  for (const auto& line : lines) {
    text += fmt::format("{:<{}}", line.front(), widths.front());
    for (std::size_t i = 1; i < line.size(); ++i) {
      const auto& title = lines.front()[i];
      const bool last_words = title == "outcome";
      text += last_words             ? "  " + line[i]
              : title == "optimizer" ? fmt::format("  {:<{}}", line[i], widths[i])
                                     : fmt::format("  {:>{}}", line[i], widths[i]);
    }
    text += '\n';
  }
  return text;
}

std::string sentence(const Comparison& c) {
  auto text = fmt::format("{} against {}, same seeds: lower loss on {} of {} ({:.1f} to {:.1f} %)", c.variant,
                          c.reference, grouped(c.lower.count), grouped(c.lower.of), 100 * c.lower.low,
                          100 * c.lower.high);
  if (c.ratio) {
    text += fmt::format(", median ratio {:.3g}", c.ratio->median);
  }
  return text + fmt::format("; success: both {}, only {} {}, only {} {}, neither {}\n",
                            grouped(c.both_succeed), c.variant, grouped(c.only_variant), c.reference,
                            grouped(c.only_reference), grouped(c.neither));
}

/// A loss or a weight with as few digits as identify it in its type: 35.97, not 35.970001220703125.
void append_value(std::string& text, double value, bool single) {
  if (single) {
    fmt::format_to(std::back_inserter(text), "{}", static_cast<float>(value));
  } else {
    fmt::format_to(std::back_inserter(text), "{}", value);
  }
}

}  // namespace

std::string csv_key(const ExperimentResult& result, const VariantResult& row, const RunRecord& run) {
  std::string key = row.variant + ',';
  if (result.header.scenes.size() > 1) {
    key += result.scene_of(row).name + ',';
  }
  if (result.sizes) {
    key += row.depth ? fmt::format("{},{},", *row.depth, *row.width) : ",,";
  }
  if (result.grid) {
    key += fmt::format("{},{},", row.optimizer, row.learning_rate);
  }
  return key + fmt::format("{},", run.seed);
}

void CsvFiles::append(const ExperimentResult& result) {
  if (loss_.empty()) {
    const auto key =
        fmt::format("variant,{}{}{}seed", result.header.scenes.size() > 1 ? "scene," : "",
                    result.sizes ? "depth,width," : "", result.grid ? "optimizer,learning_rate," : "");
    loss_ = key + ",step,loss\n";
    evaluation_ = key + ",split,loss,relative_error\n";
    weights_ = key + ",index,value\n";
  }
  const bool single = result.header.dtype == "float32";
  written_.resize(result.variants.size());
  for (std::size_t row = 0; row < result.variants.size(); ++row) {
    const auto& v = result.variants[row];
    const auto& splits = result.scene_of(v).splits;
    for (; written_[row] < v.runs.size(); ++written_[row]) {
      const auto& run = v.runs[written_[row]];
      const auto key = csv_key(result, v, run);
      for (const auto& [step, loss] : run.curve) {
        fmt::format_to(std::back_inserter(loss_), "{}{},", key, step);
        append_value(loss_, loss, single);
        loss_ += '\n';
      }
      if (run.status == RunStatus::interrupted) {
        continue;
      }
      for (std::size_t i = 0; i < run.weights.size(); ++i) {
        fmt::format_to(std::back_inserter(weights_), "{}{},", key, i);
        append_value(weights_, run.weights[i], single);
        weights_ += '\n';
      }
      for (std::size_t i = 0; i < splits.size(); ++i) {
        fmt::format_to(std::back_inserter(evaluation_), "{}{},", key, splits[i].name);
        if (!run.split_losses.empty()) {
          fmt::format_to(std::back_inserter(evaluation_), "{}", run.split_losses[i]);
        }
        evaluation_ += ',';
        if (!run.split_losses.empty() && splits[i].target_norm > 0) {
          fmt::format_to(std::back_inserter(evaluation_), "{}", run.split_losses[i] / splits[i].target_norm);
        }
        evaluation_ += '\n';
      }
    }
  }
}

std::string summary_json(const ExperimentResult& result, const std::vector<NamedText>& files) {
  const auto& header = result.header;
  const auto& scene = header.scenes.front();
  OrderedJson scenes = OrderedJson::array();
  for (const auto& each : header.scenes) {
    scenes.push_back(json_of(each));
  }
  OrderedJson variants = OrderedJson::array();
  for (const auto& variant : result.variants) {
    variants.push_back(json_of(variant, result.scene_of(variant)));
  }
  OrderedJson comparisons = OrderedJson::array();
  for (const auto& comparison : result.comparisons) {
    comparisons.push_back(json_of(comparison));
  }
  OrderedJson checksums = OrderedJson::object();
  for (const auto& [name, text] : files) {
    checksums[name] = OrderedJson{{"bytes", text.size()}, {"checksum", checksum(text)}};
  }
  const OrderedJson summary = {{"conv_mult", header.conv_mult},
                               {"libtorch", header.libtorch},
                               {"device", header.device},
                               {"threads", header.threads},
                               {"dtype", header.dtype},
                               {"status", name_of(result.status)},
                               {"grid", result.grid},
                               {"sizes", result.sizes},
                               {"loss", header.loss},
                               {"seeds", {{"first", header.first_seed}, {"count", header.seeds}}},
                               {"data",
                                {{"scene", scene.name},
                                 {"height", scene.target.height},
                                 {"width", scene.target.width},
                                 {"form", result.variants.front().data_form},
                                 {"rows", result.variants.front().rows},
                                 {"target_norm", scene.splits.front().target_norm},
                                 {"seconds", scene.data_seconds}}},
                               {"scenes", std::move(scenes)},
                               {"variants", std::move(variants)},
                               {"comparisons", std::move(comparisons)},
                               {"files", std::move(checksums)}};
  std::string text = summary.dump(1);
  text.resize(text.size() - 2);  // without "\n}"
  return text + seal_of(text);
}

bool is_intact(const std::string& summary) {
  const auto end = summary.rfind(seal_begin);
  return end != std::string::npos && summary.substr(end) == seal_of(summary.substr(0, end));
}

std::string result_table(const ExperimentResult& result) {
  const auto& scenes = result.header.scenes;
  std::string text;
  for (std::size_t scene = 0; scene < scenes.size(); ++scene) {
    std::vector<Line> lines;
    for (const auto& row : result.variants) {
      if (row.scene == scene) {
        auto [headings, texts] = cells_of(row, result);
        if (lines.empty()) {
          lines.push_back(std::move(headings));
        }
        lines.push_back(std::move(texts));
      }
    }
    if (lines.empty()) {  // interrupted before
      break;
    }
    if (scenes.size() > 1) {
      text += fmt::format("{}{}{}\n", scene > 0 ? "\n" : "", scenes[scene].name,
                          scenes[scene].test.empty() ? "" : ", outside: " + scenes[scene].test);
    }
    text += aligned(lines);
  }
  constexpr std::size_t most_sentences = 3;  // more are in summary.json, and those of a grid
  if (result.header.seeds > 1 && !result.grid && result.comparisons.size() <= most_sentences) {
    for (const auto& comparison : result.comparisons) {
      text += sentence(comparison);
    }
  }
  return text;
}

}  // namespace conv_mult
