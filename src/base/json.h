// The two kinds of JSON values: what was read, and what is written, whose keys keep the order they were put
// in.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace stonechat {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// In one line, or in lines with `indent` blanks a level. Bytes that aren't UTF-8, as paths may have, become
// U+FFFD.
std::string dump_json(const Json& value, int indent = -1);
std::string dump_json(const OrderedJson& value, int indent = -1);

}  // namespace stonechat
