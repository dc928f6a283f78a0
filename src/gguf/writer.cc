#include "gguf/writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "gguf/header_numbers.h"

namespace stonechat::gguf {
namespace {

constexpr uint32_t kVersion = 3;
// Pieces this large, at multiples of their size: Linux then caches the file in huge pages where the
// filesystem has them, and mapping a packed file takes a fifth of the time.
constexpr size_t kWriteBytes = 4 << 20;

// The header's bytes, in memory: vocabularies make it some megabytes.
class HeaderBuilder {
 public:
  template <typename T>
  void put(T value) {
    static_assert(std::endian::native == std::endian::little);
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof value);
  }
  void put_string(std::string_view text) {
    put(uint64_t{text.size()});
    put_bytes(std::as_bytes(std::span(text)));
  }
  void put_bytes(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void put_integer(ValueType type, int64_t value) {
    switch (type) {
      case ValueType::kUint8:
      case ValueType::kInt8:
      case ValueType::kBool:
        return put(static_cast<uint8_t>(value));
      case ValueType::kUint16:
      case ValueType::kInt16:
        return put(static_cast<uint16_t>(value));
      case ValueType::kUint32:
      case ValueType::kInt32:
        return put(static_cast<uint32_t>(value));
      default:
        return put(value);
    }
  }
  void put_float(ValueType type, double value) {
    if (type == ValueType::kFloat32) return put(static_cast<float>(value));
    put(value);
  }
  std::vector<std::byte> take() { return std::move(bytes_); }
  uint64_t size() const { return bytes_.size(); }

 private:
  std::vector<std::byte> bytes_;
};

void put_array(HeaderBuilder& header, const Value& value) {
  header.put(static_cast<uint32_t>(value.element_type));
  std::visit(
      [&](const auto& elements) {
        header.put(uint64_t{elements.size()});
        if constexpr (std::is_same_v<std::decay_t<decltype(elements)>, StringArray>) {
          header.put_bytes(elements.block());
          return;
        } else {
          for (const auto& element : elements) {
            if constexpr (std::is_same_v<std::decay_t<decltype(element)>, double>) {
              header.put_float(value.element_type, element);
            } else {
              header.put_integer(value.element_type, element);
            }
          }
        }
      },
      std::get<Array>(value.data));
}

void put_value(HeaderBuilder& header, const Value& value) {
  header.put(static_cast<uint32_t>(value.type));
  if (value.type == ValueType::kArray) {
    put_array(header, value);
  } else if (value.type == ValueType::kString) {
    header.put_string(std::get<std::string>(value.data));
  } else if (value.type == ValueType::kFloat32 || value.type == ValueType::kFloat64) {
    header.put_float(value.type, std::get<double>(value.data));
  } else {
    header.put_integer(value.type, std::get<int64_t>(value.data));
  }
}

uint32_t alignment_of(const Metadata& metadata) {
  return static_cast<uint32_t>(metadata.find_uint("general.alignment").value_or(kDefaultAlignment));
}

// Everything before the first tensor's data, padding included.
std::vector<std::byte> build_header(const Metadata& metadata, std::span<const TensorSpec> tensors) {
  const uint32_t alignment = alignment_of(metadata);
  HeaderBuilder header;
  header.put(kMagic);
  header.put(kVersion);
  header.put(uint64_t{tensors.size()});
  header.put(uint64_t{metadata.entries().size()});
  for (const auto& entry : metadata.entries()) {
    header.put_string(entry.key);
    put_value(header, entry.value);
  }
  uint64_t offset = 0;
  for (const auto& tensor : tensors) {
    header.put_string(tensor.name);
    header.put(static_cast<uint32_t>(tensor.shape.size()));
    for (const uint64_t size : tensor.shape) header.put(size);
    header.put(static_cast<uint32_t>(tensor.type));
    header.put(offset);
    offset += round_up(tensor.bytes(), alignment);
  }
  while (header.size() % alignment != 0) header.put(uint8_t{0});
  return header.take();
}

uint64_t data_bytes(std::span<const TensorSpec> tensors, uint32_t alignment) {
  uint64_t total = 0;
  for (const auto& tensor : tensors) total += round_up(tensor.bytes(), alignment);
  return total;
}

}  // namespace

uint64_t TensorSpec::bytes() const {
  uint64_t rows = 1;
  for (size_t d = 1; d < shape.size(); ++d) rows *= shape[d];
  return rows * row_bytes(type, shape[0]);
}

uint64_t Writer::predicted_bytes(const Metadata& metadata, std::span<const TensorSpec> tensors) {
  return build_header(metadata, tensors).size() + data_bytes(tensors, alignment_of(metadata));
}

Writer::Writer(std::string path, const Metadata& metadata, std::vector<TensorSpec> tensors)
    : Writer(std::move(path), build_header(metadata, tensors), std::move(tensors), alignment_of(metadata)) {}

Writer::Writer(std::string path, const std::vector<std::byte>& header, std::vector<TensorSpec>&& tensors,
               uint32_t alignment)
    : tensors_(std::move(tensors)),
      alignment_(alignment),
      file_(std::move(path), header.size() + data_bytes(tensors_, alignment)) {
  put(header);
}

void Writer::put(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const size_t count = std::min(bytes.size(), kWriteBytes - buffer_.size());
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes = bytes.subspan(count);
    if (buffer_.size() < kWriteBytes) return;
    file_.write(buffer_);
    buffer_.clear();
  }
}

void Writer::write_tensor_data(std::span<const std::byte> bytes) {
  if (current_tensor_ == tensors_.size() ||
      bytes.size() > tensors_[current_tensor_].bytes() - written_of_current_) {
    fail(ErrorKind::kIo, "{}: more tensor data than announced", file_.path());
  }
  put(bytes);
  written_of_current_ += bytes.size();
  if (written_of_current_ == tensors_[current_tensor_].bytes()) {
    pad();
    ++current_tensor_;
    written_of_current_ = 0;
  }
}

void Writer::pad() {
  const uint64_t position = file_.position() + buffer_.size();
  put(std::vector<std::byte>(round_up(position, alignment_) - position));
}

void Writer::finish() {
  if (current_tensor_ != tensors_.size()) {
    fail(ErrorKind::kIo, "{}: tensor {}: less data than announced", file_.path(),
         tensors_[current_tensor_].name);
  }
  file_.write(buffer_);
  file_.commit();
}

}  // namespace stonechat::gguf
