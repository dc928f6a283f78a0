// The keys and values of one sequence, in binary16, in the layout that the attention kernels read.
//
// Owns its memory, which the system hands out as it is first written. Not thread safe, but store() for
// different positions may run at once.
#pragma once

#include <cstdint>

#include "base/aligned_buffer.h"
#include "model/config.h"

namespace stonechat {

class KvCache {
 public:
  // Room for `capacity` tokens, at least 1. Error{kLimit} when the system has no memory for it.
  KvCache(const ModelConfig& config, uint32_t capacity);

  uint32_t capacity() const { return capacity_; }
  uint32_t length() const { return length_; }  // tokens stored
  size_t bytes() const { return keys_.bytes() + values_.bytes(); }

  // Forgets all tokens from position `length` on; appends positions that store() has filled.
  void truncate(uint32_t length);
  void extend(uint32_t tokens);

  // Stores one token's keys and values of a layer, kv_heads x head_dim binary16 each.
  void store(uint32_t layer, uint32_t position, const uint16_t* keys, const uint16_t* values);

  // As AttentionJob wants them.
  const uint16_t* keys(uint32_t layer, uint32_t kv_head) const;
  const uint16_t* values(uint32_t layer, uint32_t kv_head) const;

  // Bytes that a cache of this capacity takes.
  static uint64_t bytes_for(const ModelConfig& config, uint32_t capacity);

 private:
  size_t head_offset(uint32_t layer, uint32_t kv_head) const;

  uint32_t kv_heads_;
  uint32_t head_dim_;
  uint32_t capacity_;
  uint32_t padded_capacity_;  // a multiple of kKeyTile
  uint32_t length_ = 0;
  AlignedBuffer keys_;    // (layers, kv_heads, padded_capacity / 32, head_dim, 32)
  AlignedBuffer values_;  // (layers, kv_heads, padded_capacity, head_dim)
};

}  // namespace stonechat
