#include "model/packed_file.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/checked.h"
#include "base/error.h"
#include "base/sha256.h"
#include "gguf/writer.h"
#include "model/packed_keys.h"
#include "quant/block_formats.h"

namespace stonechat {
namespace {

WeightFormat format_from_name(const gguf::Metadata& metadata, size_t index, std::string_view name) {
  for (int format = 0; format < kWeightFormats; ++format) {
    if (gguf::name(tensor_type(static_cast<WeightFormat>(format))) == name)
      return static_cast<WeightFormat>(format);
  }
  fail(ErrorKind::kBadFile, "{}: {}[{}]: expected F32, F16, BF16, Q8_0, Q8_R or Q4_0, found '{}'",
       metadata.file(), kPackFormatsKey, index, name);
}

// "attn_qkv.pack" of "blk.7.attn_qkv.pack": layers are alike.
std::string_view kind_of(std::string_view name) {
  return name.starts_with("blk.") ? name.substr(name.find('.', 4) + 1) : name;
}

uint64_t next_random(uint64_t& state) {
  // SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
  uint64_t mixed = state += 0x9e3779b97f4a7c15U;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
  return mixed ^ (mixed >> 31);
}

// Clears the upper exponent bit and the sign of numbers of two bytes, or of the upper halves of numbers of
// four, every `stride` bytes: what is left is finite in each of the formats.
void make_finite(std::span<std::byte> row, size_t first, size_t stride) {
  for (size_t at = first; at < row.size(); at += stride) row[at] &= std::byte{0x3f};
}

// Stored bytes that are valid, and different in each row of each tensor.
void made_up_rows(const gguf::TensorInfo& tensor, uint64_t first, uint64_t rows,
                  std::span<std::byte> destination) {
  for (uint64_t i = 0; i < rows; ++i) {
    uint64_t state = first + i;
    for (const char character : kind_of(tensor.name))
      state = state * 0x100000001b3U + static_cast<uint8_t>(character);
    const auto row = destination.subspan(i * tensor.row_bytes(), tensor.row_bytes());
    for (size_t at = 0; at < row.size(); at += sizeof(uint64_t)) {
      const uint64_t bits = next_random(state);
      std::memcpy(row.data() + at, &bits, std::min(sizeof bits, row.size() - at));
    }
    switch (tensor.type) {
      case gguf::TensorType::kF32:
        make_finite(row, 3, 4);
        break;
      case gguf::TensorType::kQ8_0:
        make_finite(row, 1, sizeof(BlockQ8_0));
        break;
      case gguf::TensorType::kQ4_0:
        make_finite(row, 1, sizeof(BlockQ4_0));
        break;
      case gguf::TensorType::kQ8_R:
        make_finite(row.first(sizeof(RowHeaderQ8)), 3, sizeof(float));
        break;
      default:
        make_finite(row, 1, 2);
    }
  }
}

void hash_text(Sha256& hash, const std::string& text) {
  hash.update(std::as_bytes(std::span(text)));
}

// Tiles of a pack of made-up weights, `cols` wide.
class MadeUpPack {
 public:
  MadeUpPack(const StackPlan& plan, uint32_t cols, WeightFormat format, uint32_t head_dim,
             const LinearKernels& linear)
      : linear_(linear),
        tensors_(tensors_of(plan, cols, format)),
        stack_("(layout)", stack_parts(plan, head_dim, pointers_to(tensors_)), made_up_rows) {}

  uint64_t tiles() const { return stack_.tiles(linear_); }
  void hash_tiles(Sha256& hash, uint64_t first, uint64_t end) const {
    AlignedBuffer packed((end - first) * linear_.tile_bytes(stack_.cols()));
    PackScratch scratch;
    stack_.pack_tiles(linear_, first, end, packed.data(), scratch);
    hash.update(std::span(packed.data(), packed.bytes()));
  }

 private:
  static std::vector<gguf::TensorInfo> tensors_of(const StackPlan& plan, uint32_t cols, WeightFormat format) {
    std::vector<gguf::TensorInfo> tensors;
    for (const auto& part : plan.parts)
      tensors.push_back({part.tensor, tensor_type(format), {cols, part.rows}});
    return tensors;
  }
  static std::vector<const gguf::TensorInfo*> pointers_to(const std::vector<gguf::TensorInfo>& tensors) {
    std::vector<const gguf::TensorInfo*> pointers;
    for (const auto& tensor : tensors) pointers.push_back(&tensor);
    return pointers;
  }

