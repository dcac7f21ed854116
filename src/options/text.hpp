#pragma once
// What users type for the fields of Config, and back. parse() says whether the text is a value of the type; numbers are
// decimal, whatever they begin with, and text_of() writes what is read as the value again.

#include "options/config.hpp"

namespace conv_mult {
using Texts = std::vector<std::string>;

inline std::string join(const Texts& texts, const char* between = ",") {
  return fmt::format("{}", fmt::join(texts, between));
}

inline bool contains(const Texts& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

/// The parts between the marks: always one more than there are of these.
inline Texts split(const std::string& text, char mark = ',') {
  Texts parts(1);
  for (const char c : text) { c == mark ? parts.emplace_back() : parts.back() += c; }
  return parts;
}

/// Throws UsageError, the text, where something is wrong.
template <typename... Args>
void refuse_if(bool wrong, fmt::format_string<Args...> text, Args&&... args) {
  if (wrong) { throw UsageError(fmt::format(text, std::forward<Args>(args)...)); }
}

// The names in the order of the values.
inline Texts names_of(bool /*type*/) { return {"false", "true"}; }
inline Texts names_of(LossKind /*type*/) { return {"l2", "mse"}; }
inline Texts names_of(OptimizerKind /*type*/) { return {"adam", "adamw", "rmsprop", "sgd"}; }
inline Texts names_of(Decay /*type*/) { return {"none", "linear", "cosine"}; }
inline Texts names_of(DataForm /*type*/) { return {"auto", "patches", "image", "literal"}; }
inline Texts names_of(Dtype /*type*/) { return {"float32", "float64"}; }
inline Texts names_of(FigureFormat /*type*/) { return {"png", "svg", "pdf"}; }

// The numbers of which a value consists.
inline auto parts_of(Interval& value) { return std::tie(value.low, value.high); }
inline auto parts_of(Rectangle& r) { return std::tie(r.top, r.left, r.height, r.width, r.value); }
inline auto parts_of(Shard& value) { return std::tie(value.index, value.count); }
inline auto parts_of(Crop& value) { return std::tie(value.top, value.left, value.height, value.width); }
inline auto parts_of(ImageSize& value) { return std::tie(value.height, value.width); }
inline auto parts_of(Sparsity& value) { return std::tie(value.strength, value.from, value.to); }
inline auto parts_of(Lasso& value) { return std::tie(value.start, value.end, value.every); }

template <typename T, typename... Others>
constexpr bool is_any = (std::is_same_v<T, Others> || ...);
template <typename T>
constexpr bool has_parts = is_any<T, Interval, Rectangle, Shard, Crop, ImageSize, Sparsity, Lasso>;
template <typename T>
constexpr const char* mark = is_any<T, Shard> ? "/" : ",";

template <typename T>
bool parse(std::string_view text, T& value) {
  if constexpr (is_any<T, std::string>) {
    value = text;
    return true;
  } else if constexpr (std::is_enum_v<T> || is_any<T, bool>) {
    const auto names = names_of(value);
    const auto found = std::find(names.begin(), names.end(), text);
    value = static_cast<T>(found - names.begin());
    return found != names.end();
  } else if constexpr (is_any<T, Success>) {
    value = {text != "auto", std::nullopt};
    if (!value.given || text == "near-exact") { return true; }
    const auto number = text.find('=') + 1;  // npos + 1 is 0
    const auto name = text.substr(0, number);
    auto& limit = name.empty() ? value.error.emplace() : name == "mse=" ? value.mse.emplace() : value.near_exact;
    return (name.empty() || name == "mse=" || name == "near-exact=") && parse(text.substr(number), limit) && limit > 0;
  } else if constexpr (is_any<T, std::optional<double>>) {
    return parse(text, value.emplace());
  } else if constexpr (is_any<T, LearningRate>) {
    const auto equals = text.find('=');
    value.variant = equals == std::string_view::npos ? "" : text.substr(0, equals);
    return equals != 0 && parse(text.substr(equals + 1), value.rate) && value.rate > 0;  // npos + 1 is 0
  } else if constexpr (has_parts<T>) {
    auto texts = split(std::string(text), *mark<T>);
    if (is_any<T, ImageSize> && texts.size() == 1) { texts.push_back(texts[0]); }             // H is H,H
    if (is_any<T, Sparsity> && texts.size() == 1) { texts.insert(texts.end(), {"0", "0"}); }  // see derive()
    auto each = texts.begin();
    return std::apply([&](auto&... part) { return texts.size() == sizeof...(part) && (parse(*each++, part) && ...); },
                      parts_of(value));
  } else if constexpr (is_any<T, std::vector<Interval>>) {  // LO,HI,LO,HI,...
    const auto ends = split(std::string(text));
    for (std::size_t i = 0; i + 1 < ends.size(); i += 2) {
      if (!parse(ends[i] + ',' + ends[i + 1], value.emplace_back())) { return false; }
    }
    return ends.size() % 2 == 0;
  } else {
    static_assert(is_any<T, double, std::int64_t>);
    text.remove_prefix(std::min(text.find_first_not_of(" +"), text.size()));
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool read = error == std::errc() && end == text.data() + text.size();
    if constexpr (is_any<T, double>) { return read && std::isfinite(value); }
    double real = 0;
    const bool is_whole = !read && parse(text, real) && std::trunc(real) == real && std::abs(real) < 0x1p53;
    if (is_whole) { value = static_cast<T>(real); }  // 1e3 is 1000
    return read || is_whole;
  }
}

template <typename T>
std::string text_of(T value) {
  if constexpr (std::is_enum_v<T>) {
    return names_of(value).at(static_cast<std::size_t>(value));
  } else if constexpr (is_any<T, Success>) {
    if (value.mse) { return "mse=" + text_of(*value.mse); }
    if (!value.given || value.error) { return value.given ? text_of(value.error) : "auto"; }
    return value.near_exact == Success().near_exact ? "near-exact" : "near-exact=" + text_of(value.near_exact);
  } else if constexpr (is_any<T, std::optional<double>>) {
    return value ? text_of(*value) : "";
  } else if constexpr (is_any<T, LearningRate>) {
    return (value.variant.empty() ? "" : value.variant + '=') + text_of(value.rate);
  } else if constexpr (has_parts<T>) {
    return std::apply([&](auto... part) { return join({text_of(part)...}, mark<T>); }, parts_of(value));
  } else if constexpr (is_any<T, std::vector<Interval>>) {
    Texts texts;
    std::transform(value.begin(), value.end(), std::back_inserter(texts), text_of<Interval>);
    return join(texts);
  } else {
    return fmt::format("{}", value);
  }
}
}  // namespace conv_mult
