#include "line_reader.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "interrupt.h"

#if STONECHAT_HAS_EDITLINE
#include <editline/readline.h>
#endif

namespace stonechat {

#if STONECHAT_HAS_EDITLINE

namespace {

constexpr int kHistoryLines = 1000;

// Empty where there is no home: then the history lives as long as the program.
std::string history_path(const std::string& program) {
  std::filesystem::path directory;
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    directory = state;
  } else if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    directory = std::filesystem::path(home) / ".local" / "state";
  } else {
    return {};
  }
  std::error_code error;
  std::filesystem::create_directories(directory / program, error);
  return error ? "" : (directory / program / "chat_history").string();
}

}  // namespace

LineReader::LineReader(const std::string& program) : history_path_(history_path(program)) {
  rl_catch_signals = 0;
  using_history();
  stifle_history(kHistoryLines);
  if (!history_path_.empty()) read_history(history_path_.c_str());
}

LineReader::~LineReader() {
  if (!history_path_.empty()) write_history(history_path_.c_str());
}

std::optional<std::string> LineReader::read(const std::string& prompt) {
  char* line = readline(prompt.c_str());
  if (line == nullptr) {
    std::fputc('\n', stdout);
    // A read that Ctrl-C broke off looks like the end of input.
    if (!interrupted()) return std::nullopt;
    clear_interrupt();
    return "";
  }
  std::string text = line;
  std::free(line);
  if (!text.empty()) add_history(text.c_str());
  return text;
}

#else

LineReader::LineReader(const std::string&) {}
LineReader::~LineReader() = default;

std::optional<std::string> LineReader::read(const std::string& prompt) {
  std::cout << prompt << std::flush;
  std::string text;
  if (std::getline(std::cin, text)) return text;
  if (!interrupted()) return std::nullopt;
  clear_interrupt();
  std::cin.clear();
  clearerr(stdin);
  std::cout << '\n';
  return "";
}

#endif

}  // namespace stonechat
