// The messages of a chat and the session that answers them.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/session.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace stonechat {

// Uses but doesn't own what it is given. Every turn renders all messages again; the session keeps what hasn't
// changed.
class Conversation {
 public:
  Conversation(Session& session, const Tokenizer& tokenizer, const ChatTemplate& chat_template,
               GenerateOptions options);

  // Adds the question, streams the answer to `on_text`, adds it. When this throws, the question is forgotten.
  GenerateStats ask(const std::string& question, const std::function<void(std::string_view)>& on_text,
                    const std::function<bool()>& should_stop);

  void clear();                              // keeps the system prompt
  void set_system(const std::string& text);  // clears
  std::string system() const;                // empty: the model's default

  // A JSON file {"messages": [{"role": ..., "content": ...}, ...]}; loading replaces the conversation only
  // when all of the file is good. Error{kIo}, Error{kBadFile}.
  void save(const std::string& path) const;
  void load(const std::string& path);

  std::span<const ChatMessage> messages() const { return messages_; }
  const GenerateStats& last_stats() const { return stats_; }
  size_t used_tokens() const { return session_.tokens().size(); }
  uint32_t context() const { return session_.context(); }
  size_t cache_bytes() const { return session_.cache().bytes(); }

 private:
  std::vector<TokenId> prompt_tokens() const;

  Session& session_;
  const Tokenizer& tokenizer_;
  const ChatTemplate& chat_template_;
  GenerateOptions options_;
  std::vector<ChatMessage> messages_;
  GenerateStats stats_;
};

}  // namespace stonechat
