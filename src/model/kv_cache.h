// The keys and values of one sequence in the layout that the attention kernels read: as floats, or as codes
// of 8 or 16 bits with one scale a head and position (docs/kv-cache.md).
//
// Owns its memory, which the system hands out as it is first written. Not thread safe, but store() for
// different positions may run at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/kernel_table.h"
#include "model/config.h"
#include "model/weights.h"

namespace stonechat {

// What is cached unless somebody says otherwise. Codes of 16 bits round less than binary16; on x86 their
// products are twice as fast as those of floats, on Arm they aren't (docs/decisions/0006-word-codes.md).
#if defined(__x86_64__)
inline constexpr CacheFormat kDefaultCache = kCacheQ16;
#else
inline constexpr CacheFormat kDefaultCache = kCacheF16;
#endif

// How keys and values are held; they may differ. Keys of Weights::wide_key_heads are never codes of 8 bits,
// but binary16.
struct CacheFormats {
  CacheFormat keys = kDefaultCache;
  CacheFormat values = kDefaultCache;

  bool operator==(const CacheFormats&) const = default;
};

// The names of all, as a text says them.
inline constexpr std::string_view kCacheFormatList = "f32, f16, q16 or q8_0";

std::string_view name(CacheFormat format);
std::optional<CacheFormat> cache_format_from_name(std::string_view name);

class KvCache {
 public:
  // Room for `capacity` tokens of this model, at least 1. Error{kLimit} when the system has no memory for it.
  KvCache(const Weights& weights, uint32_t capacity, CacheFormats formats = {});

  uint32_t capacity() const { return capacity_; }
  uint32_t length() const { return length_; }  // tokens stored
  CacheFormats formats() const { return formats_; }
  size_t bytes() const;

  // Forgets all tokens from position `length` on; appends positions that store() has filled.
  void truncate(uint32_t length);
  void extend(uint32_t tokens);

  // Becomes the first `length` tokens of `other`, a cache of the same weights and formats. Both hold the same
  // tokens at positions before `same`, which aren't copied again; same <= length <= other.length(), and
  // `length` fits into the capacity.
  void copy_prefix(const KvCache& other, uint32_t same, uint32_t length);

  // Stores one token's keys and values of a layer, kv_heads x head_dim each. Keys of 16 bits are
  // VectorKernels::to_norm_codes; of other codes, with a = max |x| of a head and L = 127, for values of 16
  // bits kWordCodes: scale = a / L and code = to-nearest-even(x * (L / a)); a <= 1e-30 gives 0.
  void store(const VectorKernels& kernels, uint32_t layer, uint32_t position, const float* keys,
             const float* values);

  // As AttentionJob wants them.
  CachedHead keys(uint32_t layer, uint32_t kv_head) const;
  CachedHead values(uint32_t layer, uint32_t kv_head) const;

  // Bytes that a token adds to a cache; of its heads, `wide_heads` are of those in Weights::wide_key_heads.
  static uint64_t token_bytes(const ModelConfig& config, uint32_t wide_heads, CacheFormats formats);

 private:
  // Keys, or values, of all layers and heads.
  struct Store {
    // One layer's head: where its part of both buffers begins.
    struct Head {
      CacheFormat format;
      size_t data;
      size_t scales;
    };
    std::vector<Head> heads;  // (layers, kv_heads)
    AlignedBuffer data;       // of each head padded_capacity * head_dim
    AlignedBuffer scales;     // of each head padded_capacity, where it has codes
  };

  void copy_tiles(Store& to, const Store& from, uint32_t first, uint32_t end) const;
  Store make_store(CacheFormat format, const std::vector<bool>& wide_heads) const;
  size_t head_index(uint32_t layer, uint32_t kv_head) const { return size_t{layer} * kv_heads_ + kv_head; }
  static CachedHead head_of(const Store& store, size_t head);

  CacheFormats formats_;
  uint32_t kv_heads_;
  uint32_t head_dim_;
  uint32_t capacity_;
  uint32_t padded_capacity_;  // a multiple of kKeyStep
  uint32_t length_ = 0;
  Store keys_;
  Store values_;
};

}  // namespace stonechat
