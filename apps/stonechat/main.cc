// The program's edge: parses the command line, runs one subcommand, turns errors into messages and exit
// codes.
//
// Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "base/error.h"
#include "command_line.h"
#include "commands.h"
#include "interrupt.h"

namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

int exit_code(stonechat::ErrorKind kind) {
  switch (kind) {
    case stonechat::ErrorKind::kUsage:
      return kExitUsage;
    case stonechat::ErrorKind::kInterrupted:
      return stonechat::kExitInterrupted;
    default:
      return kExitFailed;
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    stonechat::CommandLine command_line("Quantizes small language models to 8 bits and runs them on CPUs.",
                                        "stonechat", stonechat::version_text);
    stonechat::add_commands(command_line.root());
    std::vector<std::string> arguments(argv + 1, argv + argc);
    // CLI11 would say that a command is missing.
    if (!arguments.empty() && !arguments[0].starts_with('-') && !command_line.has_command(arguments[0])) {
      stonechat::fail(stonechat::ErrorKind::kUsage, "no command '{}'; stonechat --help lists them",
                      arguments[0]);
    }
    stonechat::spell_out_flags(arguments);
    const bool has_run = command_line.run(std::move(arguments));
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      stonechat::fail(stonechat::ErrorKind::kIo, "standard output: cannot write");
    return has_run ? 0 : kExitUsage;
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
