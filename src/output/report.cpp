#include <nlohmann/json.hpp>
#include "output/figures.hpp"
#include "output/records.hpp"
#include "variants/variant.hpp"

namespace conv_mult {
void write_report(const ExperimentResult& result, const std::filesystem::path& directory) {
  using Json = nlohmann::ordered_json;
  std::uintmax_t room = 8 << 20;  // for figures
  Json data{{"summary", Json::parse(read_file(directory / "summary.json"))},
            {"settings", read_file(directory / "config.toml")},
            {"rows", Json::array()},
            {"figures", Json::object()}};
  for (const auto& row : result.variants) {
    if (row.runs.empty()) { continue; }
    const auto* variant = find_variant(row.variant);
    Json cells = Json::array();
    for (const auto& cell : cells_of(row, result)) { cells.push_back({cell.heading, cell.text}); }
    data["rows"].push_back({{"name", row_name(row, result)},
                            {"cells", cells},
                            {"formula", variant->formula},
                            {"shapes", row.shapes},
                            {"weights", row.parameters <= 40 ? Json(row.runs[row.shown].weights) : Json::array()},
                            {"colour", fmt::format("#{:06x}", variant->colour)}});
  }
  for (const auto& name : figure_names) {
    for (const auto* format : {".png", ".svg"}) {  // the one that is there, or the second
      const auto file = directory / (name + format);
      const auto bytes = exists(file) ? file_size(file) : 0;
      const bool inside = format == std::string(".svg") && bytes <= room;
      room -= inside ? bytes : 0;
      if (bytes > 0) { data["figures"][name] = inside ? read_file(file) : name + format; }  // else it is named
    }
  }
  // So that no text of it can end the script that holds it.
  const auto text = join(split(data.dump(-1, ' ', false, Json::error_handler_t::replace), '<'), "\\u003c");
  const auto& page = figure_scripts.at("report.html");
  write_file(directory / "report.html", std::string(page).replace(page.find("{{data}}"), 8, text));
}
}  // namespace conv_mult
