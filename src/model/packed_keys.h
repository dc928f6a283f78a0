// The metadata keys of packed files (docs/packed-format.md), for their reader and their writer.
#pragma once

#include <cstdint>
#include <string_view>

namespace stonechat {

inline constexpr std::string_view kPackVersionKey = "stonechat.pack.version";
inline constexpr std::string_view kPackIsaKey = "stonechat.pack.isa";
inline constexpr std::string_view kPackByteOrderKey = "stonechat.pack.byte_order";
inline constexpr std::string_view kPackFingerprintKey = "stonechat.pack.fingerprint";
inline constexpr std::string_view kPackFormatsKey = "stonechat.pack.formats";
inline constexpr std::string_view kPackParametersKey = "stonechat.pack.parameters";
inline constexpr std::string_view kPackSourceTypeKey = "stonechat.pack.source_type";
inline constexpr std::string_view kPackSourceBytesKey = "stonechat.pack.source_bytes";

// Rises when keys, names or their meaning change; layouts are the fingerprint's concern.
inline constexpr uint32_t kPackVersion = 1;
inline constexpr std::string_view kPackByteOrder = "little";
inline constexpr uint32_t kPackAlignment = 4096;  // of tensors in the file

}  // namespace stonechat
