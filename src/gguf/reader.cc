#include "gguf/reader.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <unordered_set>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "gguf/header_numbers.h"

namespace stonechat::gguf {
namespace {

constexpr uint32_t kMagicSwapped = 0x47475546;  // kMagic in a big-endian file
constexpr uint32_t kMostAlignment = 1 << 20;
constexpr uint64_t kMostNameBytes = 1 << 16;  // keys and tensor names
constexpr uint64_t kMostMetadata = 1 << 14;
// A sparse file is as large as it says and has nothing in it, so its size alone doesn't bound the memory that
// a header takes. The vocabularies of today's models are below 16 MiB.
constexpr uint64_t kMostHeaderBytes = 256 << 20;
// Numbers of arrays take 8 bytes in memory, in the file perhaps one. A vocabulary has a type and perhaps a
// score a token.
constexpr uint64_t kMostArrayNumbers = 8 << 20;
constexpr uint32_t kMostDimensions = 4;
constexpr uint64_t kBufferBytes = 1 << 18;

// Bytes that one element of each scalar type takes; 0 for strings and arrays.
uint64_t scalar_bytes(ValueType type) {
  switch (type) {
    case ValueType::kUint8:
    case ValueType::kInt8:
    case ValueType::kBool:
      return 1;
    case ValueType::kUint16:
    case ValueType::kInt16:
      return 2;
    case ValueType::kUint32:
    case ValueType::kInt32:
    case ValueType::kFloat32:
      return 4;
    case ValueType::kUint64:
    case ValueType::kInt64:
    case ValueType::kFloat64:
      return 8;
    case ValueType::kString:
    case ValueType::kArray:
      break;
  }
  return 0;
}

// Reads the header in order, through a small buffer. Every size is compared with what is left for the header
// before any memory is taken for it.
class HeaderCursor {
 public:
  explicit HeaderCursor(const InputFile& file)
      : file_(file), end_(std::min(file.bytes(), kMostHeaderBytes)) {}

  uint64_t position() const { return position_; }
  uint64_t left() const { return end_ - position_; }
  const std::string& path() const { return file_.path(); }

  // `field` names what is being read in the errors.
  template <typename T>
  T read(const std::string& field) {
    T value;
    read_bytes(&value, sizeof value, field);
    return value;
  }

  std::string read_string(const std::string& field, uint64_t most_bytes = UINT64_MAX) {
    const auto length = read<uint64_t>(field + " (length)");
    check_length(length, field);
    if (length > most_bytes) {
      fail(ErrorKind::kBadFile, "{}: {}: expected at most {} bytes, found {}", path(), field, most_bytes,
           length);
    }
    std::string text(length, '\0');
    read_bytes(text.data(), length, field);
    return text;
  }

  // Counts the numbers of all arrays.
  void expect_numbers(uint64_t count, const std::string& field) {
    if (count > kMostArrayNumbers - array_numbers_) {
      fail(ErrorKind::kBadFile,
           "{}: {}: expected at most {} numbers in all arrays, found {} and before them {}", path(), field,
           kMostArrayNumbers, count, array_numbers_);
    }
    array_numbers_ += count;
  }

  // `count` numbers one after another.
  template <typename T>
  std::vector<T> read_numbers(uint64_t count, const std::string& field) {
    std::vector<T> numbers(count);
    read_bytes(numbers.data(), count * sizeof(T), field);
    return numbers;
  }

  // `count` texts; no more than left() / 8.
  StringArray read_strings(uint64_t count, const std::string& field) {
    StringArray::Starts starts;
    starts.reserve(count + 1);
    TextBlock block(std::min(left(), count * kTypicalTextBytes));
    uint64_t at = 0;  // in the block: where the next text's length is
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t length = 0;
      if (at + sizeof length > block.filled) fill(block, at, sizeof length, field + " (length)");
      std::memcpy(&length, block.bytes.get() + at, sizeof length);
      at += sizeof length;
      if (length > left() - at) {
        position_ += at;
        check_length(length, field);
      }
      starts.push_back(static_cast<uint32_t>(at));
      if (at + length > block.filled) fill(block, at, length, field);
      at += length;
    }
    starts.push_back(static_cast<uint32_t>(at + StringArray::kLengthBytes));
    position_ += at;
    return {std::move(block.bytes), std::move(starts)};
  }

 private:
  static constexpr uint64_t kTypicalTextBytes = 20;  // with its length

  // The bytes from position_ on, as many as were needed so far and some more.
  struct TextBlock {
    explicit TextBlock(uint64_t size) : bytes(allocate_bytes(size, MemoryPart::kTokenizer)), capacity(size) {}
    PartBytes bytes;
    uint64_t capacity;
    uint64_t filled = 0;
  };

