#include "model/kv_cache.h"

#include <cassert>
#include <cstring>

#include "base/checked.h"
#include "kernels/kernel_table.h"

namespace stonechat {

uint64_t KvCache::bytes_for(const ModelConfig& config, uint32_t capacity) {
  return 2 * round_up(capacity, kKeyTile) * config.layers * config.kv_width() * sizeof(uint16_t);
}

KvCache::KvCache(const ModelConfig& config, uint32_t capacity)
    : kv_heads_(config.kv_heads),
      head_dim_(config.head_dim),
      capacity_(capacity),
      padded_capacity_(static_cast<uint32_t>(round_up(capacity, kKeyTile))),
      keys_(bytes_for(config, capacity) / 2, AlignedBuffer::Pages::kSmall),
      values_(bytes_for(config, capacity) / 2, AlignedBuffer::Pages::kSmall) {}

void KvCache::truncate(uint32_t length) {
  assert(length <= length_);
  length_ = length;
}

void KvCache::extend(uint32_t tokens) {
  assert(length_ + tokens <= capacity_);
  length_ += tokens;
}

size_t KvCache::head_offset(uint32_t layer, uint32_t kv_head) const {
  return (size_t{layer} * kv_heads_ + kv_head) * padded_capacity_ * head_dim_;
}

void KvCache::store(uint32_t layer, uint32_t position, const uint16_t* keys, const uint16_t* values) {
  assert(position < capacity_);
  for (uint32_t head = 0; head < kv_heads_; ++head) {
    const size_t offset = head_offset(layer, head);
    uint16_t* tile = keys_.as<uint16_t>() + offset + size_t{position / kKeyTile} * kKeyTile * head_dim_;
    for (uint32_t d = 0; d < head_dim_; ++d)
      tile[d * kKeyTile + position % kKeyTile] = keys[head * head_dim_ + d];
    std::memcpy(values_.as<uint16_t>() + offset + size_t{position} * head_dim_, values + head * head_dim_,
                head_dim_ * sizeof(uint16_t));
  }
}

const uint16_t* KvCache::keys(uint32_t layer, uint32_t kv_head) const {
  return keys_.as<uint16_t>() + head_offset(layer, kv_head);
}

const uint16_t* KvCache::values(uint32_t layer, uint32_t kv_head) const {
  return values_.as<uint16_t>() + head_offset(layer, kv_head);
}

}  // namespace stonechat
