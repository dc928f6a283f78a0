#include "base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"

namespace stonechat {
namespace {

constexpr size_t kMostOutputBytes = 64 << 10;
constexpr int kPollMilliseconds = 100;

// Reads until the program closes its output; false when told to stop.
bool read_output(int descriptor, const std::function<bool()>& should_stop, std::string& output) {
  char buffer[4096];
  for (;;) {
    if (should_stop && should_stop()) return false;
    struct pollfd poll_entry {
      descriptor, POLLIN, 0
    };
    if (::poll(&poll_entry, 1, kPollMilliseconds) <= 0) continue;
    const ssize_t got = ::read(descriptor, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    output.append(buffer, static_cast<size_t>(got));
    if (output.size() > kMostOutputBytes) output.erase(0, output.size() - kMostOutputBytes);
  }
}

}  // namespace

ChildResult run_child(const std::vector<std::string>& arguments, const std::function<bool()>& should_stop) {
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0)
    fail(ErrorKind::kIo, "cannot make a pipe: {}", system_message(errno));
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDERR_FILENO);
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t process = 0;
  const int error = ::posix_spawnp(&process, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(pipe_ends[1]);
  if (error != 0) {
    ::close(pipe_ends[0]);
    fail(ErrorKind::kIo, "{}: cannot start: {}", arguments[0], system_message(error));
  }
  ChildResult result;
  const bool finished = read_output(pipe_ends[0], should_stop, result.output);
  ::close(pipe_ends[0]);
  if (!finished) ::kill(process, SIGTERM);
  int status = 0;
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
  }
  if (!finished) fail(ErrorKind::kInterrupted, "interrupted");
  // Where starting and running can't be told apart (qemu-user), a program that isn't there shows as this
  // code.
  constexpr int kNotFound = 127;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotFound && result.output.empty()) {
    fail(ErrorKind::kIo, "{}: cannot start: {}", arguments[0], system_message(ENOENT));
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace stonechat
