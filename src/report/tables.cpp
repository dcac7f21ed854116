#include "conv_mult/report/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

namespace conv_mult {
namespace {

using Json = nlohmann::ordered_json;  // keys in the order of writing

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
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

Json json_of(const RunRecord& run) {
  return {{"seed", run.seed},
          {"status", name_of(run.status)},
          {"final_loss", or_null(run.final_loss)},
          {"first_success_step", or_null(run.first_success_step)}};
}

Json json_of(const std::optional<Spread>& spread) {
  if (!spread) {
    return nullptr;
  }
  return {{"median", spread->median},
          {"q1", spread->q1},
          {"q3", spread->q3},
          {"min", spread->min},
          {"max", spread->max}};
}

Json json_of(const SuccessRate& success) {
  return {{"count", success.count},
          {"of", success.of},
          {"rate", success.rate},
          {"low", success.low},
          {"high", success.high}};
}

Json json_of(const VariantResult& v) {
  Json runs = Json::array();
  for (const auto& run : v.runs) {
    runs.push_back(json_of(run));
  }
  const auto& statistics = v.statistics;
  return {{"variant", v.variant},
          {"optimizer", v.optimizer},
          {"learning_rate", v.learning_rate},
          {"steps", v.steps},
          {"parameters", v.parameters},
          {"floor", or_null(v.floor)},
          {"seconds", v.seconds},
          {"final_loss", json_of(statistics.final_loss)},
          {"relative_error", or_null(statistics.relative_error)},
          {"success", json_of(statistics.success)},
          {"diverged", statistics.diverged},
          {"dead", statistics.dead},
          {"runs", std::move(runs)}};
}

std::string percent(double fraction, int decimals) {
  return fraction < 10 ? fmt::format("{:.{}f} %", 100 * fraction, decimals)
                       : fmt::format("{:.3g} %", 100 * fraction);
}

/// How far above the floor the loss ended; a floor of 0 leaves no ratio.
std::string gap(const VariantResult& v) {
  if (!v.statistics.final_loss || !v.floor || *v.floor <= 0) {
    return "-";
  }
  return percent(v.statistics.final_loss->median / *v.floor - 1, 3);
}

std::string outcome(const VariantResult& v) {
  if (v.runs.front().status != RunStatus::ok) {
    return fmt::format("{} at step {}", name_of(v.runs.front().status), v.runs.front().losses.size() - 1);
  }
  if (v.statistics.dead > 0) {
    return "output vanished";
  }
  return v.statistics.success.count > 0 ? "success" : "no success";
}

using Row = std::array<std::string, 8>;

Row row_of(const VariantResult& v) {
  const auto& loss = v.statistics.final_loss;
  const auto& relative = v.statistics.relative_error;
  return {v.variant,
          fmt::format("{}", v.parameters),
          loss ? fmt::format("{:.6g}", loss->median) : "-",
          v.floor ? fmt::format("{:.6g}", *v.floor) : "-",
          gap(v),
          relative ? percent(*relative, 2) : "-",
          fmt::format("{:.2f} s", v.seconds),
          outcome(v)};
}

}  // namespace

std::string loss_csv(const ExperimentResult& result, std::int64_t log_every) {
  // As few digits as identify the value in its own type: 35.97, not 35.970001220703125.
  const bool single = result.header.dtype == "float32";
  fmt::memory_buffer out;
  fmt::format_to(std::back_inserter(out), "variant,seed,step,loss\n");
  for (const auto& variant : result.variants) {
    for (const auto& run : variant.runs) {
      const auto last = static_cast<std::int64_t>(run.losses.size()) - 1;
      for (std::int64_t step = 0; step <= last; ++step) {
        if (step % log_every != 0 && step != last) {
          continue;
        }
        const double loss = run.losses[static_cast<std::size_t>(step)];
        fmt::format_to(std::back_inserter(out), "{},{},{},", variant.variant, run.seed, step);
        if (single) {
          fmt::format_to(std::back_inserter(out), "{}\n", static_cast<float>(loss));
        } else {
          fmt::format_to(std::back_inserter(out), "{}\n", loss);
        }
      }
    }
  }
  return fmt::to_string(out);
}

std::string summary_json(const ExperimentResult& result) {
  const auto& header = result.header;
  Json variants = Json::array();
  for (const auto& variant : result.variants) {
    variants.push_back(json_of(variant));
  }
  const Json summary = {{"conv_mult", header.conv_mult},
                        {"libtorch", header.libtorch},
                        {"device", header.device},
                        {"threads", header.threads},
                        {"dtype", header.dtype},
                        {"status", result.interrupted ? "interrupted" : "complete"},
                        {"data",
                         {{"scene", "rectangles"},
                          {"height", header.target.height},
                          {"width", header.target.width},
                          {"form", header.data_form},
                          {"rows", header.rows},
                          {"target_norm", header.target_norm}}},
                        {"variants", std::move(variants)}};
  return summary.dump(1) + "\n";
}

std::string result_table(const ExperimentResult& result) {
  std::vector<Row> rows{{"variant", "parameters", "loss", "floor", "gap", "rel. error", "time", "outcome"}};
  for (const auto& variant : result.variants) {
    rows.push_back(row_of(variant));
  }
  std::array<std::size_t, std::tuple_size_v<Row>> widths{};
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string table;
  for (const auto& row : rows) {
    table += fmt::format("{:<{}}", row.front(), widths.front());
    for (std::size_t i = 1; i + 1 < row.size(); ++i) {
      table += fmt::format("  {:>{}}", row[i], widths[i]);
    }
    table += fmt::format("  {}\n", row.back());
  }
  return table;
}

}  // namespace conv_mult
