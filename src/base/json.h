// The two kinds of JSON values: what was read, and what is written, whose keys keep the order they were put
// in.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace stonechat {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// A value as it stands in a file, cut where it gets long; never with a line's end or broken UTF-8 in it. Goes
// as deep into the stack as the value is nested: for what parse_strict_json() read.
std::string shown_json(const OrderedJson& value);

}  // namespace stonechat
