#include "base/memory_parts.h"

#include <map>
#include <mutex>
#include <numeric>

namespace stonechat {
namespace {

struct Registry {
  struct Charge {
    size_t bytes;
    MemoryPart part;
  };
  std::mutex mutex;
  std::map<uintptr_t, Charge> charges;  // by first address
};

// Never destroyed, as buffers with static storage may go later.
Registry& registry() {
  static auto* const instance = new Registry;
  return *instance;
}

}  // namespace

std::string_view name(MemoryPart part) {
  constexpr std::array<std::string_view, kMemoryParts> kNames = {
      "weights", "kv_cache", "activations", "logits", "tokenizer", "packing", "other"};
  return kNames[static_cast<size_t>(part)];
}

uint64_t MemoryByPart::total() const {
  return std::accumulate(bytes_.begin(), bytes_.end(), uint64_t{0});
}

std::array<MemoryPart, kMemoryParts> memory_parts() {
  std::array<MemoryPart, kMemoryParts> parts;
  for (size_t i = 0; i < kMemoryParts; ++i) parts[i] = static_cast<MemoryPart>(i);
  return parts;
}

void charge(const void* data, size_t bytes, MemoryPart part) {
  if (bytes == 0) return;
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.charges[reinterpret_cast<uintptr_t>(data)] = {bytes, part};
}

void discharge(const void* data) noexcept {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.charges.erase(reinterpret_cast<uintptr_t>(data));
}

std::vector<MemoryRange> charged_ranges() {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  std::vector<MemoryRange> ranges;
  for (const auto& [begin, charge] : all.charges)
    ranges.push_back({begin, begin + charge.bytes, charge.part});
  return ranges;
}

void* allocate_part(size_t bytes, MemoryPart part) {
  void* data = ::operator new(bytes);
  if (bytes >= kLargePiece) charge(data, bytes, part);
  return data;
}

void free_part(void* data, size_t bytes) noexcept {
  if (bytes >= kLargePiece) discharge(data);
  ::operator delete(data);
}

}  // namespace stonechat
