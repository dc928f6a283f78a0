// What the head of a publisher's README.md says of a model: licence, languages, tags, what it was made from.
//
// The head is YAML between two lines "---". Read are texts and lists of texts, which is how publishers write
// these fields; a field of another form counts as absent, since nothing depends on it. Keys and values are
// those that the gguf package gives llama.cpp's converter.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/metadata.h"

namespace stonechat {

struct CardField {
  bool is_list = false;
  std::vector<std::string> texts;
};

// The fields of the head by name; none when the text has no head.
std::map<std::string, CardField> parse_model_card(std::string_view text);

// general.license, license.name, license.link, base_model.*, dataset.*, tags, languages. `parameters` as in
// model_name.h.
void add_model_card(std::string_view text, uint64_t parameters, gguf::Metadata& metadata);

}  // namespace stonechat
