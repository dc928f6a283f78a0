// `stonechat chat`: a conversation on a terminal, or one turn from a pipe.
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/memory_parts.h"
#include "chat_conversation.h"
#include "commands.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "line_reader.h"
#include "loaded_model.h"
#include "model_argument.h"
#include "sampling_flags.h"
#include "text_input.h"

namespace stonechat {
namespace {

struct ChatOptions {
  std::string model;
  std::string system;
  std::string load;
  RunFlags run;
  SamplingFlags sampling;
  bool json = false;
};

constexpr const char* kHelp =
    "/help         this list\n"
    "/system TEXT  set the system prompt (and begin anew); without TEXT: show it\n"
    "/clear        forget the conversation\n"
    "/save FILE    write the conversation to a JSON file\n"
    "/load FILE    continue a saved conversation\n"
    "/stats        speeds of the last answer, and the room that is left\n"
    "/exit         leave (also Ctrl-D)\n"
    "Ctrl-C stops an answer. A line that ends with \\ goes on in the next one.\n";

void print_piece(std::string_view piece) {
  std::fwrite(piece.data(), 1, piece.size(), stdout);
  std::fflush(stdout);
}

std::string stats_text(const Conversation& conversation) {
  const GenerateStats& stats = conversation.last_stats();
  return fmt::format(
      "prompt {} tokens ({} of them kept from before), {:.1f} tokens/s; answer {} tokens, {:.1f} tokens/s, "
      "ended by "
      "{}\ncontext {} of {} tokens used, cache {:.1f} MiB\n",
      stats.prompt_tokens, stats.reused_tokens, stats.prompt_speed(), stats.generated_tokens,
      stats.generate_speed(), name(stats.reason), conversation.used_tokens(), conversation.context(),
      mebibytes(conversation.cache_bytes()));
}

// Handles a line that begins with a slash; false when the program shall end.
bool obey(const std::string& line, Conversation& conversation) {
  const size_t space = line.find_first_of(" \t");
  const std::string command = line.substr(0, space);
  const size_t start = space == std::string::npos ? std::string::npos : line.find_first_not_of(" \t", space);
  const std::string argument = start == std::string::npos ? "" : line.substr(start);
  if (command == "/exit" || command == "/quit") return false;
  if (command == "/help") {
    fmt::print("{}", kHelp);
  } else if (command == "/clear") {
    conversation.clear();
    fmt::print("(forgotten)\n");
  } else if (command == "/system" && argument.empty()) {
    fmt::print("{}\n", conversation.system().empty() ? "(the model's default)" : conversation.system());
  } else if (command == "/system") {
    conversation.set_system(argument);
    fmt::print("(system prompt set, conversation begun anew)\n");
  } else if (command == "/stats") {
    fmt::print("{}", stats_text(conversation));
  } else if ((command == "/save" || command == "/load") && argument.empty()) {
    fmt::print("{} wants a file name\n", command);
  } else if (command == "/save") {
    conversation.save(argument);
    fmt::print("(saved to {})\n", argument);
  } else if (command == "/load") {
    conversation.load(argument);
    fmt::print("({} messages loaded)\n", conversation.messages().size());
  } else {
    fmt::print("unknown command {}: /help lists them\n", command);
  }
  return true;
}

void repl(Conversation& conversation) {
  LineReader reader("stonechat");
  fmt::print("Ask something; /help lists commands, Ctrl-D leaves.\n");
  for (;;) {
    clear_interrupt();
    std::optional<std::string> line = reader.read("> ");
    if (!line) break;
    while (line->ends_with('\\')) {
      line->back() = '\n';
      const auto more = reader.read(". ");
      if (!more) break;
      *line += *more;
    }
    if (line->find_first_not_of(" \t\n") == std::string::npos) continue;
    try {
      if (line->starts_with('/')) {
        if (!obey(*line, conversation)) break;
        continue;
      }
      clear_interrupt();
      const EndReason reason = conversation.ask(*line, print_piece, interrupted).reason;
      if (reason == EndReason::kInterrupted) fmt::print("\n(stopped)");
      if (reason == EndReason::kContextFull) fmt::print("\n(the context is full: /clear begins anew)");
      if (reason == EndReason::kMaxTokens) fmt::print("\n(cut at --max-tokens)");
      fmt::print("\n");
    } catch (const Error& error) {
      // A mistake or a full context ends the turn, not the conversation.
      fmt::print("{}{}\n", error.kind() == ErrorKind::kInterrupted ? "" : "error: ",
                 error.kind() == ErrorKind::kInterrupted ? "(stopped)" : error.what());
    }
  }
}

void one_turn(const ChatOptions& options, Conversation& conversation) {
  std::string question = read_standard_input();
  while (question.ends_with('\n')) question.pop_back();
  if (question.empty()) fail(ErrorKind::kUsage, "chat: standard input is empty");
  std::string answer;
  const GenerateStats stats = conversation.ask(
      question,
      [&](std::string_view piece) {
        if (options.json) {
          answer += piece;
        } else {
          print_piece(piece);
        }
      },
      interrupted);
  if (options.json) {
    const OrderedJson json = {
        {"model", options.model},
        {"answer", answer},
        {"end_reason", name(stats.reason)},
        {"prompt_tokens", stats.prompt_tokens},
        {"generated_tokens", stats.generated_tokens},
        {"prompt_seconds", stats.prompt_seconds},
        {"generate_seconds", stats.generate_seconds},
    };
    fmt::print("{}\n", dump_json(json, 2));
  } else {
    fmt::print("\n");
  }
  if (stats.reason == EndReason::kInterrupted) fail(ErrorKind::kInterrupted, "interrupted");
}

void chat(const ChatOptions& options) {
  const bool interactive = standard_input_is_terminal();
  const GenerateOptions generate = options.sampling.resolve();
  const Sampler check_options_before_loading(generate.sampler);
  ThreadPool pool(options.run.thread_count());
  // A conversation may stay short.
  const LoadedModel model(
      options.model, pool, options.run, [&](const ModelConfig& config, const Tuning& tuning) {
        return RunNeed{.shape = run_shape(context_for(config, options.run.context), options.run, tuning),
                       .fills_cache = false};
      });
  const ChatTemplate chat_template(model.file.metadata());
  Session session(model.weights, model.tokenizer, kernels(), pool,
                  context_for(model.weights.config, options.run.context), model.chosen.tuning,
                  options.run.cache);
  Conversation conversation(session, model.tokenizer, chat_template, generate);
  if (!options.system.empty()) conversation.set_system(options.system);
  if (!options.load.empty()) conversation.load(options.load);
  catch_interrupts();
  if (interactive) {
    fmt::print("{}\n", describe(model.weights));
    repl(conversation);
  } else {
    one_turn(options, conversation);
  }
}

}  // namespace

void add_chat_command(Command& app) {
  Command* command = app.add_subcommand("chat", "Talk with a model (or pipe one question in)");
  auto options = std::make_shared<ChatOptions>();
  command->add_option("model", options->model, kModelHelp)->required();
  CommandOption* system =
      command->add_option("--system", options->system, "System prompt (default: the model's own)");
  command
      ->add_option("--load", options->load,
                   "Continue a conversation that /save wrote, its system prompt included")
      ->excludes(system);
  options->run.add_threads(*command);
  options->run.add_context(*command);
  options->run.add_no_tune(*command);
  options->sampling.add(*command);
  command->add_flag("--json", options->json, "Print one JSON object (only when the question is piped in)");
  command->callback([options] { chat(*options); });
}

}  // namespace stonechat
