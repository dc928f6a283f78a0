#include "gguf/string_array.h"

#include "base/error.h"

namespace stonechat::gguf {

StringArray::StringArray(const std::vector<std::string>& texts) {
  uint64_t bytes = kLengthBytes;
  for (const auto& text : texts) bytes += kLengthBytes + text.size();
  if (bytes > UINT32_MAX) fail(ErrorKind::kLimit, "an array of texts of {} bytes is too large", bytes);
  PartBytes block = allocate_bytes(bytes, MemoryPart::kTokenizer);
  Starts starts;
  starts.reserve(texts.size() + 1);
  uint32_t position = 0;
  for (const auto& text : texts) {
    const uint64_t length = text.size();
    std::memcpy(block.get() + position, &length, sizeof length);
    position += kLengthBytes;
    starts.push_back(position);
    std::memcpy(block.get() + position, text.data(), text.size());
    position += static_cast<uint32_t>(text.size());
  }
  starts.push_back(position + kLengthBytes);
  block_ = std::move(block);
  starts_ = std::make_shared<const Starts>(std::move(starts));
}

}  // namespace stonechat::gguf
