#include "publisher/model_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <regex>
#include <vector>

namespace stonechat {
namespace {

bool is_digit(char character) {
  return character >= '0' && character <= '9';
}
bool is_lower(char character) {
  return character >= 'a' && character <= 'z';
}
bool is_letter(char character) {
  return is_lower(character | 0x20);
}
std::string lower(std::string text) {
  for (char& character : text) {
    if (is_letter(character)) character = static_cast<char>(character | 0x20);
  }
  return text;
}
std::string upper(std::string text) {
  for (char& character : text) {
    if (is_lower(character)) character = static_cast<char>(character & ~0x20);
  }
  return text;
}

bool matches(const std::string& text, const std::regex& pattern) {
  return std::regex_match(text, pattern);
}

std::regex pattern(const char* text) {
  return std::regex(text, std::regex::ECMAScript | std::regex::icase);
}

struct Part {
  std::string text;
  bool basename = false;
  bool size_label = false;
  bool finetune = false;
  bool version = false;
  bool type = false;

  int kinds() const { return basename + size_label + finetune + version + type; }
};

// "7b1" is 7.1B, "0_5b" 0.5B.
std::string normal_size(std::string text) {
  std::replace(text.begin(), text.end(), '_', '.');
  size_t size = text.size();
  if (is_digit(text.back())) {
    text = text.substr(0, size - 2) + "." + text[size - 1] + text[size - 2];
    size = text.size();
  }
  const char last = text.back();
  const bool unit = last == 'k' || last == 'm' || last == 'b' || last == 't';
  if (size > 1 && is_digit(text[size - 2]) && unit) text.back() = upper(std::string(1, last))[0];
  return text;
}

// What a label such as "0.5B" means; 0 for one that is no number and a unit, such as "small" or "8x7B".
double weights_of_label(const std::string& label) {
  static const std::regex plain = pattern("\\d+([.]\\d+)?[KMBT]");
  if (!matches(label, plain)) return 0;
  const size_t unit = std::string_view("KMBT").find(label.back());
  return unit == std::string_view::npos ? 0
                                        : std::stod(label) * std::pow(1000.0, static_cast<double>(unit) + 1);
}

void classify(Part& part, bool first, uint64_t parameters) {
  static const std::regex version = pattern("(v|iter)?\\d+([.]\\d+)*");
  static const std::regex type = pattern("i?q\\d(_\\w)*|b?fp?(16|32)");
  static const std::regex size =
      pattern("((A|\\d+x)?\\d+([._]\\d+)?[KMBT]\\d?|small|mini|medium|large|x?xl)");
  static const std::regex tuned = pattern("chat|instruct|vision|lora");
  if (matches(part.text, version)) {
    part.version = true;
  } else if (matches(part.text, type)) {
    part.type = true;
    part.text = upper(part.text);
  } else if (!first && matches(part.text, size)) {
    part.text = normal_size(part.text);
    const double weights = weights_of_label(part.text);
    const auto actual = static_cast<double>(parameters);
    // Far from the model's own size it's likely a context length.
    if (parameters != 0 && weights != 0 && std::fabs(weights - actual) > std::floor(7 * actual / 8)) {
      part.finetune = true;
      part.text = part.text.substr(0, part.text.size() - 1) + lower(part.text.substr(part.text.size() - 1));
    } else {
      part.size_label = true;
    }
  } else if (!first && matches(part.text, tuned)) {
    part.finetune = true;
  }
}

// Sizes in words don't count beside one in numbers.
void drop_size_words(std::vector<Part>& parts) {
  const bool any_number = std::any_of(parts.begin(), parts.end(), [](const Part& part) {
    return part.size_label && std::any_of(part.text.begin(), part.text.end(), is_digit);
  });
  if (!any_number) return;
  for (auto& part : parts) {
    if (part.size_label && std::all_of(part.text.begin(), part.text.end(), is_letter))
      part.size_label = false;
  }
}

// Words and versions at the start are the family's name, up to the last word; what else is left is tuning.
void find_basename(std::vector<Part>& parts) {
  bool at_start = true;
  for (auto& part : parts) {
    if (at_start && ((part.kinds() == 0 && is_letter(part.text[0])) || part.version)) {
      part.basename = true;
    } else {
      at_start = false;
      if (part.kinds() == 0) part.finetune = true;
    }
  }
  for (auto part = parts.rbegin(); part != parts.rend() && part->basename && part->kinds() > 1; ++part) {
    part->basename = false;
  }
}

template <typename Wanted>
std::string joined(const std::vector<Part>& parts, bool once, Wanted wanted) {
  std::vector<std::string> texts;
  for (const auto& part : parts) {
    if (!wanted(part)) continue;
    if (once && std::find(texts.begin(), texts.end(), part.text) != texts.end()) continue;
    texts.push_back(part.text);
  }
  return fmt::format("{}", fmt::join(texts, "-"));
}

std::vector<Part> split(std::string_view name) {
  std::vector<Part> parts;
  while (!name.empty()) {
    const size_t end = std::min(name.find('-'), name.size());
    if (end > 0) parts.push_back({std::string(name.substr(0, end))});
    name.remove_prefix(std::min(end + 1, name.size()));
  }
  return parts;
}

}  // namespace

ModelName parse_model_name(std::string_view id, uint64_t parameters) {
  ModelName result;
  if (id.empty() || id.size() > kMostModelIdBytes) return result;
  if (id.find(' ') != std::string_view::npos) {  // a sentence
    result.name = id;
    return result;
  }
  const size_t slash = id.find('/');
  if (slash != std::string_view::npos && slash > 0 && id[0] != '.') result.organization = id.substr(0, slash);
  result.name = slash == std::string_view::npos ? id : id.substr(slash + 1);

  std::vector<Part> parts = split(result.name);
  for (auto& part : parts) classify(part, &part == &parts.front(), parameters);
  drop_size_words(parts);
  find_basename(parts);
  result.basename = joined(parts, false, [](const Part& part) { return part.basename; });
  result.size_label = joined(parts, true, [](const Part& part) { return part.size_label; });
  result.finetune = joined(parts, false, [](const Part& part) { return part.finetune; });
  result.version = joined(parts, false, [](const Part& part) { return part.version && !part.basename; });
  const bool ambiguous = result.size_label.empty() && result.finetune.empty() && result.version.empty();
  if (ambiguous) result.basename.clear();
  return result;
}

std::string title_of(std::string_view name) {
  static const std::regex kept = std::regex("v\\d+(\\.\\d+)*|\\d.*");
  std::string title;
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find_first_of("- \t\r\n", begin), name.size());
    std::string word(name.substr(begin, end - begin));
    begin = end + 1;
    if (word.empty()) continue;
    const bool all_lower = std::any_of(word.begin(), word.end(), is_lower) && word == lower(word);
    if (all_lower && !std::regex_match(word, kept)) {
      for (size_t i = 0; i < word.size(); ++i) {
        if (is_lower(word[i]) && (i == 0 || !is_letter(word[i - 1])))
          word[i] = static_cast<char>(word[i] & ~0x20);
      }
    }
    title += (title.empty() ? "" : " ") + word;
  }
  return title;
}

std::string size_label_of(uint64_t parameters) {
  auto scaled = static_cast<double>(parameters);
  char unit = 'K';
  for (const auto& [limit, name] : {std::pair{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}, {0.0, 'K'}}) {
    if (static_cast<double>(parameters) > limit || name == 'K') {
      scaled = static_cast<double>(parameters) * (name == 'K' ? 1e-3 : 1 / limit);
      unit = name;
      break;
    }
  }
  // Two digits at least.
  const double rounded = std::nearbyint(scaled);
  const int digits = rounded == 0 ? 0 : static_cast<int>(fmt::format("{:.0f}", rounded).size());
  return fmt::format("{:.{}f}{}", scaled, std::max(2 - digits, 0), unit);
}

}  // namespace stonechat
