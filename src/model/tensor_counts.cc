#include "model/tensor_counts.h"

#include <map>

#include "model/packed_file.h"

namespace stonechat {

TensorCounts count_tensors(const gguf::Reader& file) {
  if (is_packed(file.metadata())) {
    const PackedInfo packed = PackedInfo::from(file.metadata());
    return {packed.source_bytes, packed.parameters, packed.source_type};
  }
  TensorCounts counts;
  std::map<gguf::TensorType, uint64_t> parameters_of;
  for (const auto& tensor : file.tensors()) {
    counts.bytes += tensor.bytes;
    if (tensor.name == "rope_freqs.weight") continue;
    counts.parameters += tensor.elements();
    parameters_of[tensor.type] += tensor.elements();
  }
  uint64_t most = 0;
  for (const auto& [type, parameters] : parameters_of) {
    if (parameters <= most) continue;
    most = parameters;
    counts.main_type = gguf::name(type);
  }
  return counts;
}

}  // namespace stonechat
