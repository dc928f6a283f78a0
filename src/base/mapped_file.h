// A whole file mapped into memory, read-only and shared with every process that maps it.
//
// The memory is the system's cache of the file: it is read when it is first touched, and can be given up and
// read again. Whoever shortens the file in place takes it away under us, and a disk that fails does too; both
// end in SIGBUS (apps/stonechat/bus_error.h). Owns the mapping, charged to a part of the program; immutable,
// so safe to share between threads. Errors: ErrorKind::kIo naming the path.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/input_file.h"
#include "base/memory_parts.h"

namespace stonechat {

class MappedFile {
 public:
  MappedFile(const InputFile& file, MemoryPart part);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::byte* data() const { return data_; }  // aligned to a page
  uint64_t bytes() const { return bytes_; }

  // Brings bytes [begin, end) into memory and into the page tables now rather than at first touch. A hint:
  // where the system can't, nothing happens. May be called by several threads for different parts.
  void populate(uint64_t begin, uint64_t end) const noexcept;

 private:
  const std::byte* data_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace stonechat
