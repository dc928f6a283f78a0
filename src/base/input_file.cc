#include "base/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/error.h"

namespace stonechat {

InputFile::InputFile(std::string path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail(ErrorKind::kIo, "{}: cannot open: {}", path_, system_message(errno));
  struct stat info {};
  const int stat_result = ::fstat(descriptor_, &info);
  if (stat_result != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor_);
    fail(ErrorKind::kIo, "{}: not a regular file", path_);
  }
  bytes_ = static_cast<uint64_t>(info.st_size);
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void InputFile::read(uint64_t offset, std::span<std::byte> destination) const {
  size_t done = 0;
  while (done < destination.size()) {
    const ssize_t got = ::pread(descriptor_, destination.data() + done, destination.size() - done,
                                static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(ErrorKind::kIo, "{}: cannot read: {}", path_, system_message(errno));
    if (got == 0) {
      fail(ErrorKind::kIo, "{}: the file ends at byte {}, expected {} bytes from offset {}", path_,
           offset + done, destination.size(), offset);
    }
    done += static_cast<size_t>(got);
  }
}

std::string InputFile::read_all() const {
  std::string content(bytes_, '\0');
  read(0, std::as_writable_bytes(std::span(content)));
  return content;
}

void InputFile::read_pieces(FunctionRef<void(std::span<const std::byte>)> use) const {
  constexpr uint64_t kPieceBytes = 1 << 20;
  std::vector<std::byte> piece(std::min(kPieceBytes, bytes_));
  for (uint64_t offset = 0; offset < bytes_; offset += kPieceBytes) {
    const auto part = std::span(piece).first(std::min(kPieceBytes, bytes_ - offset));
    read(offset, part);
    use(part);
  }
}

bool InputFile::is_same_file_as(const std::string& path) const noexcept {
  struct stat mine {};
  struct stat theirs {};
  return ::fstat(descriptor_, &mine) == 0 && ::stat(path.c_str(), &theirs) == 0 &&
         mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino;
}

}  // namespace stonechat