  // Reads on until the block has `bytes` bytes from `at` on.
  void fill(TextBlock& block, uint64_t at, uint64_t bytes, const std::string& field) {
    const uint64_t needed = at + bytes;
    if (needed > left()) fail_at_end(bytes, position_ + at, field);
    if (needed > block.capacity) {
      TextBlock larger(std::min(left(), std::max(needed, block.capacity + block.capacity / 2)));
      if (block.filled > 0) std::memcpy(larger.bytes.get(), block.bytes.get(), block.filled);
      larger.filled = block.filled;
      block = std::move(larger);
    }
    const uint64_t count =
        std::min(block.capacity - block.filled, std::max(needed - block.filled, kBufferBytes));
    file_.read(position_ + block.filled, std::span(block.bytes.get() + block.filled, count));
    block.filled += count;
  }

  void check_length(uint64_t length, const std::string& field) const {
    if (length > left()) {
      fail(ErrorKind::kBadFile,
           "{}: {}: expected at most the {} bytes left for the header, found a length of {}", path(), field,
           left(), length);
    }
  }

  [[noreturn]] void fail_at_end(uint64_t bytes, uint64_t position, const std::string& field) const {
    fail(ErrorKind::kBadFile, "{}: {}: expected {} bytes at offset {}, the {} ends at {}", path(), field,
         bytes, position, end_ == file_.bytes() ? "file" : "longest header", end_);
  }

  void read_bytes(void* destination, uint64_t bytes, const std::string& field) {
    if (bytes > left()) fail_at_end(bytes, position_, field);
    auto* out = static_cast<std::byte*>(destination);
    while (bytes > 0) {
      if (position_ < buffer_start_ || position_ >= buffer_start_ + buffer_.size()) {
        buffer_.resize(std::min(kBufferBytes, left()));
        buffer_start_ = position_;
        file_.read(position_, buffer_);
      }
      const uint64_t offset = position_ - buffer_start_;
      const uint64_t count = std::min<uint64_t>(bytes, buffer_.size() - offset);
      std::memcpy(out, buffer_.data() + offset, count);
      out += count;
      bytes -= count;
      position_ += count;
    }
  }

