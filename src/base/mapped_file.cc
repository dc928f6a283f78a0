#include "base/mapped_file.h"

#include <sys/mman.h>

#include <cerrno>

#include "base/error.h"
#include "base/page.h"

namespace stonechat {

MappedFile::MappedFile(const InputFile& file, MemoryPart part) : bytes_(file.bytes()) {
  void* mapped =
      bytes_ == 0 ? MAP_FAILED : ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file.descriptor(), 0);
  if (mapped == MAP_FAILED) {
    fail(ErrorKind::kIo, "{}: cannot map {} bytes: {}", file.path(), bytes_,
         bytes_ == 0 ? "the file is empty" : system_message(errno));
  }
  data_ = static_cast<const std::byte*>(mapped);
  charge(data_, bytes_, part);
#ifdef MADV_HUGEPAGE
  // A file that isn't cached yet is then read into huge pages, where the filesystem has them.
  ::madvise(mapped, bytes_, MADV_HUGEPAGE);
#endif
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  discharge(data_);
  ::munmap(const_cast<std::byte*>(data_), bytes_);
}

void MappedFile::populate(uint64_t begin, uint64_t end) const noexcept {
#ifdef MADV_POPULATE_READ
  begin -= begin % page_bytes();
  if (begin < end) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_POPULATE_READ);
#else
  (void)begin;
  (void)end;
#endif
}

}  // namespace stonechat
