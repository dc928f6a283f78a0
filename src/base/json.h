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

// A value as it stands in a file, cut where it gets long; never with a line's end or broken UTF-8 in it. Goes
// as deep into the stack as the value is nested: for what parse_strict_json() read.
std::string shown_json(const OrderedJson& value);

}  // namespace stonechat
