#include "chat_conversation.h"

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "text_input.h"

namespace stonechat {

Conversation::Conversation(Session& session, const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                           GenerateOptions options)
    : session_(session), tokenizer_(tokenizer), chat_template_(chat_template), options_(std::move(options)) {}

std::vector<TokenId> Conversation::prompt_tokens() const {
  std::vector<TokenId> tokens;
  if (tokenizer_.add_bos() && tokenizer_.bos()) tokens.push_back(*tokenizer_.bos());
  for (const auto& piece : chat_template_.pieces(messages_, /*ask_for_answer=*/true)) {
    // What a person typed stays text, even if it looks like a special token.
    const auto encoded = tokenizer_.encode(
        piece.text, piece.markup ? Tokenizer::SpecialTokens::kParse : Tokenizer::SpecialTokens::kPlainText);
    tokens.insert(tokens.end(), encoded.begin(), encoded.end());
  }
  return tokens;
}

GenerateStats Conversation::ask(const std::string& question,
                                const std::function<void(std::string_view)>& on_text,
                                const std::function<bool()>& should_stop) {
  messages_.push_back({"user", question});
  std::string answer;
  try {
    stats_ = session_.generate(
        prompt_tokens(), options_,
        [&](std::string_view piece) {
          answer += piece;
          on_text(piece);
        },
        should_stop);
  } catch (...) {
    messages_.pop_back();
    throw;
  }
  messages_.push_back({"assistant", answer});
  return stats_;
}

void Conversation::clear() {
  const std::string kept = system();
  messages_.clear();
  if (!kept.empty()) messages_.push_back({"system", kept});
}

void Conversation::set_system(const std::string& text) {
  messages_.assign(1, {"system", text});
}

std::string Conversation::system() const {
  return !messages_.empty() && messages_[0].role == "system" ? messages_[0].content : "";
}

void Conversation::save(const std::string& path) const {
  OrderedJson json = {{"messages", OrderedJson::array()}};
  for (const auto& message : messages_) {
    json["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
  const std::string text = dump_json(json, 2) + "\n";
  write_text_file(path, text);
}

void Conversation::load(const std::string& path) {
  constexpr size_t kMostBytes = size_t{64} << 20;
  const auto json = Json::parse(read_text_file(path, kMostBytes), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) fail(ErrorKind::kBadFile, "{}: not a JSON file", path);
  if (!json.is_object() || !json.contains("messages") || !json["messages"].is_array()) {
    fail(ErrorKind::kBadFile, "{}: expected an object with a list \"messages\"", path);
  }
  std::vector<ChatMessage> messages;
  for (const auto& entry : json["messages"]) {
    const auto text = [&](const char* field) {
      if (!entry.is_object() || !entry.contains(field) || !entry[field].is_string()) {
        fail(ErrorKind::kBadFile, "{}: messages[{}]: expected a text \"{}\"", path, messages.size(), field);
      }
      return entry[field].get<std::string>();
    };
    const ChatMessage message{text("role"), text("content")};
    if (message.role != "system" && message.role != "user" && message.role != "assistant") {
      fail(ErrorKind::kBadFile, "{}: messages[{}].role: expected system, user or assistant, found '{}'", path,
           messages.size(), message.role);
    }
    messages.push_back(message);
  }
  messages_ = std::move(messages);
}

}  // namespace stonechat
