#include "safetensors/reader.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "base/checked.h"
#include "base/error.h"
#include "base/strict_json.h"

namespace stonechat::safetensors {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr size_t kMostNameBytes = 1 << 12;
constexpr size_t kMostDimensions = 8;

struct Type {
  std::string_view name;
  uint64_t bytes;
};
constexpr std::array<Type, 17> kTypes = {{{"BOOL", 1},
                                          {"U8", 1},
                                          {"I8", 1},
                                          {"F8_E5M2", 1},
                                          {"F8_E4M3", 1},
                                          {"F8_E8M0", 1},
                                          {"I16", 2},
                                          {"U16", 2},
                                          {"F16", 2},
                                          {"BF16", 2},
                                          {"I32", 4},
                                          {"U32", 4},
                                          {"F32", 4},
                                          {"I64", 8},
                                          {"U64", 8},
                                          {"F64", 8},
                                          {"C64", 8}}};

const Type& type_of(const JsonFields& fields) {
  const std::string name = fields.get_string("dtype");
  const auto* found =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const Type& type) { return type.name == name; });
  if (found == kTypes.end()) fields.refuse("dtype", "a type of the format such as F32, F16 or BF16");
  return *found;
}

std::vector<uint64_t> shape_of(const JsonFields& fields) {
  std::vector<uint64_t> shape;
  const Json& sizes = fields.get_array("shape");
  if (sizes.size() > kMostDimensions)
    fields.refuse("shape", fmt::format("at most {} dimensions", kMostDimensions));
  for (const Json& size : sizes) {
    if (!size.is_number_unsigned()) fields.refuse("shape", "integers that aren't negative");
    shape.push_back(size.get<uint64_t>());
  }
  return shape;
}

// The tensor of one entry; `offset` still counts from the start of the data, which has `data_bytes`.
Tensor read_entry(const std::string& name, const Json& entry, const std::string& file, uint64_t data_bytes) {
  const std::string where = fmt::format("tensor {}", json_text(name));
  if (name.empty() || name.size() > kMostNameBytes) {
    fail(ErrorKind::kBadFile, "{}: {}: expected a name of 1 to {} bytes, found {}", file, where,
         kMostNameBytes, name.size());
  }
  if (!entry.is_object())
    fail(ErrorKind::kBadFile, "{}: {}: expected an object, found {}", file, where, json_text(entry));
  const JsonFields fields(entry, file, where);
  const Type& type = type_of(fields);
  Tensor tensor{name, type.name, shape_of(fields)};
  uint64_t bytes = type.bytes;
  for (const uint64_t size : tensor.shape) {
    if (!checked_multiply(bytes, size, bytes)) fields.refuse("shape", "fewer than 2^64 bytes");
  }
  const Json& offsets = fields.get_array("data_offsets");
  if (offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) {
    fields.refuse("data_offsets", "two integers that aren't negative");
  }
  const auto begin = offsets[0].get<uint64_t>();
  const auto end = offsets[1].get<uint64_t>();
  if (begin > end || end > data_bytes) {
    fail(ErrorKind::kBadFile,
         "{}: {}.data_offsets: expected a range within the {} bytes of data, found {} to {}", file, where,
         data_bytes, begin, end);
  }
  tensor.offset = begin;
  tensor.bytes = end - begin;
  if (tensor.bytes != bytes) {
    fail(ErrorKind::kBadFile, "{}: {}.data_offsets: expected {} bytes for {} {}, found {}", file, where,
         bytes, type.name, shape_text(tensor.shape), tensor.bytes);
  }
  return tensor;
}

void check_texts(const Json& metadata, const std::string& file) {
  const bool texts = metadata.is_object() && std::all_of(metadata.begin(), metadata.end(),
                                                         [](const Json& value) { return value.is_string(); });
  if (!texts) fail(ErrorKind::kBadFile, "{}: __metadata__: expected an object of texts", file);
}

// The tensors must follow each other without gap or overlap and end with the data.
void check_cover(const std::vector<Tensor>& tensors, const std::string& file, uint64_t data_bytes) {
  std::vector<const Tensor*> by_offset;
  for (const auto& tensor : tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](const Tensor* a, const Tensor* b) {
    return std::pair(a->offset, a->bytes) < std::pair(b->offset, b->bytes);
  });
  uint64_t end = 0;
  for (const Tensor* tensor : by_offset) {
    if (tensor->offset != end) {
      fail(ErrorKind::kBadFile,
           "{}: tensor {}: expected its data to begin at {}, where that before it ends, found {}", file,
           tensor->name, end, tensor->offset);
    }
    end += tensor->bytes;
  }
  if (end != data_bytes) {
    fail(ErrorKind::kBadFile, "{}: expected the tensors to cover the {} bytes of data, found {}", file,
         data_bytes, end);
  }
}

Json read_header(const InputFile& file, uint64_t& data_start) {
  if (file.bytes() < kLengthBytes) {
    fail(ErrorKind::kBadFile, "{}: header length: expected 8 bytes, the file has {}", file.path(),
         file.bytes());
  }
  uint64_t length = 0;
  static_assert(std::endian::native == std::endian::little);
  file.read(0, std::as_writable_bytes(std::span(&length, 1)));
  const uint64_t most = std::min(kMostHeaderBytes, file.bytes() - kLengthBytes);
  if (length < 2 || length > most) {
    fail(ErrorKind::kBadFile, "{}: header length: expected 2 to {}, found {}", file.path(), most, length);
  }
  std::string text(length, '\0');
  file.read(kLengthBytes, std::as_writable_bytes(std::span(text)));
  if (text[0] != '{') fail(ErrorKind::kBadFile, "{}: header: expected a JSON object", file.path());
  data_start = kLengthBytes + length;
  return parse_strict_json(text, file.path() + ": header");
}

}  // namespace

std::string shape_text(std::span<const uint64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Reader::Reader(const std::string& path) : file_(path) {
  uint64_t data_start = 0;
  const Json header = read_header(file_, data_start);
  const uint64_t data_bytes = file_.bytes() - data_start;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      check_texts(entry, path);
    } else {
      tensors_.push_back(read_entry(name, entry, path, data_bytes));
    }
  }
  check_cover(tensors_, path, data_bytes);
  for (auto& tensor : tensors_) tensor.offset += data_start;
}

const Tensor* Reader::find(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const Tensor& tensor, std::string_view key) { return tensor.name < key; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

void Reader::read(const Tensor& tensor, uint64_t offset, std::span<std::byte> destination) const {
  assert(offset <= tensor.bytes && destination.size() <= tensor.bytes - offset);
  file_.read(tensor.offset + offset, destination);
}

}  // namespace stonechat::safetensors
