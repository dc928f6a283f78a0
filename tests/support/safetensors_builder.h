// Builds safetensors files, well-formed or not, for the tests. Shares no code with src/safetensors.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace stonechat {

class SafetensorsBuilder {
 public:
  // Data of its own, after that of the tensors before; `shape` as JSON, "[2, 3]".
  SafetensorsBuilder& tensor(std::string_view name, std::string_view type, std::string_view shape,
                             std::string_view data) {
    const size_t begin = data_.size();
    data_.append(data);
    return entry(name, type, shape, begin, data_.size());
  }
  SafetensorsBuilder& floats(std::string_view name, std::string_view shape,
                             const std::vector<float>& values) {
    std::string data(values.size() * sizeof(float), '\0');
    if (!data.empty()) std::memcpy(data.data(), values.data(), data.size());
    return tensor(name, "F32", shape, data);
  }
  // A line of the header only.
  SafetensorsBuilder& entry(std::string_view name, std::string_view type, std::string_view shape,
                            uint64_t begin, uint64_t end) {
    return raw_entry("\"" + std::string(name) + "\": {\"dtype\": \"" + std::string(type) +
                     "\", \"shape\": " + std::string(shape) + ", \"data_offsets\": [" +
                     std::to_string(begin) + ", " + std::to_string(end) + "]}");
  }
  SafetensorsBuilder& raw_entry(std::string_view json) {
    header_ += (header_.empty() ? "" : ", ") + std::string(json);
    return *this;
  }
  SafetensorsBuilder& data(std::string_view bytes) {
    data_.append(bytes);
    return *this;
  }

  std::string bytes() const { return of_header("{" + header_ + "}", data_); }
  void write(const std::string& path) const { std::ofstream(path, std::ios::binary) << bytes(); }

  static std::string of_header(const std::string& header, const std::string& data) {
    return length_bytes(header.size()) + header + data;
  }
  static std::string length_bytes(uint64_t length) {
    std::string text(sizeof length, '\0');
    std::memcpy(text.data(), &length, sizeof length);
    return text;
  }

 private:
  std::string header_;
  std::string data_;
};

}  // namespace stonechat
