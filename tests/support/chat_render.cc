// Prints a conversation (JSON messages on standard input) as a model's chat template renders it, for the
// tests.
//
//   chat_render MODEL ask|no
#include <cstdio>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>

#include "gguf/reader.h"
#include "tokenizer/chat_template.h"

int main(int argc, char** argv) {
  try {
    if (argc != 3) throw std::runtime_error("usage: chat_render MODEL ask|no");
    const stonechat::gguf::Reader file(argv[1]);
    std::vector<stonechat::ChatMessage> messages;
    for (const auto& message : nlohmann::json::parse(std::cin)) {
      messages.push_back({message["role"].get<std::string>(), message["content"].get<std::string>()});
    }
    const stonechat::ChatTemplate chat_template(file.metadata());
    std::cout << chat_template.render(messages, std::string(argv[2]) == "ask");
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "chat_render: %s\n", error.what());
    return 1;
  }
}
