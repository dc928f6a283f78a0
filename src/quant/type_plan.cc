#include "quant/type_plan.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/strict_json.h"
#include "quant/schemes.h"

namespace stonechat {
namespace {

using gguf::TensorType;
constexpr TensorType kFloatTypes[] = {TensorType::kBF16, TensorType::kF16, TensorType::kF32};

TensorType type_in(const JsonFields& json) {
  const auto type = writable_type(json.get_string("type"));
  if (!type) json.refuse("type", fmt::format("one of {}", writable_type_names()));
  return *type;
}

// One that isn't known may be a mistake that changes what is meant.
void check_fields(const JsonFields& json, const std::vector<std::string>& known) {
  for (const auto& [key, value] : json.json().items()) {
    if (std::find(known.begin(), known.end(), key) == known.end())
      json.refuse(key, fmt::format("no field but {}", fmt::join(known, ", ")));
  }
}

TypeRule rule_in(const JsonFields& json) {
  check_fields(json, {"tensors", "type"});
  const TypeRule rule = {json.get_string("tensors"), type_in(json)};
  if (rule.tensors.empty()) json.refuse("tensors", "a pattern");
  return rule;
}

}  // namespace

TypePlan TypePlan::parse(std::string_view json, const std::string& file) {
  if (json.size() > kMostBytes)
    fail(ErrorKind::kBadFile, "{}: expected at most {} bytes, found {}", file, kMostBytes, json.size());
  const Json root = parse_strict_json(json, file);
  if (!root.is_object())
    fail(ErrorKind::kBadFile, "{}: expected a JSON object, found {}", file, json_text(root));
  const JsonFields fields(root, file);
  check_fields(fields, {"type", "rules", "comment"});
  TypePlan plan;
  if (root.contains("type")) plan.type = type_in(fields);
  if (root.contains("rules")) {
    for (const JsonFields& rule : fields.get_objects("rules")) plan.rules.push_back(rule_in(rule));
  }
  return plan;
}

std::string TypePlan::to_json() const {
  OrderedJson root = OrderedJson::object();
  if (type) root["type"] = writable_type_name(*type);
  root["rules"] = OrderedJson::array();
  for (const TypeRule& rule : rules)
    root["rules"].push_back({{"tensors", rule.tensors}, {"type", writable_type_name(rule.type)}});
  return root.dump(2, ' ', /*ensure_ascii=*/true, OrderedJson::error_handler_t::replace) + "\n";
}

std::optional<TensorType> TypePlan::type_of(std::string_view tensor) const {
  const auto rule = std::find_if(rules.rbegin(), rules.rend(), [&](const TypeRule& candidate) {
    return fits_pattern(candidate.tensors, tensor);
  });
  return rule == rules.rend() ? type : std::optional(rule->type);
}

bool fits_pattern(std::string_view pattern, std::string_view name) {
  // After a mismatch only the last * needs to take one character more: all earlier ones took what they had
  // to.
  size_t p = 0;
  size_t n = 0;
  std::optional<size_t> star;
  size_t star_end = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_end = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star) {
      p = *star + 1;
      n = ++star_end;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::optional<TensorType> writable_type(std::string_view name) {
  if (const Scheme* scheme = find_scheme(name)) return scheme->type;
  for (const TensorType type : kFloatTypes) {
    if (writable_type_name(type) == name) return type;
  }
  return std::nullopt;
}

std::string writable_type_name(TensorType type) {
  std::string name(gguf::name(type));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

std::string writable_type_names() {
  std::string names;
  for (const Scheme& scheme : schemes()) names += fmt::format("{}, ", scheme.name);
  for (const TensorType type : kFloatTypes)
    names += writable_type_name(type) + (type == TensorType::kF32 ? "" : ", ");
  return names;
}

}  // namespace stonechat
