#include "output/records.hpp"

namespace conv_mult {
namespace {
std::string grouped(std::int64_t number) {
  std::string text = fmt::format("{}", number);
  for (std::size_t i = text.size(); i > 3; i -= 3) { text.insert(i - 3, ","); }
  return text;
}

/// A relative error with two digits, in percent or, from 1,000 % on, as a factor: 0.004 %, 3.6 %, 75 %, ×20,000.
std::string error_text(double fraction) {
  if (!std::isfinite(fraction)) { return "inf"; }
  if (fraction >= 1e6) { return fmt::format("×{:.1e}", fraction); }
  const double scale = std::pow(10, std::max(0.0, std::floor(std::log10(std::max(fraction, 1.0))) - 1));
  if (fraction >= 9.95) { return "×" + grouped(std::llround(std::round(fraction / scale) * scale)); }
  const auto* format = fraction >= 0.0995 ? "{:.0f} %" : fraction >= 0.00995 ? "{:.1f} %" : "{:.2g} %";
  return fmt::format(fmt::runtime(format), 100 * fraction);
}

/// As exact as so many seeds allow.
std::string rate_text(double rate, std::int64_t of) { return fmt::format("{:.{}f}", 100 * rate, of < 200 ? 0 : 1); }

std::string interval_text(const SuccessRate& r) {
  return fmt::format("{}–{} %", rate_text(r.low, r.of), rate_text(r.high, r.of));
}

double median_of(const std::optional<Spread>& spread, double none) { return spread ? spread->median : none; }

/// How far above the floor the loss ended; NaN for a floor of 0, which leaves no ratio.
double gap_of(const VariantResult& v) {
  const double floor = v.floor.value_or(0);
  return floor > 0 ? median_of(v.statistics.final_loss, NAN) / floor - 1 : NAN;
}

std::size_t length(const std::string& utf8) {
  return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// The first column and a column of words are flush left, numbers flush right.
std::string aligned(const std::vector<std::vector<Cell>>& rows, const TableStyle& style) {
  struct Column {
    std::size_t index, width = 0;
    int importance;
    double best = INFINITY;
  };
  std::vector<Column> columns;
  std::size_t total = 0;
  for (std::size_t i = 0; i < rows.front().size(); ++i) {
    Column column{i, 0, rows.front()[i].importance};
    for (const auto& row : rows) {
      column.width = std::max(column.width, length(row[i].text));
      column.best = std::fmin(column.best, row[i].value);
    }
    if (column.width == 0) { continue; }
    column.width = std::max(column.width, length(rows.front()[i].heading));
    columns.push_back(column);
    total += column.width + 2;
  }
  const auto less_important = [](const auto& one, const auto& two) { return one.importance < two.importance; };
  while (style.width > 0 && total - 2 > style.width) {
    const auto least = std::min_element(columns.begin(), columns.end(), less_important);
    if (least->importance == 9) { break; }
    total -= least->width + 2;
    columns.erase(least);
  }
  std::string table;
  for (std::size_t line = 0; line <= rows.size(); ++line) {
    std::string text;
    for (const auto& column : columns) {
      const auto& cell = rows[line == 0 ? 0 : line - 1][column.index];
      const auto& shown = line == 0 ? cell.heading : cell.text.empty() ? "-" : cell.text;
      const bool words = column.index == 0 || cell.heading == "optimizer" || cell.heading == "outcome";
      const bool best = style.colour && line > 0 && rows.size() > 1 && cell.value == column.best;
      const std::string space(column.width - length(shown), ' ');
      const auto marked = best ? "\x1b[1;32m" + shown + "\x1b[0m" : shown;
      text += (&column == columns.data() ? "" : "  ") + (words ? marked + space : space + marked);
    }
    table += text.substr(0, text.find_last_not_of(' ') + 1) + '\n';
  }
  return table;
}

/// "in 57 of 100 seeds (47–66 %)"; nothing of a single one.
std::string in_seeds(const SuccessRate& rate) {
  if (rate.of == 1) { return ""; }
  if (rate.count == rate.of) { return fmt::format(" in all {} seeds", grouped(rate.of)); }
  return fmt::format(" in {} of {} seeds ({})", grouped(rate.count), grouped(rate.of), interval_text(rate));
}

/// What stands above what is said of a scene, where there are several.
std::string scene_heading(const ExperimentResult& result, std::size_t scene) {
  const auto& [name, test] = std::tie(result.scenes[scene].name, result.scenes[scene].test);
  if (result.scenes.size() == 1) { return ""; }
  return fmt::format("{}{}{}\n", scene > 0 ? "\n" : "", name, test.empty() ? "" : ", outside: " + test);
}
}  // namespace

std::string time_text(double seconds) {
  const auto whole = std::llround(seconds);
  return whole >= 3600   ? fmt::format("{} h {} min", whole / 3600, whole / 60 % 60)
         : whole >= 60   ? fmt::format("{} min {} s", whole / 60, whole % 60)
         : seconds >= 10 ? fmt::format("{} s", whole)
                         : fmt::format("{:.2f} s", seconds);
}

std::vector<Cell> cells_of(const VariantResult& v, const ExperimentResult& result) {
  const auto& statistics = v.statistics;
  const auto& [success, everywhere] = std::tie(statistics.success, statistics.everywhere);
  const auto& scene = result.scene_of(v);
  const bool many = result.seeds > 1;
  const double loss = median_of(statistics.final_loss, NAN);
  const auto number = [](double value) { return std::isnan(value) ? "" : fmt::format("{:.4g}", value); };
  const auto percent = [](double error) { return std::isnan(error) ? "" : error_text(std::max(0.0, error)); };
  const auto count = [](std::int64_t of) { return of > 0 ? grouped(of) : ""; };
  const auto rate = [](const SuccessRate& r) { return r.of > 0 ? rate_text(r.rate, r.of) + " %" : ""; };
  std::vector<Cell> cells{{"variant", v.variant}};
  if (result.sizes()) {
    cells.push_back({"depth", v.depth ? fmt::format("{}", *v.depth) : ""});
    cells.push_back({"width", v.width ? fmt::format("{}", *v.width) : ""});
    cells.push_back({"parameters", grouped(v.parameters), 2});
  }
  if (result.grid()) {
    cells.push_back({"optimizer", v.optimizer});
    cells.push_back({"lr", fmt::format("{}", v.learning_rate)});
  }
  cells.push_back({many ? "median loss" : "loss", number(loss), 9, loss});
  cells.push_back({"floor", number(v.floor.value_or(NAN)), 5});
  cells.push_back({"gap", percent(gap_of(v)), 4});
  for (std::size_t i = 0; i < scene.splits.size(); ++i) {
    const double error = median_of(statistics.split_errors[i], NAN);
    cells.push_back({scene.splits[i].name, percent(error), 8, error});
  }
  if (many) {
    cells.push_back({"success", rate(success), 9, -success.rate});
    cells.push_back({"95 % interval", interval_text(success), 6});
    cells.push_back({"everywhere", scene.success_error ? rate(everywhere) : "", 7, -everywhere.rate});
    cells.push_back({"at step", statistics.first_success ? grouped(std::llround(*statistics.first_success)) : "", 3});
    if (!scene.success_error) {  // near-exact: then the weights should be whole
      cells.push_back({"best look", rate(statistics.best_look), 2});
      cells.push_back({"sparsity error", number(statistics.sparsity_error.value_or(NAN)), 2});
    }
    cells.push_back({"diverged", count(statistics.diverged), 7});
    cells.push_back({"dead", count(statistics.dead), 7});
    cells.push_back({"seeds", success.of < result.seeds ? grouped(success.of) : "", 7});
  }
  cells.push_back({"time", time_text(v.seconds), 5});
  if (!many) {
    const auto& run = v.runs.front();
    const auto ended = fmt::format("{} at step {}", text_of(run.status), run.last_step);
    cells.push_back({"outcome", run.status != RunStatus::ok ? ended : statistics.dead > 0 ? "output vanished" : "", 7});
  }
  return cells;
}

std::string result_table(const ExperimentResult& result, const TableStyle& style) {
  std::string text;
  for (std::size_t scene = 0; scene < result.scenes.size(); ++scene) {
    std::vector<std::vector<Cell>> rows;
    for (const auto& row : result.variants) {
      if (row.scene == scene && !row.runs.empty()) { rows.push_back(cells_of(row, result)); }
    }
    if (rows.empty()) { break; }  // interrupted before
    text += scene_heading(result, scene) + aligned(rows, style);
  }
  return text;
}

std::string verdict(const VariantResult& row, const ExperimentResult& result) {
  const auto& statistics = row.statistics;
  const auto& scene = result.scene_of(row);
  const auto& [success, everywhere] = std::tie(statistics.success, statistics.everywhere);
  if (success.of == 0) { return "interrupted"; }
  if (!statistics.final_loss) { return "diverged" + in_seeds(wilson(statistics.diverged, success.of)); }
  if (scene.splits[scene.judged].target_norm == 0) { return "there was nothing to multiply: the target is 0"; }
  const auto error_on = [&](std::size_t split) { return median_of(statistics.split_errors[split], INFINITY); };
  std::string text = gap_of(row) <= 0.01 ? "at its limit, " : "";
  const bool fits = 2 * success.count > success.of;
  const auto off = error_text(error_on(scene.judged));
  const auto where = scene.judged == 0 ? "the scene it was trained on" : scene.splits[scene.judged].text;
  text += scene.success_error && fits ? fmt::format("fits {} to {}{}", where, off, in_seeds(success))
          : scene.success_error       ? fmt::format("misses {} by {}", where, off)
          : fits                      ? fmt::format("multiplies near-exactly on {}{}", where, in_seeds(success))
                                      : fmt::format("does not multiply near-exactly: off by {} on {}", off, where);
  if (!fits && success.count > 0) { text += (scene.success_error ? ", fits it" : ", near-exact") + in_seeds(success); }
  if (scene.success_error && scene.splits.size() > 1 && !scene.own_target) {
    std::size_t worst = 1;
    for (std::size_t i = 1; i < scene.splits.size(); ++i) { worst = error_on(i) > error_on(worst) ? i : worst; }
    const auto worst_off = fmt::format("{} on {}", error_text(error_on(worst)), scene.splits[worst].text);
    text +=
        2 * everywhere.count > everywhere.of
            ? fmt::format(" and multiplies scenes it never saw{}: off by at most {}", in_seeds(everywhere), worst_off)
            : fmt::format("{} does not multiply: off by {}", fits ? ", but" : " and", worst_off);
  }
  if (statistics.dead > 0) { text += "; its output vanished" + in_seeds(wilson(statistics.dead, success.of)); }
  if (statistics.diverged > 0) { text += "; it diverged" + in_seeds(wilson(statistics.diverged, success.of)); }
  return text;
}

std::string verdicts(const ExperimentResult& result) {
  std::string text;
  std::optional<std::size_t> scene;  // of the row before
  for (const auto& row : result.variants) {
    if (row.runs.empty()) { continue; }
    if (std::exchange(scene, row.scene) != row.scene) { text += scene_heading(result, row.scene); }
    text += fmt::format("{}: {}\n", row_name(row, result), verdict(row, result));
  }
  return text;
}
}  // namespace conv_mult