  const InputFile& file_;
  const uint64_t end_;
  uint64_t position_ = 0;
  uint64_t array_numbers_ = 0;
  uint64_t buffer_start_ = 0;
  std::vector<std::byte> buffer_;
};

ValueType read_value_type(HeaderCursor& cursor, const std::string& field) {
  const auto number = cursor.read<uint32_t>(field + " (type)");
  if (number > static_cast<uint32_t>(ValueType::kFloat64)) {
    fail(ErrorKind::kBadFile, "{}: {}: expected a value type of 0 to 12, found {}", cursor.path(), field,
         number);
  }
  return static_cast<ValueType>(number);
}

int64_t read_integer(HeaderCursor& cursor, ValueType type, const std::string& field) {
  switch (type) {
    case ValueType::kUint8:
      return cursor.read<uint8_t>(field);
    case ValueType::kInt8:
      return cursor.read<int8_t>(field);
    case ValueType::kUint16:
      return cursor.read<uint16_t>(field);
    case ValueType::kInt16:
      return cursor.read<int16_t>(field);
    case ValueType::kUint32:
      return cursor.read<uint32_t>(field);
    case ValueType::kInt32:
      return cursor.read<int32_t>(field);
    case ValueType::kBool: {
      const auto value = cursor.read<uint8_t>(field);
      if (value > 1)
        fail(ErrorKind::kBadFile, "{}: {}: expected bool 0 or 1, found {}", cursor.path(), field, value);
      return value;
    }
    default:
      return cursor.read<int64_t>(field);
  }
}

double read_float(HeaderCursor& cursor, ValueType type, const std::string& field) {
  return type == ValueType::kFloat32 ? double{cursor.read<float>(field)} : cursor.read<double>(field);
}

Value read_array(HeaderCursor& cursor, const std::string& field) {
  Value value;
  value.type = ValueType::kArray;
  value.element_type = read_value_type(cursor, field);
  if (value.element_type == ValueType::kArray) {
    fail(ErrorKind::kBadFile, "{}: {}: expected an array of scalars or strings, found an array of arrays",
         cursor.path(), field);
  }
  const auto count = cursor.read<uint64_t>(field + " (count)");
  const bool strings = value.element_type == ValueType::kString;
  const uint64_t least_bytes = strings ? sizeof(uint64_t) : scalar_bytes(value.element_type);
  if (count > cursor.left() / least_bytes) {
    fail(ErrorKind::kBadFile,
         "{}: {}: expected at most {} elements in the {} bytes left, found a count of {}", cursor.path(),
         field, cursor.left() / least_bytes, cursor.left(), count);
  }
  if (!strings) cursor.expect_numbers(count, field);
  if (strings) {
    value.data = Array(cursor.read_strings(count, field));
  } else if (value.element_type == ValueType::kFloat32 || value.element_type == ValueType::kFloat64) {
    std::vector<double> elements(count);
    for (auto& element : elements) element = read_float(cursor, value.element_type, field);
    value.data = Array(std::move(elements));
  } else if (value.element_type == ValueType::kInt32) {
    // The types of a vocabulary's tokens.
    const auto numbers = cursor.read_numbers<int32_t>(count, field);
    value.data = Array(std::vector<int64_t>(numbers.begin(), numbers.end()));
  } else {
    std::vector<int64_t> elements(count);
    for (auto& element : elements) element = read_integer(cursor, value.element_type, field);
    value.data = Array(std::move(elements));
  }
  return value;
}

Value read_value(HeaderCursor& cursor, const std::string& key) {
  const ValueType type = read_value_type(cursor, key);
  if (type == ValueType::kArray) return read_array(cursor, key);
  Value value;
  value.type = type;
  if (type == ValueType::kString) {
    value.data = cursor.read_string(key);
  } else if (type == ValueType::kFloat32 || type == ValueType::kFloat64) {
    value.data = read_float(cursor, type, key);
  } else {
    value.data = read_integer(cursor, type, key);
  }
  return value;
}

Metadata read_metadata(HeaderCursor& cursor, uint64_t count) {
  Metadata metadata(cursor.path());
  std::unordered_set<std::string> seen;
  for (uint64_t i = 0; i < count; ++i) {
    std::string key = cursor.read_string(fmt::format("metadata key {}", i), kMostNameBytes);
    if (key.empty())
      fail(ErrorKind::kBadFile, "{}: metadata key {}: expected a name, found none", cursor.path(), i);
    if (!seen.insert(key).second) {
      fail(ErrorKind::kBadFile, "{}: {}: expected each key once, found it again as number {}", cursor.path(),
           key, i);
    }
    Value value = read_value(cursor, key);
    metadata.append(std::move(key), std::move(value));
  }
  return metadata;
}

TensorType read_tensor_type(HeaderCursor& cursor, const std::string& field) {
  const auto number = cursor.read<uint32_t>(field + " (type)");
  const auto type = tensor_type_from_number(number);
  if (!type) {
    fail(ErrorKind::kBadFile, "{}: {}: expected one of the types {}, found type number {}", cursor.path(),
         field, tensor_type_names(), number);
  }
  return *type;
}

// The tensor's table entry; `offset` still counts from the start of the data.
TensorInfo read_tensor_info(HeaderCursor& cursor, uint64_t index) {
  TensorInfo tensor;
  tensor.name = cursor.read_string(fmt::format("tensor {} (name)", index), kMostNameBytes);
  if (tensor.name.empty()) {
    fail(ErrorKind::kBadFile, "{}: tensor {}: expected a name, found none", cursor.path(), index);
  }
  const std::string field = fmt::format("tensor {}", tensor.name);
  const auto dimensions = cursor.read<uint32_t>(field + " (number of dimensions)");
  if (dimensions < 1 || dimensions > kMostDimensions) {
    fail(ErrorKind::kBadFile, "{}: {}: expected 1 to {} dimensions, found {}", cursor.path(), field,
         kMostDimensions, dimensions);
  }
  uint64_t elements = 1;
  for (uint32_t d = 0; d < dimensions; ++d) {
    const auto size = cursor.read<uint64_t>(field + " (shape)");
    tensor.shape.push_back(size);
    if (size == 0 || !checked_multiply(elements, size, elements)) {
      fail(ErrorKind::kBadFile, "{}: {}: expected a shape of at least 1 and below 2^64 elements, found {}",
           cursor.path(), field, shape_text(tensor.shape));
    }
  }
  tensor.type = read_tensor_type(cursor, field);
  const TensorTypeInfo& type = info(tensor.type);
  if (tensor.cols() % type.block_elements != 0) {
    fail(ErrorKind::kBadFile, "{}: {}: expected columns in multiples of {} for {}, found {}", cursor.path(),
         field, type.block_elements, type.name, tensor.cols());
  }
  uint64_t row_bytes = 0;
  if (!checked_multiply(tensor.cols() / type.block_elements, type.block_bytes, row_bytes) ||
      !checked_add(row_bytes, type.row_header_bytes, row_bytes) ||
      !checked_multiply(tensor.rows(), row_bytes, tensor.bytes)) {
    fail(ErrorKind::kBadFile, "{}: {}: expected fewer than 2^64 bytes, found shape {}", cursor.path(), field,
         shape_text(tensor.shape));
  }
  tensor.offset = cursor.read<uint64_t>(field + " (offset)");
  return tensor;
}

uint32_t read_alignment(const Metadata& metadata) {
  const uint64_t alignment = metadata.find_uint("general.alignment").value_or(kDefaultAlignment);
  if (alignment > kMostAlignment || !std::has_single_bit(alignment)) {
    fail(ErrorKind::kBadFile, "{}: general.alignment: expected a power of two up to {}, found {}",
         metadata.file(), kMostAlignment, alignment);
  }
  return static_cast<uint32_t>(alignment);
}

// Makes the offsets count from the start of the file, having checked that the data lies there.
void place_tensors(const InputFile& file, uint64_t data_start, uint32_t alignment,
                   std::vector<TensorInfo>& tensors) {
  for (auto& tensor : tensors) {
    if (tensor.offset % alignment != 0) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected an offset in multiples of {}, found {}", file.path(),
           tensor.name, alignment, tensor.offset);
    }
    uint64_t end = 0;
    if (!checked_add(data_start, tensor.offset, tensor.offset) ||
        !checked_add(tensor.offset, tensor.bytes, end) || end > file.bytes()) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected {} bytes of data at offset {}, the file ends at {}",
           file.path(), tensor.name, tensor.bytes, tensor.offset, file.bytes());
    }
  }
  std::vector<const TensorInfo*> by_offset;
  for (const auto& tensor : tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(),
            [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const TensorInfo& before = *by_offset[i - 1];
    if (before.offset + before.bytes > by_offset[i]->offset) {
      fail(ErrorKind::kBadFile,
           "{}: tensor {}: expected its data after that of {}, which ends at {}, found offset {}",
           file.path(), by_offset[i]->name, before.name, before.offset + before.bytes, by_offset[i]->offset);
    }
  }
}

}  // namespace

