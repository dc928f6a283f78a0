// The two kinds of JSON values: what was read, and what is written, whose keys keep the order they were put
// in.
#pragma once

#include <nlohmann/json.hpp>

namespace stonechat {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

}  // namespace stonechat
