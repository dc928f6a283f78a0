#include "model/pack_memory.h"

#include <algorithm>
#include <cassert>

namespace stonechat {

PackArena::Piece PackArena::take(size_t bytes) {
  assert(bytes % 64 == 0);
  if (buffer_ == nullptr || buffer_->bytes() - used_ < bytes) {
    buffer_ = std::make_shared<AlignedBuffer>(std::max(bytes, buffer_bytes_), MemoryPart::kWeights);
    used_ = 0;
  }
  std::byte* piece = buffer_->data() + used_;
  used_ += bytes;
  return {PackMemory(buffer_, piece, bytes), piece};
}

}  // namespace stonechat