Reader::Reader(const std::string& path) : file_(path), metadata_(path) {
  HeaderCursor cursor(file_);
  const auto magic = cursor.read<uint32_t>("magic");
  if (magic == kMagicSwapped) {
    fail(ErrorKind::kBadFile, "{}: magic: a big-endian GGUF file, expected little-endian", path);
  }
  if (magic != kMagic) fail(ErrorKind::kBadFile, "{}: magic: expected GGUF, found {:#010x}", path, magic);
  version_ = cursor.read<uint32_t>("version");
  if (version_ != 2 && version_ != 3) {
    const bool swapped = version_ != 0 && (version_ & 0xffffU) == 0;
    fail(ErrorKind::kBadFile, "{}: version: expected 2 or 3, found {}{}", path, version_,
         swapped ? " (a big-endian file?)" : "");
  }
  const auto tensor_count = cursor.read<uint64_t>("tensor count");
  const auto metadata_count = cursor.read<uint64_t>("metadata count");
  // The least that an entry takes: name length, dimensions, one size, type, offset; key length, type, one
  // byte.
  constexpr uint64_t kLeastTensorBytes = 32;
  constexpr uint64_t kLeastMetadataBytes = 13;
  if (tensor_count > cursor.left() / kLeastTensorBytes) {
    fail(ErrorKind::kBadFile, "{}: tensor count: expected at most {} in a file of {} bytes, found {}", path,
         cursor.left() / kLeastTensorBytes, file_.bytes(), tensor_count);
  }
  const uint64_t most_metadata = std::min(kMostMetadata, cursor.left() / kLeastMetadataBytes);
  if (metadata_count > most_metadata) {
    fail(ErrorKind::kBadFile, "{}: metadata count: expected at most {} in a file of {} bytes, found {}", path,
         most_metadata, file_.bytes(), metadata_count);
  }
  metadata_ = read_metadata(cursor, metadata_count);
  alignment_ = read_alignment(metadata_);
  for (uint64_t i = 0; i < tensor_count; ++i) {
    tensors_.push_back(read_tensor_info(cursor, i));
    if (!index_.emplace(tensors_.back().name, tensors_.size() - 1).second) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected each name once, found it again as number {}", path,
           tensors_.back().name, i);
    }
  }
  uint64_t data_start = 0;
  if (!checked_align(cursor.position(), alignment_, data_start)) data_start = UINT64_MAX;
  place_tensors(file_, data_start, alignment_, tensors_);
}

const TensorInfo* Reader::find_tensor(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

void Reader::read_rows(const TensorInfo& tensor, uint64_t first_row, uint64_t rows,
                       std::span<std::byte> destination) const {
  file_.read(tensor.offset + first_row * tensor.row_bytes(), destination.first(rows * tensor.row_bytes()));
}

}  // namespace stonechat::gguf