  const LinearKernels& linear_;
  std::vector<gguf::TensorInfo> tensors_;
  MatrixStack stack_;
};

}  // namespace

std::string layout_fingerprint(std::span<const StackPlan> plans, std::span<const WeightFormat> formats,
                               uint32_t head_dim, const KernelTable& kernels) {
  Sha256 hash;
  std::set<std::pair<std::string, WeightFormat>> seen;
  for (size_t i = 0; i < plans.size(); ++i) {
    const StackPlan& plan = plans[i];
    if (!seen.emplace(kind_of(plan.name), formats[i]).second) continue;
    const LinearKernels& linear = *kernels.linear[formats[i]];
    hash_text(hash, fmt::format("{} {} {} {} {} {}\n", kind_of(plan.name), static_cast<int>(formats[i]),
                                plan.rows(), plan.cols, linear.tile_rows, linear.tile_bytes(plan.cols)));
    const MadeUpPack pack(plan, plan.cols, formats[i], head_dim, linear);
    pack.hash_tiles(hash, 0, 1);
    pack.hash_tiles(hash, pack.tiles() - 1, pack.tiles());
    if (plan.parts.size() == 1) continue;
    // Rows of several tensors may lie in any order: all of them, one block wide.
    const MadeUpPack narrow(plan, kBlock, formats[i], head_dim, linear);
    narrow.hash_tiles(hash, 0, narrow.tiles());
  }
  return hash.hex_digest();
}

std::vector<WeightFormat> packed_formats(const gguf::Metadata& metadata, size_t matrices) {
  const auto& names = metadata.get_strings(kPackFormatsKey);
  if (names.size() != matrices) {
    fail(ErrorKind::kBadFile, "{}: {}: expected {} elements, one a matrix, found {}", metadata.file(),
         kPackFormatsKey, matrices, names.size());
  }
  std::vector<WeightFormat> formats;
  for (size_t i = 0; i < names.size(); ++i) formats.push_back(format_from_name(metadata, i, names[i]));
  return formats;
}

bool is_packed(const gguf::Metadata& metadata) {
  return metadata.find_string("general.architecture") == gguf::kPackedArchitecture;
}

PackedInfo PackedInfo::from(const gguf::Metadata& metadata) {
  return {metadata.get_string(kPackIsaKey), metadata.get_uint(kPackParametersKey),
          metadata.get_string(kPackSourceTypeKey), metadata.get_uint(kPackSourceBytesKey)};
}

void check_packed_for(const gguf::Metadata& metadata, const KernelTable& kernels) {
  const uint64_t version = metadata.get_uint(kPackVersionKey);
  if (version != kPackVersion) {
    fail(ErrorKind::kBadFile,
         "{}: {}: found {}, this program wants {}; make the file again with this program: stonechat pack "
         "MODEL OUT",
         metadata.file(), kPackVersionKey, version, kPackVersion);
  }
  const std::string order = metadata.get_string(kPackByteOrderKey);
  if (order != kPackByteOrder) {
    fail(
        ErrorKind::kBadFile,
        "{}: {}: found '{}', this machine wants {}; make the file again on a machine of this kind: stonechat "
        "pack MODEL OUT",
        metadata.file(), kPackByteOrderKey, order, kPackByteOrder);
  }
  const std::string isa = metadata.get_string(kPackIsaKey);
  if (isa != kernels.name) {
    fail(
        ErrorKind::kBadFile,
        "{}: {}: packed for the kernels '{}', but '{}' run here; make a file for these: stonechat pack MODEL "
        "OUT --isa {}",
        metadata.file(), kPackIsaKey, isa, kernels.name, kernels.name);
  }
}

PackedFile::PackedFile(const gguf::Reader& file, const ModelConfig& config, const KernelTable& kernels,
                       TensorShelf& shelf, ThreadPool& pool)
    : kernels_(kernels) {
  const gguf::Metadata& metadata = file.metadata();
  check_packed_for(metadata, kernels);
  if (file.alignment() % kPackAlignment != 0) {
    fail(ErrorKind::kBadFile, "{}: general.alignment: expected a multiple of {}, found {}", file.path(),
         kPackAlignment, file.alignment());
  }
  has_head_ = shelf.has(head_plan(config).name);
  const std::vector<StackPlan> plans = all_stack_plans(config, has_head_);
  const std::vector<WeightFormat> formats = packed_formats(metadata, plans.size());
  for (size_t i = 0; i < plans.size(); ++i) {
    const LinearKernels& linear = *kernels.linear[formats[i]];
    const uint64_t tile_bytes = linear.tile_bytes(plans[i].cols);
    const gguf::TensorInfo& tensor =
        shelf.take(plans[i].name, {tile_bytes, ceil_div(plans[i].rows(), linear.tile_rows)});
    if (tensor.type != gguf::TensorType::kI8) {
      fail(ErrorKind::kBadFile, "{}: tensor {}: expected type I8, found {}", file.path(), tensor.name,
           gguf::name(tensor.type));
    }
    places_[plans[i].name] = {formats[i], tensor.offset, tensor.bytes};
  }
  const std::string found = metadata.get_string(kPackFingerprintKey);
  const std::string wanted = layout_fingerprint(plans, formats, config.head_dim, kernels);
  if (found != wanted) {
    fail(ErrorKind::kBadFile,
         "{}: {}: found {}, the layout of the kernels '{}' in this program is {}; make the file again with "
         "this program: stonechat pack MODEL OUT",
         file.path(), kPackFingerprintKey, found, kernels.name, wanted);
  }
  const auto mapped = std::make_shared<const MappedFile>(file.file(), MemoryPart::kWeights);
  constexpr uint64_t kPopulateBytes = 32 << 20;
  pool.for_each_chunk(ceil_div(mapped->bytes(), kPopulateBytes), 1, [&](uint64_t begin, uint64_t end) {
    mapped->populate(begin * kPopulateBytes, std::min(end * kPopulateBytes, mapped->bytes()));
  });
  mapped_ = mapped;
}

PackedMatrix PackedFile::matrix(const StackPlan& plan) const {
  const Place& place = places_.at(plan.name);
  return {place.format, plan.rows(), plan.cols, kernels_, PackMemory(mapped_, place.offset, place.bytes)};
}

}  // namespace stonechat
