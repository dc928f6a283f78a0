#include "publisher/model_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "publisher/model_name.h"

namespace stonechat {
namespace {

constexpr std::string_view kBlanks = " \t";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// A text in YAML's quotes or without; nothing for what is no text to YAML or that we don't read.
std::optional<std::string> scalar(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return std::nullopt;
  if (text[0] == '\'' || text[0] == '"') {
    const size_t end = text.find(text[0], 1);
    const std::string_view inner = text.substr(1, end - 1);
    const bool whole =
        end != std::string_view::npos &&
        trimmed(text.substr(end + 1)).substr(0, 1).find_first_not_of('#') == std::string_view::npos;
    if (!whole || inner.find('\\') != std::string_view::npos) return std::nullopt;
    return std::string(inner);
  }
  text = trimmed(text.substr(0, text.find(" #")));
  if (text.find_first_of("{}[]&*!|>%@`#,") == 0 || text.find(": ") != std::string_view::npos ||
      text.ends_with(':'))
    return std::nullopt;
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const std::string_view other : {"true", "false", "yes", "no", "on", "off", "null", "~"}) {
    if (lower == other) return std::nullopt;
  }
  if (text.find_first_not_of("0123456789.+-eE_:") == std::string_view::npos)
    return std::nullopt;  // numbers, times
  return std::string(text);
}

// "[a, b]"
std::optional<std::vector<std::string>> inline_list(std::string_view text) {
  const size_t bracket = text.find(']');
  if (bracket == std::string_view::npos) return std::nullopt;
  const std::string_view after = trimmed(text.substr(bracket + 1));
  if (!after.empty() && after[0] != '#') return std::nullopt;
  text = text.substr(1, bracket - 1);
  std::vector<std::string> items;
  while (!trimmed(text).empty()) {
    const size_t end = std::min(text.find(','), text.size());
    const auto item = scalar(text.substr(0, end));
    if (!item) return std::nullopt;
    items.push_back(*item);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return items;
}

class CardParser {
 public:
  std::map<std::string, CardField> parse(std::string_view text) {
    if (take_line(text) != "---") return {};
    while (!text.empty()) {
      const std::string_view line = take_line(text);
      if (line == "---") return std::move(fields_);
      if (!trimmed(line).empty() && trimmed(line)[0] != '#') read(line);
    }
    return std::move(fields_);
  }

 private:
  void read(std::string_view line) {
    if (kBlanks.find(line[0]) != std::string_view::npos || line[0] == '-') return read_below(trimmed(line));
    const size_t colon = line.find(':');
    key_.clear();
    if (colon == std::string_view::npos) return;
    const std::string key(line.substr(0, colon));
    const std::string_view rest = trimmed(line.substr(colon + 1));
    fields_.erase(key);
    if (rest.empty()) {
      key_ = key;
      fields_[key] = {true, {}};
    } else if (rest[0] == '[') {
      if (auto items = inline_list(rest)) fields_[key] = {true, std::move(*items)};
    } else if (auto text = scalar(rest)) {
      fields_[key] = {false, {std::move(*text)}};
    }
  }

  // A line that belongs to the key above: an item of its list, or something that makes it no list of texts.
  void read_below(std::string_view line) {
    if (key_.empty()) return;
    const bool is_item = line.starts_with("- ");
    // The code of Norwegian is a boolean to YAML; the package takes it as a text too.
    auto item = is_item && trimmed(line.substr(2)) == "no" ? std::optional<std::string>("no")
                : is_item                                  ? scalar(line.substr(2))
                                                           : std::nullopt;
    if (item) {
      fields_[key_].texts.push_back(std::move(*item));
    } else {
      fields_.erase(std::exchange(key_, {}));
    }
  }

  std::map<std::string, CardField> fields_;
  std::string key_;  // whose list may follow
};

using Card = std::map<std::string, CardField>;

void add_text(gguf::Metadata& metadata, const std::string& key, const std::string& text) {
  if (!text.empty()) metadata.set(key, gguf::Value::of_string(text));
}

// Other models or datasets, by their names on the hub or their addresses.
void add_origins(const Card& card, std::initializer_list<const char*> names, const std::string& kind,
                 uint64_t parameters, gguf::Metadata& metadata) {
  constexpr std::string_view kHub = "https://huggingface.co/";
  for (const char* name : names) {
    const auto field = card.find(name);
    if (field == card.end()) continue;
    metadata.set(fmt::format("general.{}.count", kind),
                 gguf::Value::of_uint32(static_cast<uint32_t>(field->second.texts.size())));
    for (size_t i = 0; i < field->second.texts.size(); ++i) {
      const std::string& text = field->second.texts[i];
      const std::string prefix = fmt::format("general.{}.{}.", kind, i);
      const bool is_address =
          text.starts_with("http://") || text.starts_with("https://") || text.starts_with("ssh://");
      std::string id = is_address ? "" : text;
      if (text.starts_with(kHub) && std::count(text.begin() + kHub.size(), text.end(), '/') == 1)
        id = text.substr(kHub.size());
      const ModelName parsed = parse_model_name(id, parameters);
      add_text(metadata, prefix + "name", title_of(parsed.name));
      add_text(metadata, prefix + "version", parsed.version);
      add_text(metadata, prefix + "organization", title_of(parsed.organization));
      const bool on_hub = !parsed.organization.empty() && !parsed.name.empty();
      if (is_address || on_hub)
        add_text(metadata, prefix + "repo_url", is_address ? text : std::string(kHub) + text);
    }
    return;
  }
}

void add_texts(const Card& card, std::initializer_list<const char*> names, const char* key,
               gguf::Metadata& metadata) {
  std::vector<std::string> texts;
  for (const char* name : names) {
    const auto field = card.find(name);
    if (field != card.end())
      texts.insert(texts.end(), field->second.texts.begin(), field->second.texts.end());
  }
  if (texts.empty()) return;
  metadata.set(key,
               {gguf::ValueType::kArray, gguf::ValueType::kString, gguf::Array(gguf::StringArray(texts))});
}

}  // namespace

std::map<std::string, CardField> parse_model_card(std::string_view text) {
  return CardParser().parse(text);
}

void add_model_card(std::string_view text, uint64_t parameters, gguf::Metadata& metadata) {
  const Card card = parse_model_card(text);
  constexpr std::array<std::pair<const char*, const char*>, 3> kTexts = {
      {{"license", "general.license"},
       {"license_name", "general.license.name"},
       {"license_link", "general.license.link"}}};
  for (const auto& [name, key] : kTexts) {
    if (const auto field = card.find(name); field != card.end())
      add_text(metadata, key, fmt::format("{}", fmt::join(field->second.texts, ",")));
  }
  add_origins(card, {"base_model", "base_models", "base_model_sources"}, "base_model", parameters, metadata);
  add_origins(card, {"datasets", "dataset", "dataset_sources"}, "dataset", parameters, metadata);
  add_texts(card, {"tags", "pipeline_tag"}, "general.tags", metadata);
  add_texts(card, {"languages", "language"}, "general.languages", metadata);
}

}  // namespace stonechat
