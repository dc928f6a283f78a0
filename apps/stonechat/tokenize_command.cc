// `stonechat tokenize`: text to token ids, and back.
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "commands.h"
#include "gguf/reader.h"
#include "model_argument.h"
#include "text_input.h"
#include "tokenizer/tokenizer.h"

namespace stonechat {
namespace {

struct TokenizeOptions {
  std::string model;
  std::string text;
  std::string file;
  bool special = false;
  bool ids_only = false;
  bool json = false;
  bool detokenize = false;
};

// Ids as people paste them: separated by spaces, commas or newlines, in brackets or not.
std::vector<TokenId> parse_ids(const std::string& text) {
  std::vector<TokenId> ids;
  constexpr const char* kSeparators = " \t\r\n,[]";
  for (size_t begin = text.find_first_not_of(kSeparators); begin != std::string::npos;) {
    const size_t end = std::min(text.find_first_of(kSeparators, begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    size_t used = 0;
    long value = -1;
    try {
      value = std::stol(word, &used);
    } catch (const std::exception&) {
      used = 0;
    }
    if (used != word.size() || value < 0 || value > INT32_MAX) {
      fail(ErrorKind::kUsage, "--detokenize: expected token ids, got '{}'", word);
    }
    ids.push_back(static_cast<TokenId>(value));
    begin = text.find_first_not_of(kSeparators, end);
  }
  return ids;
}

void print_tokens(const TokenizeOptions& options, const Tokenizer& tokenizer,
                  const std::vector<TokenId>& tokens) {
  if (options.json) {
    const OrderedJson json = {{"count", tokens.size()}, {"tokens", tokens}};
    fmt::print("{}\n", dump_json(json));
    return;
  }
  std::string lines;
  for (const TokenId token : tokens) {
    lines += std::to_string(token);
    if (!options.ids_only) {
      // Quoted and escaped, so that spaces and newlines can be seen; a part of a character shows as U+FFFD.
      const Json piece = tokenizer.decode(token, /*show_special=*/true);
      lines += "\t" + dump_json(piece);
    }
    lines += '\n';
  }
  std::fwrite(lines.data(), 1, lines.size(), stdout);
}

void tokenize(const TokenizeOptions& options, bool text_given) {
  if (text_given && !options.file.empty())
    fail(ErrorKind::kUsage, "tokenize: give a text or --file, not both");
  const gguf::Reader file(resolve_model(options.model));
  const Tokenizer tokenizer(file.metadata());
  const std::string text = !options.file.empty()               ? read_text_file(options.file)
                           : text_given && options.text != "-" ? options.text
                                                               : read_standard_input();
  if (options.detokenize) {
    const std::string bytes = tokenizer.decode(parse_ids(text), options.special);
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
  } else {
    const auto special =
        options.special ? Tokenizer::SpecialTokens::kParse : Tokenizer::SpecialTokens::kPlainText;
    print_tokens(options, tokenizer, tokenizer.encode(text, special));
  }
}

}  // namespace

void add_tokenize_command(Command& app) {
  Command* command = app.add_subcommand("tokenize", "Show a text's tokens, or the text of token ids");
  auto options = std::make_shared<TokenizeOptions>();
  command->add_option("model", options->model, kModelHelp)->required();
  CommandOption* text =
      command->add_option("text", options->text, "The text, or ids; - or none: standard input");
  command->add_option("-f,--file", options->file, "Read the text from this file");
  command->add_flag("--special", options->special,
                    "Read (or with --detokenize show) special tokens such as <|im_end|>");
  command->add_flag("--ids", options->ids_only, "Print ids without their text");
  command->add_flag("--json", options->json, "Print one JSON object");
  command->add_flag("--detokenize", options->detokenize, "The input is token ids: print their text");
  command->callback([options, text] { tokenize(*options, text->count() > 0); });
}

}  // namespace stonechat
