// The program's edge: parses the command line, runs one subcommand, turns errors into messages and exit
// codes.
//
// Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "base/error.h"
#include "commands.h"

namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;

int exit_code(stonechat::ErrorKind kind) {
  switch (kind) {
    case stonechat::ErrorKind::kUsage:
      return kExitUsage;
    case stonechat::ErrorKind::kInterrupted:
      return kExitInterrupted;
    default:
      return kExitFailed;
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Quantizes small language models to 8 bits and runs them on CPUs.", "stonechat"};
  app.set_version_flag("--version", [] { return stonechat::version_text(); });
  app.require_subcommand(1);
  stonechat::add_commands(app);
  try {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    // CLI11 would say that a command is missing.
    const auto is_first = [&](const CLI::App* command) { return command->get_name() == arguments[0]; };
    if (!arguments.empty() && !arguments[0].starts_with('-') && app.get_subcommands(is_first).empty()) {
      stonechat::fail(stonechat::ErrorKind::kUsage, "no command '{}'; stonechat --help lists them",
                      arguments[0]);
    }
    stonechat::spell_out_flags(arguments);
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app.parse(std::move(arguments));
    return 0;
  } catch (const CLI::ParseError& error) {
    // --help and --version arrive here too, with code 0.
    return app.exit(error) == 0 ? 0 : kExitUsage;
  } catch (const stonechat::Error& error) {
    std::fprintf(stderr, "stonechat: %s\n", stonechat::printable(error.what()).c_str());
    return exit_code(error.kind());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "stonechat: out of memory\n");
    return kExitFailed;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stonechat: %s\n", stonechat::printable(error.what()).c_str());
    return kExitFailed;
  }
}
