#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/page.h"

namespace stonechat {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

AlignedBuffer::AlignedBuffer(size_t bytes, MemoryPart part, Pages pages) : bytes_(bytes), part_(part) {
  if (bytes == 0) return;
  const bool huge = pages == Pages::kHuge && bytes >= kHugePage;
  const size_t wanted = round_up(bytes, page_bytes());
  // mmap aligns to a page only: ask for one huge page more and give back what lies outside of the aligned
  // part.
  const size_t slack = huge ? kHugePage : 0;
  void* mapped = bytes > SIZE_MAX / 2 ? MAP_FAILED
                                      : ::mmap(nullptr, wanted + slack, PROT_READ | PROT_WRITE,
                                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) fail(ErrorKind::kLimit, "cannot get {} bytes of memory", bytes);
  auto* start = static_cast<std::byte*>(mapped);
  if (huge) {
    const auto address = reinterpret_cast<uintptr_t>(start);
    const size_t before = round_up(address, kHugePage) - address;
    if (before > 0) ::munmap(start, before);
    if (slack > before) ::munmap(start + before + wanted, slack - before);
    start += before;
#ifdef MADV_HUGEPAGE
    ::madvise(start, wanted, MADV_HUGEPAGE);
#endif
  }
  data_ = start;
  mapped_bytes_ = wanted;
  charge(data_, mapped_bytes_, part_);
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ == nullptr) return;
  discharge(data_);
  ::munmap(data_, mapped_bytes_);
}

}  // namespace stonechat
