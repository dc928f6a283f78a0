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

TensorType type_in(const OrderedJson& value, const std::string& field, const std::string& file) {
  const auto type = value.is_string() ? writable_type(value.get_ref<const std::string&>()) : std::nullopt;
  if (!type) {
    fail(ErrorKind::kBadFile, "{}: {}: expected one of {}, found {}", file, field, writable_type_names(),
         shown_json(value));
  }
  return *type;
}

TypeRule rule_in(const OrderedJson& value, const std::string& field, const std::string& file) {
  if (!value.is_object())
    fail(ErrorKind::kBadFile, "{}: {}: expected an object, found {}", file, field, shown_json(value));
  TypeRule rule;
  bool has_type = false;
  for (const auto& [key, member] : value.items()) {
    if (key == "tensors") {
      if (!member.is_string() || member.get_ref<const std::string&>().empty())
        fail(ErrorKind::kBadFile, "{}: {}.tensors: expected a pattern, found {}", file, field,
             shown_json(member));
      rule.tensors = member.get<std::string>();
    } else if (key == "type") {
      rule.type = type_in(member, field + ".type", file);
      has_type = true;
    } else {
      fail(ErrorKind::kBadFile, "{}: {}: expected tensors and type, found a field {}", file, field,
           shown_json(key));
    }
  }
  if (rule.tensors.empty() || !has_type)
    fail(ErrorKind::kBadFile, "{}: {}: expected tensors and type, found {}", file, field, shown_json(value));
  return rule;
}

}  // namespace

TypePlan TypePlan::parse(std::string_view json, const std::string& file) {
  if (json.size() > kMostBytes)
    fail(ErrorKind::kBadFile, "{}: expected at most {} bytes, found {}", file, kMostBytes, json.size());
  const OrderedJson root = parse_strict_json(json, file);
  if (!root.is_object())
    fail(ErrorKind::kBadFile, "{}: expected a JSON object, found {}", file, shown_json(root));
  TypePlan plan;
  for (const auto& [key, value] : root.items()) {
    if (key == "type") {
      plan.type = type_in(value, key, file);
    } else if (key == "rules") {
      if (!value.is_array())
        fail(ErrorKind::kBadFile, "{}: rules: expected an array, found {}", file, shown_json(value));
      for (size_t i = 0; i < value.size(); ++i)
        plan.rules.push_back(rule_in(value[i], fmt::format("rules[{}]", i), file));
    } else if (key != "comment") {
      fail(ErrorKind::kBadFile, "{}: expected type, rules and comment, found a field {}", file,
           shown_json(key));
    }
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
