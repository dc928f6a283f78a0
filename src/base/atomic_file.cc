#include "base/atomic_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <random>
#include <utility>

#include "base/error.h"
#include "base/input_file.h"

namespace stonechat {
namespace {

// The names that a deadly signal must remove. A handler may only read atomics and call unlink().
constexpr size_t kSignalSlots = 16;
std::array<std::atomic<const char*>, kSignalSlots> names_to_remove{};
static_assert(std::atomic<const char*>::is_always_lock_free);

void remove_names_and_die(int signal_number) {
  for (auto& slot : names_to_remove) {
    if (const char* name = slot.load()) ::unlink(name);
  }
  ::raise(signal_number);  // SA_RESETHAND: this time the default action, once we have returned
}

int register_for_signals(const char* name) {
  static std::once_flag once;
  std::call_once(once, [] {
    for (const int signal_number : {SIGHUP, SIGINT, SIGTERM}) {
      struct sigaction action {};
      // A program that ignores or handles the signal itself unwinds to our destructor, or lives on.
      if (::sigaction(signal_number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
      action.sa_handler = remove_names_and_die;
      action.sa_flags = SA_RESETHAND;
      ::sigaction(signal_number, &action, nullptr);
    }
  });
  for (size_t slot = 0; slot < kSignalSlots; ++slot) {
    const char* nothing = nullptr;
    if (names_to_remove[slot].compare_exchange_strong(nothing, name)) return static_cast<int>(slot);
  }
  return -1;
}

std::string follow_symbolic_links(const std::string& path) {
  constexpr int kMostLinks = 40;
  std::filesystem::path target = std::filesystem::absolute(path);
  std::error_code ignored;
  for (int link = 0; std::filesystem::is_symlink(target, ignored); ++link) {
    if (link == kMostLinks) fail(ErrorKind::kIo, "{}: {}", path, system_message(ELOOP));
    target = target.parent_path() / std::filesystem::read_symlink(target, ignored);
  }
  return target.string();
}

std::string directory_of(const std::string& target) {
  return std::filesystem::path(target).parent_path().string();
}

// ".NAME.": NAME is cut so that the whole stays within the 255 bytes that filesystems allow.
std::string temporary_prefix(const std::string& target) {
  constexpr size_t kMostNameBytes = 200;
  return "." + std::filesystem::path(target).filename().string().substr(0, kMostNameBytes) + ".";
}

std::string new_temporary_name(const std::string& target) {
  std::random_device random;
  return fmt::format("{}/{}{}.{:08x}.part", directory_of(target), temporary_prefix(target), ::getpid(),
                     random());
}

// Removes a temporary if it has no living writer. Every writer holds a lock on its temporary for as long as
// that has a name, and the system drops the lock with the process. A writer that has created its file but not
// locked it yet waits for our lock, so the name must be gone before that is dropped: the writer then sees it.
void remove_if_abandoned(const std::string& name) {
  const int descriptor = ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return;
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(name.c_str());
  ::close(descriptor);
}

// Some filesystems can't; what lies in the directory is safe without.
void sync_directory(const std::string& path) {
  const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  ::fsync(directory);
  ::close(directory);
}

// Removes what a killed process left when it wrote the same target.
void remove_abandoned(const std::string& target) {
  const std::string directory = directory_of(target);
  const std::string prefix = temporary_prefix(target);
  DIR* listing = ::opendir(directory.c_str());
  if (listing == nullptr) return;
  while (const dirent* entry = ::readdir(listing)) {
    const std::string name = entry->d_name;
    if (!name.starts_with(prefix)) continue;
    // What follows must be PID.RANDOM.part, or it is the temporary of "NAME.something".
    int process = 0;
    unsigned random = 0;
    int parsed = 0;
    if (std::sscanf(name.c_str() + prefix.size(), "%d.%8x.part%n", &process, &random, &parsed) != 2) continue;
    if (parsed == 0 || prefix.size() + static_cast<size_t>(parsed) != name.size()) continue;
    remove_if_abandoned(directory + "/" + name);
  }
  ::closedir(listing);
}

void check_free_space(const std::string& path, const std::string& directory, uint64_t expected_bytes) {
  struct statvfs info {};
  if (::statvfs(directory.c_str(), &info) != 0) return;  // open() will tell what is wrong with the directory
  const uint64_t free_bytes = uint64_t{info.f_bavail} * info.f_frsize;
  if (expected_bytes <= free_bytes) return;
  constexpr double kMiB = 1024.0 * 1024.0;
  fail(ErrorKind::kIo, "{}: needs {:.1f} MiB, {:.1f} MiB free in {}", path,
       static_cast<double>(expected_bytes) / kMiB, static_cast<double>(free_bytes) / kMiB, directory);
}

}  // namespace

AtomicFile::AtomicFile(std::string path, uint64_t expected_bytes) : path_(std::move(path)) {
  target_ = follow_symbolic_links(path_);
  struct stat info {};
  const bool exists = ::stat(target_.c_str(), &info) == 0;
  if (path_.empty() || target_.ends_with('/') || (exists && S_ISDIR(info.st_mode))) {
    fail(ErrorKind::kIo, "{}: is a directory, expected the name of a file", path_);
  }
  if (exists && !S_ISREG(info.st_mode)) {
    fail(ErrorKind::kIo, "{}: not a regular file, cannot be replaced", path_);
  }
  if (exists && ::faccessat(AT_FDCWD, target_.c_str(), W_OK, AT_EACCESS) != 0) {
    fail(ErrorKind::kIo, "{}: cannot write: {}", path_, system_message(errno));
  }
  remove_abandoned(target_);
  check_free_space(path_, directory_of(target_), expected_bytes);
  open_temporary();
  // Set-uid bits are not for data files.
  if (exists) ::fchmod(descriptor_, info.st_mode & 0777);
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  if (signal_slot_ >= 0) names_to_remove[static_cast<size_t>(signal_slot_)] = nullptr;
  if (descriptor_ >= 0) ::close(descriptor_);
}

void AtomicFile::open_temporary() {
#ifdef O_TMPFILE
  descriptor_ = ::open(directory_of(target_).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (descriptor_ >= 0) {
    // Without /proc such a file can never get a name.
    if (::access(fmt::format("/proc/self/fd/{}", descriptor_).c_str(), F_OK) == 0) return;
    ::close(std::exchange(descriptor_, -1));
  }
#endif
  open_named_temporary();
}

void AtomicFile::open_named_temporary() {
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::string name = new_temporary_name(target_);
    const int descriptor = ::open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (descriptor < 0 && errno == EEXIST) continue;
    if (descriptor < 0) fail(ErrorKind::kIo, "{}: cannot write: {}", path_, system_message(errno));
    ::flock(descriptor, LOCK_EX);
    // Another process may have taken it for abandoned before it was locked.
    struct stat mine {};
    struct stat named {};
    if (::fstat(descriptor, &mine) != 0 || ::stat(name.c_str(), &named) != 0 || mine.st_ino != named.st_ino) {
      ::close(descriptor);
      continue;
    }
    descriptor_ = descriptor;
    temporary_ = name;
    signal_slot_ = register_for_signals(temporary_.c_str());
    return;
  }
  fail(ErrorKind::kIo, "{}: cannot create a temporary file beside it", path_);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write_at(position_, bytes);
  position_ += bytes.size();
}

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t wrote =
        ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      fail(ErrorKind::kIo, "{}: cannot write at byte {}: {}", path_, offset + done, system_message(errno));
    }
    done += static_cast<size_t>(wrote);
  }
}

