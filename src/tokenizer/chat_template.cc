#include "tokenizer/chat_template.h"

#include <algorithm>

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
// may add and we don't do (reasoning parts, dates) makes it another template.
bool is_chatml(std::string_view jinja) {
  const bool each_message = contains(jinja, "'<|im_start|>' + message") && contains(jinja, "'<|im_end|>'");
  const bool asks_assistant = contains(unescape_newlines(jinja), "'<|im_start|>assistant\n'");
  return each_message && asks_assistant && !contains(jinja, "<think>") && !contains(jinja, "strftime");
}

// The text that the template puts as system message when the conversation has none.
std::string find_default_system(std::string_view jinja) {
  const std::string text = unescape_newlines(jinja);
  constexpr std::string_view kOpening = "<|im_start|>system\n";
  for (size_t at = text.find(kOpening); at != std::string::npos; at = text.find(kOpening, at + 1)) {
    const size_t begin = at + kOpening.size();
    const size_t end = text.find_first_of("'\"", begin);
    const size_t close = text.find(kEnd, begin);
    // Within one string literal: no quote before <|im_end|>.
    if (close != std::string::npos && close < end) return text.substr(begin, close - begin);
  }
  return {};
}

}  // namespace

ChatTemplate::ChatTemplate(const gguf::Metadata& metadata) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  const auto jinja = metadata.find_string(kKey);
  if (!jinja || !is_chatml(*jinja)) {
    fail(ErrorKind::kBadFile,
         "{}: {}: expected a ChatML template (qwen2, smollm), found {}; 'stonechat run' works without one",
         metadata.file(), kKey, jinja ? "one that we don't know" : "nothing");
  }
  default_system_ = find_default_system(*jinja);
}

std::vector<ChatTemplate::Piece> ChatTemplate::pieces(std::span<const ChatMessage> messages,
                                                      bool ask_for_answer) const {
  std::vector<Piece> pieces;
  const auto add = [&](const std::string& role, const std::string& content) {
    pieces.push_back({fmt::format("{}{}\n", kStart, role), true});
    pieces.push_back({content, false});
    pieces.push_back({fmt::format("{}\n", kEnd), true});
  };
  if (!default_system_.empty() && !messages.empty() && messages[0].role != "system")
    add("system", default_system_);
  for (const auto& message : messages) {
    if (message.role != "system" && message.role != "user" && message.role != "assistant") {
      fail(ErrorKind::kUsage, "role: expected system, user or assistant, found '{}'", message.role);
    }
    add(message.role, message.content);
  }
  if (ask_for_answer) pieces.push_back({fmt::format("{}assistant\n", kStart), true});
  return pieces;
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages, bool ask_for_answer) const {
  std::string text;
  for (const auto& piece : pieces(messages, ask_for_answer)) text += piece.text;
  return text;
}

}  // namespace stonechat
