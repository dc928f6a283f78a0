// The command line of the program: commands, their options and flags.
//
// A thin face of CLI11, whose headers take seconds to compile wherever they are included: only
// command_line.cc includes them. What is here means what it means there. Commands and options live as long as
// the CommandLine; variables that options write to must live until it has parsed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace stonechat {

// Says what is wrong with a text, or nothing.
using OptionCheck = std::function<std::string(const std::string&)>;

struct Range {
  Range(uint32_t least_number, uint32_t most_number) : least(least_number), most(most_number) {}
  Range(double least_number, double most_number) : least(least_number), most(most_number), whole(false) {}

  double least, most;
  bool whole = true;
};

struct OneOf {
  std::vector<std::string> texts;
};

class CommandOption {
 public:
  explicit CommandOption(CLI::Option* option) : option_(option) {}

  CommandOption* required();
  CommandOption* check(const Range& range);
  CommandOption* check(const OneOf& texts);
  CommandOption* check(const OptionCheck& check);
  CommandOption* capture_default_str();  // --help shows the variable's value
  CommandOption* delimiter(char separator);
  CommandOption* allow_extra_args(bool allowed);
  CommandOption* expected(int values);
  CommandOption* take_all();
  CommandOption* excludes(const CommandOption* other);
  size_t count() const;      // how often it was given
  std::string name() const;  // "--type"

 private:
  CLI::Option* option_;
};

class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  Command* add_subcommand(const std::string& name, const std::string& description);
  // Value: std::string, float, double, uint32_t, uint64_t, std::optional of a string or number, std::vector
  // of strings or uint32_t (command_line.cc has the list).
  template <typename Value>
  CommandOption* add_option(const std::string& flags, Value& value, const std::string& description);
  // `take` may throw Error.
  CommandOption* add_option_function(const std::string& flags,
                                     const std::function<void(const std::string&)>& take,
                                     const std::string& description);
  CommandOption* add_flag(const std::string& flags, bool& value, const std::string& description);
  // Called once the callbacks of its subcommands were.
  void callback(const std::function<void()>& run);
  bool has_run_subcommand() const;
  void require_subcommand(int count);
  void footer(const std::string& text);

 private:
  CommandOption* keep(CLI::Option* option);

  CLI::App* app_;
  std::deque<Command> commands_;
  std::deque<CommandOption> options_;
};

class CommandLine {
 public:
  CommandLine(const std::string& description, const std::string& name,
              const std::function<std::string()>& version);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  Command& root() { return root_; }
  bool has_command(const std::string& name) const;
  // Runs the command's callback. False when the arguments were wrong, which is said on stderr; --help and
  // --version are answered on stdout.
  bool run(std::vector<std::string> arguments);

 private:
  std::unique_ptr<CLI::App> app_;
  Command root_;
};

}  // namespace stonechat
