#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include "base/error.h"

namespace stonechat {

FileLock::FileLock(const std::string& path, const std::function<void()>& on_wait,
                   const std::function<bool()>& should_stop) {
  constexpr auto kInterval = std::chrono::milliseconds(100);
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail(ErrorKind::kIo, "{}: cannot create the lock: {}", path, system_message(errno));
  for (bool waited = false; ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0; waited = true) {
    const int number = errno;
    if (number != EWOULDBLOCK && number != EINTR) {
      ::close(descriptor_);
      fail(ErrorKind::kIo, "{}: cannot lock: {}", path, system_message(number));
    }
    if (!waited && on_wait) on_wait();
    if (should_stop && should_stop()) {
      ::close(descriptor_);
      fail(ErrorKind::kInterrupted, "interrupted");
    }
    std::this_thread::sleep_for(kInterval);
  }
}

FileLock::~FileLock() {
  ::close(descriptor_);
}

}  // namespace stonechat
