#include "base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <span>
#include <thread>

#include "base/error.h"

namespace stonechat {
namespace {

constexpr size_t kTailBytes = 64 << 10;
using Milliseconds = std::chrono::milliseconds;
constexpr Milliseconds kPause{100};      // between two questions to should_stop
constexpr Milliseconds kPatience{2000};  // with a program that was told to end

// A pipe, ours to read; the end to write is for children.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_, O_CLOEXEC) != 0) fail(ErrorKind::kIo, "cannot make a pipe: {}", system_message(errno));
  }
  ~Pipe() {
    ::close(ends_[0]);
    close_writer();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  void close_writer() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  int ends_[2];
};

pid_t start(const std::vector<std::string>& arguments, int output, int errors) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t process = 0;
  const int error = ::posix_spawnp(&process, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail(ErrorKind::kIo, "{}: cannot start: {}", arguments[0], system_message(error));
  return process;
}

// The exit code, or nothing when `gives_up` says so before the program ends.
std::optional<int> wait_for(pid_t process, const std::function<bool()>& gives_up) {
  // Most programs end as soon as they have closed their streams.
  for (Milliseconds pause{1};; pause = std::min(2 * pause, kPause)) {
    int status = 0;
    const pid_t ended = ::waitpid(process, &status, WNOHANG);
    if (ended == process || (ended < 0 && errno != EINTR))
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (gives_up && gives_up()) return std::nullopt;
    std::this_thread::sleep_for(pause);
  }
}

// Ends it, by force if it doesn't do so itself.
void end(pid_t process) {
  const auto start = std::chrono::steady_clock::now();
  ::kill(process, SIGTERM);
  if (wait_for(process, [&] { return std::chrono::steady_clock::now() - start > kPatience; })) return;
  ::kill(process, SIGKILL);
  wait_for(process, {});
}

// Where what a program writes goes. Of a tail the last `most_bytes` are kept; of others more are an error.
struct Stream {
  int descriptor;
  std::string& text;
  size_t most_bytes;
  bool is_tail;
  bool is_open = true;
};

enum class Ending { kClosed, kStopped, kTooMuch };

// Reads until the program has closed all streams.
Ending read_streams(std::span<Stream> streams, const std::function<bool()>& should_stop) {
  char buffer[4096];
  for (;;) {
    if (should_stop && should_stop()) return Ending::kStopped;
    std::vector<struct pollfd> entries;
    for (const Stream& stream : streams)
      entries.push_back({stream.is_open ? stream.descriptor : -1, POLLIN, 0});
    if (::poll(entries.data(), entries.size(), kPause.count()) <= 0) continue;
    bool any_open = false;
    for (size_t i = 0; i < streams.size(); ++i) {
      Stream& stream = streams[i];
      if (entries[i].revents != 0) {
        const ssize_t got = ::read(stream.descriptor, buffer, sizeof buffer);
        if (got > 0) {
          stream.text.append(buffer, static_cast<size_t>(got));
        } else if (got == 0 || errno != EINTR) {
          stream.is_open = false;
        }
        if (stream.text.size() > stream.most_bytes) {
          if (!stream.is_tail) return Ending::kTooMuch;
          stream.text.erase(0, stream.text.size() - stream.most_bytes);
        }
      }
      any_open |= stream.is_open;
    }
    if (!any_open) return Ending::kClosed;
  }
}

// Returns the exit code.
int finish(const std::string& program, pid_t process, std::span<Stream> streams,
           const std::function<bool()>& should_stop) {
  const Ending ending = read_streams(streams, should_stop);
  std::optional<int> exit_code;
  if (ending == Ending::kClosed) exit_code = wait_for(process, should_stop);
  if (!exit_code) {
    end(process);
    if (ending == Ending::kTooMuch)
      fail(ErrorKind::kLimit, "{}: wrote more than {} bytes", program, streams[0].most_bytes);
    fail(ErrorKind::kInterrupted, "interrupted");
  }
  // Where starting and running can't be told apart (qemu-user), a program that isn't there shows as this
  // code.
  constexpr int kNotFound = 127;
  bool silent = true;
  for (const Stream& stream : streams) silent &= stream.text.empty();
  if (exit_code == kNotFound && silent)
    fail(ErrorKind::kIo, "{}: cannot start: {}", program, system_message(ENOENT));
  return *exit_code;
}

}  // namespace

ChildResult run_child(const std::vector<std::string>& arguments, const std::function<bool()>& should_stop) {
  Pipe pipe;
  const pid_t process = start(arguments, pipe.writer(), pipe.writer());
  pipe.close_writer();
  ChildResult result;
  Stream stream{pipe.reader(), result.output, kTailBytes, true};
  result.exit_code = finish(arguments[0], process, std::span(&stream, 1), should_stop);
  return result;
}

ChildStreams run_child_apart(const std::vector<std::string>& arguments,
                             const std::function<bool()>& should_stop, size_t most_output_bytes) {
  Pipe output, errors;
  const pid_t process = start(arguments, output.writer(), errors.writer());
  output.close_writer();
  errors.close_writer();
  ChildStreams result;
  Stream streams[] = {{output.reader(), result.output, most_output_bytes, false},
                      {errors.reader(), result.errors, kTailBytes, true}};
  result.exit_code = finish(arguments[0], process, streams, should_stop);
  return result;
}

}  // namespace stonechat
