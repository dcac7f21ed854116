#include <nlohmann/json.hpp>
#include "options/text.hpp"
#include "output/figures.hpp"
#include "output/records.hpp"
#include "variants/variant.hpp"

namespace conv_mult {
void write_report(const ExperimentResult& result, const std::filesystem::path& directory) {
  using Json = nlohmann::ordered_json;
  constexpr std::uintmax_t largest_figure = 1 << 20;
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
                            {"colour", fmt::format("#{:06x}", variant->colour)}});
  }
  for (const auto& name : figure_names) {
    const auto svg = directory / (name + ".svg");
    std::error_code missing;
    if (std::filesystem::file_size(svg, missing) <= largest_figure) {  // -1 where it is missing
      data["figures"][name] = read_file(svg);
    } else if (std::filesystem::exists(directory / (name + ".png"))) {
      data["figures"][name] = nullptr;  // the page names it
    }
  }
  // So that no text of it can end the script that holds it.
  const auto text = join(split(data.dump(-1, ' ', false, Json::error_handler_t::replace), '<'), "\\u003c");
  const auto& page = figure_scripts.at("report.html");
  const auto place = page.find("{{data}}");
  write_file(directory / "report.html", page.substr(0, place) + text + page.substr(place + 8));
}
}  // namespace conv_mult