// Gives a nameless temporary the target's name when that is free, else a temporary name.
void AtomicFile::give_name() {
  const std::string source = fmt::format("/proc/self/fd/{}", descriptor_);
  if (::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, target_.c_str(), AT_SYMLINK_FOLLOW) == 0) return;
  ::flock(descriptor_, LOCK_EX);
  std::string name;
  do {
    name = new_temporary_name(target_);
    if (::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      temporary_ = name;
      signal_slot_ = register_for_signals(temporary_.c_str());
      return;
    }
  } while (errno == EEXIST);
  fail(ErrorKind::kIo, "{}: cannot name the finished file: {}", path_, system_message(errno));
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) {
    fail(ErrorKind::kIo, "{}: cannot write to the disk: {}", path_, system_message(errno));
  }
  if (temporary_.empty()) give_name();
  if (!temporary_.empty()) {
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
      fail(ErrorKind::kIo, "{}: cannot replace: {}", path_, system_message(errno));
    }
    if (signal_slot_ >= 0) names_to_remove[static_cast<size_t>(std::exchange(signal_slot_, -1))] = nullptr;
    temporary_.clear();
  }
  sync_directory(directory_of(target_));
  ::close(std::exchange(descriptor_, -1));
}

void write_text_file(const std::string& path, std::string_view text) {
  AtomicFile file(path, text.size());
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

void make_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail(ErrorKind::kIo, "{}: cannot create the directory: {}", path, error.message());
}

void rename_synced(const std::string& from, const std::string& to) {
  const InputFile file(from);
  if (::fsync(file.descriptor()) != 0)
    fail(ErrorKind::kIo, "{}: cannot write to the disk: {}", from, system_message(errno));
  if (::rename(from.c_str(), to.c_str()) != 0)
    fail(ErrorKind::kIo, "{}: cannot replace: {}", to, system_message(errno));
  sync_directory(directory_of(to));
}

}  // namespace stonechat
