#include <nlohmann/json.hpp>
#include "output/records.hpp"

// What does not exist is null; so is, by the library itself, what is not finite.
template <typename T>
struct nlohmann::adl_serializer<std::optional<T>> {
  static void to_json(ordered_json& json, const std::optional<T>& v) { json = v ? ordered_json(*v) : ordered_json(); }
  static void from_json(const ordered_json& json, std::optional<T>& v) {
    v = json.is_null() ? std::nullopt : std::optional<T>(json.get<T>());
  }
};

namespace conv_mult {
using Json = nlohmann::ordered_json;  // keys in the order of writing

// Both ways, what is called as in the record; the library's own macro is for JSON whose keys are sorted.
#define CONV_MULT_JSON(Type, ...)                                              \
  inline void to_json(Json& nlohmann_json_j, const Type& nlohmann_json_t) {    \
    NLOHMANN_JSON_EXPAND(NLOHMANN_JSON_PASTE(NLOHMANN_JSON_TO, __VA_ARGS__))   \
  }                                                                            \
  inline void from_json(const Json& nlohmann_json_j, Type& nlohmann_json_t) {  \
    NLOHMANN_JSON_EXPAND(NLOHMANN_JSON_PASTE(NLOHMANN_JSON_FROM, __VA_ARGS__)) \
  }
CONV_MULT_JSON(SuccessRate, count, of, rate, low, high)
CONV_MULT_JSON(Spread, median, q1, q3, min, max)
CONV_MULT_JSON(VariantResult, variant, scene, depth, width, optimizer, learning_rate, steps, parameters, form, rows,
               floor, seconds)
CONV_MULT_JSON(ExperimentResult, conv_mult, libtorch, device, threads, dtype)
CONV_MULT_JSON(KnownFile, checksum, before)

inline void to_json(Json& json, const SplitResult& v) {
  json = {{"split", v.name}, {"scenes", v.scenes}, {"pixels", v.pixels}, {"target_norm", v.target_norm}};
}

inline void to_json(Json& json, const SceneResult& scene) {
  json = {{"scene", scene.name},
          {"test_range", scene.test.empty() ? Json(nullptr) : Json(scene.test)},
          {"height", scene.target.size(0)},
          {"width", scene.target.size(1)},
          {"target_norm", scene.splits.front().target_norm},
          {"splits", scene.splits},
          {"success",
           {{"split", scene.splits[scene.judged].name},
            {"norm", scene.success_norm},
            {"relative_error", scene.success_error}}}};
}

namespace {
/// The end of summary.json.
constexpr auto seal_begin = ",\n \"checksum\": \"";

std::string seal_of(std::string_view text) { return fmt::format("{}{}\"\n}}\n", seal_begin, checksum(text)); }
}  // namespace

std::string summary_json(const ExperimentResult& result, const KnownFiles& files) {
  Json variants = Json::array();
  for (const auto& row : result.variants) {
    if (row.runs.empty()) { continue; }
    const auto& splits = result.scene_of(row).splits;
    const auto& statistics = row.statistics;
    Json errors = Json::object();
    for (std::size_t i = 0; i < splits.size(); ++i) { errors[splits[i].name] = statistics.split_errors[i]; }
    variants.emplace_back(row).update(
        {{"final_loss", statistics.final_loss},
         {"relative_error", errors.front().is_null() ? Json() : errors.front()["median"]},
         {"success", statistics.success},
         {"success_everywhere", statistics.everywhere},
         {"best_look", statistics.best_look},
         {"first_success", {{"median", statistics.first_success}, {"never", statistics.never_succeeded}}},
         {"diverged", statistics.diverged},
         {"dead", statistics.dead},
         {"sparsity_error", statistics.sparsity_error},
         {"evaluation", std::move(errors)},
         {"shown_seed", row.runs[row.shown].seed},
         {"verdict", verdict(row, result)}});
  }
  Json summary = result;
  summary.update({{"status", text_of(result.status)},
                  {"loss", result.loss},
                  {"seeds", {{"first", result.first_seed}, {"count", result.seeds}}},
                  {"scenes", result.scenes},
                  {"variants", std::move(variants)},
                  {"files", files}});
  std::string text = summary.dump(1);
  text.resize(text.size() - 2);  // without "\n}"
  return text + seal_of(text);
}

Summary parse_summary(const std::string& text) {
  const auto sealed = text.substr(0, text.rfind(seal_begin));
  check(text == sealed + seal_of(sealed), "its checksum is not that of its text");
  const auto json = Json::parse(text);
  Summary summary;
  json.at("variants").get_to(summary.rows);
  for (const auto& [name, file] : json.at("files").items()) { summary.files.emplace(name, file); }
  return summary;
}
}  // namespace conv_mult
