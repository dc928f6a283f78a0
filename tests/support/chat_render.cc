// Prints a conversation (JSON messages on standard input) as a model's chat template renders it, or its
// tokens, for the tests.
//
//   chat_render MODEL ask|no text|ids
#include <cstdio>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>

#include "gguf/reader.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

int main(int argc, char** argv) {
  try {
    if (argc != 4) throw std::runtime_error("usage: chat_render MODEL ask|no text|ids");
    const stonechat::gguf::Reader file(argv[1]);
    std::vector<stonechat::ChatMessage> messages;
    for (const auto& message : nlohmann::json::parse(std::cin)) {
      messages.push_back({message["role"].get<std::string>(), message["content"].get<std::string>()});
    }
    const stonechat::ChatTemplate chat_template(file.metadata());
    const bool ask = std::string(argv[2]) == "ask";
    if (std::string(argv[3]) == "text") {
      std::cout << chat_template.render(messages, ask);
      return 0;
    }
    using SpecialTokens = stonechat::Tokenizer::SpecialTokens;
    const stonechat::Tokenizer tokenizer(file.metadata());
    for (const auto& piece : chat_template.pieces(messages, ask)) {
      const auto special = piece.markup ? SpecialTokens::kParse : SpecialTokens::kPlainText;
      for (const stonechat::TokenId token : tokenizer.encode(piece.text, special)) std::cout << token << ' ';
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "chat_render: %s\n", error.what());
    return 1;
  }
}
