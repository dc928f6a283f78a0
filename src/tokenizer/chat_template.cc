#include "tokenizer/chat_template.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/error.h"

namespace stonechat {
namespace {

constexpr std::string_view kStart = "<|im_start|>";
constexpr std::string_view kEnd = "<|im_end|>";

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Jinja's string literals may write a newline as \n; the same text with real newlines.
std::string unescape_newlines(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_newline = text[i] == '\\' && i + 1 < text.size() && text[i + 1] == 'n';
    result += is_newline ? '\n' : text[i];
    if (is_newline) ++i;
  }
  return result;
}

// ChatML: <|im_start|>ROLE, newline, content, <|im_end|>, newline for each message. What a ChatML template
// may add and we don't do (reasoning parts, dates, trimmed contents) makes it another template.
bool is_chatml(std::string_view jinja) {
  const bool each_message = contains(jinja, "'<|im_start|>' + message") && contains(jinja, "'<|im_end|>'");
  const bool asks_assistant = contains(unescape_newlines(jinja), "'<|im_start|>assistant\n'");
  if (!each_message || !asks_assistant) return false;
  constexpr std::string_view kMore[] = {"<think>", "strftime", "| trim", "|trim"};
  return std::none_of(std::begin(kMore), std::end(kMore),
                      [&](std::string_view word) { return contains(jinja, word); });
}

// The text that the template puts as system message when the conversation has none; empty where it puts
// none, nothing where it puts one that we can't read.
std::optional<std::string> find_default_system(std::string_view jinja) {
  const std::string text = unescape_newlines(jinja);
  constexpr std::string_view kOpening = "<|im_start|>system\n";
  bool all_read = true;
  for (size_t at = text.find(kOpening); at != std::string::npos; at = text.find(kOpening, at + 1)) {
    const size_t begin = at + kOpening.size();
    // A string literal ends with the quote that opened it, text outside of one with Jinja's brackets.
    const char before = at > 0 ? text[at - 1] : '\0';
    const bool in_literal = before == '\'' || before == '"';
    const size_t end = text.find_first_of(in_literal ? std::string(1, before) : "'\"{", begin);
    if (end == begin) continue;  // the content comes from elsewhere
    const std::string_view inside = std::string_view(text).substr(begin, end - begin);
    const std::string_view content = inside.substr(0, inside.find(kEnd));
    if (content.size() < inside.size() && !contains(content, "\\")) return std::string(content);
    all_read = false;
  }
  return all_read ? std::optional<std::string>("") : std::nullopt;
}

}  // namespace

ChatTemplate::ChatTemplate(const gguf::Metadata& metadata) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  const auto jinja = metadata.find_string(kKey);
  const auto system = jinja && is_chatml(*jinja) ? find_default_system(*jinja) : std::nullopt;
  if (!system) {
    fail(ErrorKind::kBadFile,
         "{}: {}: expected a ChatML template (qwen2, smollm), found {}; 'stonechat run' works without one",
         metadata.file(), kKey, jinja ? "one that we don't know" : "nothing");
  }
  default_system_ = *system;
}

std::vector<ChatTemplate::Piece> ChatTemplate::pieces(std::span<const ChatMessage> messages,
                                                      bool ask_for_answer) const {
  std::vector<Piece> pieces;
  // Role and content are one piece, as a word may begin in the one and end in the other: "\n\n".
  const auto add = [&](const std::string& role, const std::string& content) {
    pieces.push_back({std::string(kStart), true});
    pieces.push_back({role + "\n" + content, false});
    pieces.push_back({std::string(kEnd), true});
    pieces.push_back({"\n", false});
  };
  if (!default_system_.empty() && !messages.empty() && messages[0].role != "system")
    add("system", default_system_);
  for (const auto& message : messages) {
    if (message.role != "system" && message.role != "user" && message.role != "assistant") {
      fail(ErrorKind::kUsage, "role: expected system, user or assistant, found '{}'", message.role);
    }
    add(message.role, message.content);
  }
  if (ask_for_answer) {
    pieces.push_back({std::string(kStart), true});
    pieces.push_back({"assistant\n", false});
  }
  return pieces;
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages, bool ask_for_answer) const {
  std::string text;
  for (const auto& piece : pieces(messages, ask_for_answer)) text += piece.text;
  return text;
}

}  // namespace stonechat
