#include "command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>

namespace stonechat {

CommandOption* CommandOption::required() {
  option_->required();
  return this;
}

CommandOption* CommandOption::check(const Range& range) {
  if (range.whole) {
    option_->check(CLI::Range(static_cast<uint32_t>(range.least), static_cast<uint32_t>(range.most)));
  } else {
    option_->check(CLI::Range(range.least, range.most));
  }
  return this;
}

CommandOption* CommandOption::check(const OneOf& texts) {
  option_->check(CLI::IsMember(texts.texts));
  return this;
}

CommandOption* CommandOption::check(const OptionCheck& check) {
  option_->check(check);
  return this;
}

CommandOption* CommandOption::capture_default_str() {
  option_->capture_default_str();
  return this;
}

CommandOption* CommandOption::delimiter(char separator) {
  option_->delimiter(separator);
  return this;
}

CommandOption* CommandOption::allow_extra_args(bool allowed) {
  option_->allow_extra_args(allowed);
  return this;
}

CommandOption* CommandOption::expected(int values) {
  option_->expected(values);
  return this;
}

CommandOption* CommandOption::take_all() {
  option_->take_all();
  return this;
}

CommandOption* CommandOption::excludes(const CommandOption* other) {
  option_->excludes(other->option_);
  return this;
}

size_t CommandOption::count() const {
  return option_->count();
}

std::string CommandOption::name() const {
  return option_->get_name();
}

Command* Command::add_subcommand(const std::string& name, const std::string& description) {
  return &commands_.emplace_back(app_->add_subcommand(name, description));
}

template <typename Value>
CommandOption* Command::add_option(const std::string& flags, Value& value, const std::string& description) {
  return keep(app_->add_option(flags, value, description));
}

template CommandOption* Command::add_option(const std::string&, std::string&, const std::string&);
template CommandOption* Command::add_option(const std::string&, float&, const std::string&);
template CommandOption* Command::add_option(const std::string&, double&, const std::string&);
template CommandOption* Command::add_option(const std::string&, uint32_t&, const std::string&);
template CommandOption* Command::add_option(const std::string&, uint64_t&, const std::string&);
template CommandOption* Command::add_option(const std::string&, std::optional<double>&, const std::string&);
template CommandOption* Command::add_option(const std::string&, std::optional<uint64_t>&, const std::string&);
template CommandOption* Command::add_option(const std::string&, std::vector<uint32_t>&, const std::string&);
template CommandOption* Command::add_option(const std::string&, std::vector<std::string>&,
                                            const std::string&);

CommandOption* Command::add_option_function(const std::string& flags,
                                            const std::function<void(const std::string&)>& take,
                                            const std::string& description) {
  return keep(app_->add_option_function<std::string>(flags, take, description));
}

CommandOption* Command::add_flag(const std::string& flags, bool& value, const std::string& description) {
  return keep(app_->add_flag(flags, value, description));
}

void Command::callback(const std::function<void()>& run) {
  app_->callback(run);
}

bool Command::has_run_subcommand() const {
  return !app_->get_subcommands().empty();
}

void Command::require_subcommand(int count) {
  app_->require_subcommand(count);
}

void Command::footer(const std::string& text) {
  app_->footer(text);
}

CommandOption* Command::keep(CLI::Option* option) {
  return &options_.emplace_back(option);
}

CommandLine::CommandLine(const std::string& description, const std::string& name,
                         const std::function<std::string()>& version)
    : app_(std::make_unique<CLI::App>(description, name)), root_(app_.get()) {
  app_->set_version_flag("--version", version);
  app_->require_subcommand(1);
}

CommandLine::~CommandLine() = default;

bool CommandLine::has_command(const std::string& name) const {
  return !app_->get_subcommands([&](const CLI::App* command) { return command->get_name() == name; }).empty();
}

bool CommandLine::run(std::vector<std::string> arguments) {
  try {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app_->parse(std::move(arguments));
    return true;
  } catch (const CLI::ParseError& error) {
    return app_->exit(error) == 0;  // --help and --version arrive here too
  }
}

}  // namespace stonechat
