// The chat templates that we know, rendered byte for byte as the models' published templates render them.
//
// A GGUF file carries its template as Jinja text, which is a program we don't run: we recognize the published
// ones (ChatML of qwen2 and smollm) and write the same text. Errors: ErrorKind::kBadFile saying that the
// template of this model isn't known (it still works in `run`), ErrorKind::kUsage for an unknown role.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "gguf/metadata.h"

namespace stonechat {

struct ChatMessage {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
};

class ChatTemplate {
 public:
  explicit ChatTemplate(const gguf::Metadata& metadata);

  // The whole conversation. With `ask_for_answer` the text ends where the assistant's answer begins.
  // For tokens use pieces().
  std::string render(std::span<const ChatMessage> messages, bool ask_for_answer) const;

  // The same text cut around its special tokens, so that those typed by a user stay plain text: `markup`
  // pieces are to be encoded with SpecialTokens::kParse, others aren't. Together they give the tokens that
  // the whole text has.
  struct Piece {
    std::string text;
    bool markup;
  };
  std::vector<Piece> pieces(std::span<const ChatMessage> messages, bool ask_for_answer) const;

 private:
  std::string default_system_;
};

}  // namespace stonechat
