// A lock that processes share, on a file of its own.
#pragma once

#include <functional>
#include <string>

namespace stonechat {

class FileLock {
 public:
  // Creates the file and its directories where needed and waits for the lock; `on_wait` is called once if
  // another process has it, `should_stop` is asked while waiting: Error{kInterrupted}. Error{kIo} naming the
  // path.
  FileLock(const std::string& path, const std::function<void()>& on_wait,
           const std::function<bool()>& should_stop);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace stonechat
