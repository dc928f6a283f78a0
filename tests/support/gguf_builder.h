// Builds GGUF files byte by byte, well-formed or not, for the reader's tests. Shares no code with src/gguf.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>

namespace stonechat {

class GgufBuilder {
 public:
  template <typename T>
  GgufBuilder& put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  GgufBuilder& raw(std::string_view bytes) {
    bytes_.append(bytes);
    return *this;
  }
  GgufBuilder& text(std::string_view text) { return put<uint64_t>(text.size()).raw(text); }
  GgufBuilder& zeros(size_t count) {
    bytes_.append(count, '\0');
    return *this;
  }
  GgufBuilder& pad(size_t alignment) { return zeros((alignment - bytes_.size() % alignment) % alignment); }

  // Magic, version and the two counts.
  GgufBuilder& header(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
    return raw("GGUF").put(version).put(tensors).put(entries);
  }
  GgufBuilder& key(std::string_view name, uint32_t type) { return text(name).put(type); }
  GgufBuilder& entry_u32(std::string_view name, uint32_t value) { return key(name, 4).put(value); }
  // A tensor's line of the table; `shape` of two dimensions.
  GgufBuilder& tensor(std::string_view name, uint64_t cols, uint64_t rows, uint32_t type, uint64_t offset) {
    return text(name).put<uint32_t>(2).put(cols).put(rows).put(type).put(offset);
  }

  const std::string& bytes() const { return bytes_; }
  void write(const std::string& path) const { std::ofstream(path, std::ios::binary) << bytes_; }

 private:
  std::string bytes_;
};

}  // namespace stonechat
