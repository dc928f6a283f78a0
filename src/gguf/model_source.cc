#include "gguf/model_source.h"

#include <fmt/format.h>

namespace stonechat::gguf {

uint64_t TensorInfo::elements() const {
  uint64_t product = 1;
  for (const uint64_t size : shape) product *= size;
  return product;
}

std::string shape_text(std::span<const uint64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace stonechat::gguf
