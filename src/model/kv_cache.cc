#include "model/kv_cache.h"

#include <cassert>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "base/checked.h"

namespace stonechat {
namespace {

// Of one head's position.
size_t head_bytes(CacheFormat format, uint32_t head_dim) {
  return size_t{head_dim} * number_bytes(format) + (has_codes(format) ? sizeof(float) : 0);
}

// Codes up to `most`; returns their scale.
template <typename Code>
float quantize(const float* x, uint32_t count, float most, Code* codes) {
  float largest = 0;
  for (uint32_t i = 0; i < count; ++i) largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
  const bool is_zero = largest <= 1e-30F;
  const float inverse = is_zero ? 0.0F : most / largest;
  for (uint32_t i = 0; i < count; ++i)
    codes[i] = static_cast<Code>(static_cast<int32_t>((x[i] * inverse + kRounder) - kRounder));
  return is_zero ? 0.0F : largest / most;
}

// Where element d of a position's row goes: `first` + d / `group` * `step` + d % `group`.
template <typename T>
struct Row {
  size_t first;
  size_t group;
  size_t step;

  void put(const T* from, uint32_t count, void* data) const {
    T* to = static_cast<T*>(data) + first;
    for (uint32_t d = 0; d < count; d += static_cast<uint32_t>(group), to += step)
      std::memcpy(to, from + d, group * sizeof(T));
  }
};

// Codes that lie side by side, of one position's key, or of one dimension of values; 1 for floats.
template <typename T>
constexpr uint32_t kRun = sizeof(T) == 1               ? 4
                          : std::is_same_v<T, int16_t> ? 2
                                                       : 1;

template <typename T>
Row<T> key_row(uint32_t position, uint32_t head_dim) {
  const size_t tile = size_t{position / kKeyTile} * kKeyTile * head_dim;
  return {tile + position % kKeyTile * kRun<T>, kRun<T>, kRun<T> * kKeyTile};
}

template <typename T>
Row<T> value_row(uint32_t position, uint32_t head_dim) {
  if constexpr (kRun<T> == 1) return {size_t{position} * head_dim, head_dim, head_dim};
  return {size_t{position / kRun<T> * kRun<T>} * head_dim + position % kRun<T>, 1, kRun<T>};
}

}  // namespace

std::string_view name(CacheFormat format) {
  constexpr std::string_view kNames[] = {"f32", "f16", "q16", "q8_0"};
  return kNames[format];
}

std::optional<CacheFormat> cache_format_from_name(std::string_view text) {
  for (const CacheFormat format : {kCacheF32, kCacheF16, kCacheQ16, kCacheQ8}) {
    if (name(format) == text) return format;
  }
  return std::nullopt;
}

uint64_t KvCache::token_bytes(const ModelConfig& config, uint32_t wide_heads, CacheFormats formats) {
  const uint32_t heads = config.layers * config.kv_heads;
  const CacheFormat wide = formats.keys == kCacheQ8 ? kCacheF16 : formats.keys;
  return heads * head_bytes(formats.values, config.head_dim) +
         (heads - wide_heads) * head_bytes(formats.keys, config.head_dim) +
         wide_heads * head_bytes(wide, config.head_dim);
}

KvCache::Store KvCache::make_store(CacheFormat format, const std::vector<bool>& wide_heads) const {
  Store store;
  size_t data = 0;
  size_t scales = 0;
  for (const bool is_wide : wide_heads) {
    const CacheFormat of_head = is_wide && format == kCacheQ8 ? kCacheF16 : format;
    store.heads.push_back({of_head, data, scales});
    data += size_t{padded_capacity_} * head_dim_ * number_bytes(of_head);
    if (has_codes(of_head)) scales += padded_capacity_;
  }
  store.data = AlignedBuffer(data, MemoryPart::kKvCache, AlignedBuffer::Pages::kSmall);
  store.scales = AlignedBuffer(scales * sizeof(float), MemoryPart::kKvCache, AlignedBuffer::Pages::kSmall);
  return store;
}

KvCache::KvCache(const Weights& weights, uint32_t capacity, CacheFormats formats)
    : formats_(formats),
      kv_heads_(weights.config.kv_heads),
      head_dim_(weights.config.head_dim),
      capacity_(capacity),
      padded_capacity_(static_cast<uint32_t>(round_up(capacity, kKeyStep))),
      keys_(make_store(formats.keys, weights.wide_key_heads)),
      values_(make_store(formats.values, std::vector<bool>(weights.wide_key_heads.size()))) {
  assert(head_dim_ <= kMostHeadDim);
}

size_t KvCache::bytes() const {
  return keys_.data.bytes() + keys_.scales.bytes() + values_.data.bytes() + values_.scales.bytes();
}

void KvCache::truncate(uint32_t length) {
  assert(length <= length_);
  length_ = length;
}

void KvCache::extend(uint32_t tokens) {
  assert(length_ + tokens <= capacity_);
  length_ += tokens;
}

// Of keys and values alike, a tile's positions lie side by side within each head.
void KvCache::copy_tiles(Store& to, const Store& from, uint32_t first, uint32_t end) const {
  for (size_t head = 0; head < to.heads.size(); ++head) {
    const CacheFormat format = to.heads[head].format;
    const size_t position_bytes = size_t{head_dim_} * number_bytes(format);
    std::memcpy(to.data.data() + to.heads[head].data + first * position_bytes,
                from.data.data() + from.heads[head].data + first * position_bytes,
                (end - first) * position_bytes);
    if (!has_codes(format)) continue;
    std::memcpy(to.scales.as<float>() + to.heads[head].scales + first,
                from.scales.as<float>() + from.heads[head].scales + first, (end - first) * sizeof(float));
  }
}

void KvCache::copy_prefix(const KvCache& other, uint32_t same, uint32_t length) {
  assert(formats_ == other.formats_ && keys_.heads.size() == other.keys_.heads.size());
  assert(same <= length && length <= other.length_ && length <= capacity_);
  const uint32_t first = same / kKeyTile * kKeyTile;
  const auto end = static_cast<uint32_t>(round_up(length, kKeyTile));
  if (same < length) {
    copy_tiles(keys_, other.keys_, first, end);
    copy_tiles(values_, other.values_, first, end);
  }
  length_ = length;
}

CachedHead KvCache::head_of(const Store& store, size_t head) {
  const Store::Head& of_head = store.heads[head];
  return {of_head.format, store.data.data() + of_head.data,
          has_codes(of_head.format) ? store.scales.as<float>() + of_head.scales : nullptr};
}

CachedHead KvCache::keys(uint32_t layer, uint32_t kv_head) const {
  return head_of(keys_, head_index(layer, kv_head));
}

CachedHead KvCache::values(uint32_t layer, uint32_t kv_head) const {
  return head_of(values_, head_index(layer, kv_head));
}

void KvCache::store(const VectorKernels& kernels, uint32_t layer, uint32_t position, const float* keys,
                    const float* values) {
  assert(position < capacity_);
  const auto put = [&](Store& store, size_t head, const float* x, auto row_of, auto to_words) {
    const Store::Head& of_head = store.heads[head];
    std::byte* data = store.data.data() + of_head.data;
    if (of_head.format == kCacheF32) {
      row_of(float{}).put(x, head_dim_, data);
    } else if (of_head.format == kCacheF16) {
      uint16_t halves[kMostHeadDim];
      kernels.to_half(x, head_dim_, halves);
      row_of(uint16_t{}).put(halves, head_dim_, data);
    } else if (of_head.format == kCacheQ16) {
      int16_t codes[kMostHeadDim];
      store.scales.as<float>()[of_head.scales + position] = to_words(x, codes);
      row_of(int16_t{}).put(codes, head_dim_, data);
    } else {
      int8_t codes[kMostHeadDim];
      store.scales.as<float>()[of_head.scales + position] = quantize(x, head_dim_, 127.0F, codes);
      row_of(int8_t{}).put(codes, head_dim_, data);
    }
  };
  for (uint32_t head = 0; head < kv_heads_; ++head) {
    const size_t index = head_index(layer, head);
    put(
        keys_, index, keys + head * head_dim_, [&]<typename T>(T) { return key_row<T>(position, head_dim_); },
        [&](const float* x, int16_t* codes) { return kernels.to_norm_codes(x, head_dim_, codes); });
    put(
        values_, index, values + head * head_dim_,
        [&]<typename T>(T) { return value_row<T>(position, head_dim_); },
        [&](const float* x, int16_t* codes) { return quantize(x, head_dim_, kWordCodes, codes); });
  }
}

}  // namespace stonechat
