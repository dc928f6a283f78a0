#include "publisher/special_tokens.h"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "base/error.h"

namespace stonechat {
namespace {

// Key of GGUF for each kind of token that publishers' files name; "cls" has none.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kIdKeys = {
    {{"bos", "bos_token_id"},
     {"eos", "eos_token_id"},
     {"unk", "unknown_token_id"},
     {"sep", "seperator_token_id"},
     {"pad", "padding_token_id"},
     {"mask", "mask_token_id"},
     {"eot", "eot_token_id"},
     {"eom", "eom_token_id"}}};

// "X_token" of tokenizer_config.json: a text, or an object with the text as "content".
std::string token_text(const std::optional<JsonFields>& config, const std::string& kind) {
  const Json* value = config ? config->find(kind + "_token") : nullptr;
  if (value == nullptr) return {};
  if (value->is_object())
    return JsonFields(*value, config->file(), kind + "_token").find_string("content").value_or("");
  if (!value->is_string()) config->refuse(kind + "_token", "a text");
  return value->get<std::string>();
}

// The text of the special token in an item of a template; empty for an item of another kind.
std::string special_text(const JsonFields& template_processor, const Json& item) {
  if (!item.is_object()) template_processor.refuse("single", "objects");
  const auto token =
      JsonFields(item, template_processor.file(), "post_processor").find_object("SpecialToken");
  return token ? token->find_string("id").value_or("") : "";
}

std::string sequence_id(const JsonFields& template_processor, const Json& item) {
  if (!item.is_object()) template_processor.refuse("pair", "objects");
  const auto sequence = JsonFields(item, template_processor.file(), "post_processor").find_object("Sequence");
  return sequence ? sequence->find_string("id").value_or("") : "";
}

class SpecialTokens {
 public:
  SpecialTokens(const TokenizerFiles& files, uint64_t vocabulary) : files_(files), vocabulary_(vocabulary) {
    for (const char* kind : {"bos", "eos", "unk", "sep", "pad", "cls", "mask"}) {
      kinds_.emplace_back(kind);
      texts_[kind] = token_text(files.tokenizer_config, kind);
    }
    if (texts_["bos"].empty()) texts_["bos"] = texts_["cls"];
    if (texts_["eos"].empty()) texts_["eos"] = texts_["sep"];
    read_post_processor();
    if (files.tokenizer_config) read_tokenizer_config(*files.tokenizer_config);
    read_config();
  }

  void add_to(gguf::Metadata& metadata) const {
    for (const auto& [kind, id] : ids_) {
      const auto* key =
          std::find_if(kIdKeys.begin(), kIdKeys.end(), [&](const auto& pair) { return pair.first == kind; });
      if (key == kIdKeys.end()) continue;
      metadata.set(fmt::format("tokenizer.ggml.{}", key->second),
                   gguf::Value::of_uint32(static_cast<uint32_t>(id)));
    }
    for (const auto& [kind, flag] : flags_) {
      if (kind != "bos" && kind != "eos" && kind != "sep") continue;
      metadata.set(fmt::format("tokenizer.ggml.add_{}_token", kind), gguf::Value::of_bool(flag));
    }
  }

 private:
  void read_post_processor() {
    const auto root = files_.tokenizer.find_object("post_processor");
    if (!root) return;
    if (root->find_string("type").value_or("") == "TemplateProcessing") return read_template(*root);
    const Json* processors = root->find_array("processors");
    if (processors == nullptr) return;
    for (const Json& processor : *processors) {
      if (!processor.is_object()) root->refuse("processors", "objects");
      const JsonFields fields(processor, root->file(), "post_processor");
      if (fields.find_string("type").value_or("") == "TemplateProcessing") read_template(fields);
    }
  }

  // A template says which tokens go around one text ("single") and two ("pair").
  void read_template(const JsonFields& processor) {
    const bool has_config = files_.tokenizer_config.has_value();
    std::string first;
    std::string last;
    const Json* single = processor.find_array("single");
    if (single != nullptr && single->size() > 1) {
      first = special_text(processor, single->front());
      if (!first.empty()) {
        if (!has_config) texts_["bos"] = first;
        set_flag("bos", first == texts_["bos"] || first == texts_["cls"]);
      }
      last = special_text(processor, single->back());
      if (!last.empty()) {
        if (has_config && last != texts_["eos"]) keep_old_end();
        texts_["eos"] = last;
        set_flag("eos", true);
      }
    }
    if (const Json* pair = processor.find_array("pair")) read_pair(processor, *pair, first, last);
  }

  // The template ends texts otherwise than the configuration: that one's end of sequence ends turns then.
  void keep_old_end() {
    for (const char* kind : {"eot", "eom"}) {
      if (std::find(kinds_.begin(), kinds_.end(), kind) != kinds_.end()) continue;
      kinds_.emplace_back(kind);
      texts_[kind] = texts_["eos"];
      return;
    }
  }

  // Whether two texts are set apart: A, one or two tokens, B, after what also goes around a single text.
  void read_pair(const JsonFields& processor, const Json& pair, const std::string& first,
                 const std::string& last) {
    size_t begin = 0;
    size_t end = pair.size();
    if (end > 0 && !first.empty() && special_text(processor, pair[0]) == first) ++begin;
    if (end > begin && !last.empty() && special_text(processor, pair[end - 1]) == last) --end;
    if (end < begin + 3 || sequence_id(processor, pair[begin]) != "A" ||
        sequence_id(processor, pair[end - 1]) != "B")
      return;
    const auto separates = [&](size_t index) {
      const std::string text = special_text(processor, pair[index]);
      return !text.empty() && (text == texts_["sep"] || text == texts_["eos"]);
    };
    const bool two = end - begin == 4;
    const bool separated = (separates(begin + 1) && last.empty()) || (two && separates(begin + 2));
    set_flag("sep", separated);
    if (separated && texts_["sep"].empty()) texts_["sep"] = texts_["eos"];
  }

  void read_tokenizer_config(const JsonFields& config) {
    const Json* added = files_.tokenizer.find_array("added_tokens");
    for (const auto& kind : kinds_) {
      const std::string flag = "add_" + kind + "_token";
      const Json* value = config.find(flag);
      if (value != nullptr && value->is_boolean()) set_flag(kind, value->get<bool>());
      if (texts_[kind].empty() || added == nullptr) continue;
      for (const Json& token : *added) {
        if (!token.is_object()) continue;
        const JsonFields fields(token, files_.tokenizer.file(), "added_tokens");
        if (fields.find_string("content") != texts_[kind]) continue;
        set_id(kind, fields, "id");
        break;
      }
    }
  }

  // A list of ids, as Llama's eos_token_id may be, says nothing here; nor do negative ones, which mean none.
  void read_config() {
    for (const auto& kind : kinds_) {
      const std::string key = kind + "_token_id";
      const Json* value = files_.config.find(key);
      if (value != nullptr && value->is_number_unsigned()) set_id(kind, files_.config, key);
    }
  }

  void set_id(const std::string& kind, const JsonFields& fields, const std::string& key) {
    const bool known =
        std::any_of(ids_.begin(), ids_.end(), [&](const auto& pair) { return pair.first == kind; });
    if (!known) ids_.emplace_back(kind, fields.get_uint(key, 0, vocabulary_ - 1));
  }

  void set_flag(const std::string& kind, bool value) {
    for (auto& [known, flag] : flags_) {
      if (known == kind) {
        flag = value;
        return;
      }
    }
    flags_.emplace_back(kind, value);
  }

  const TokenizerFiles& files_;
  uint64_t vocabulary_;
  std::vector<std::string> kinds_;            // in the order in which they are looked up
  std::map<std::string, std::string> texts_;  // by kind
  std::vector<std::pair<std::string, uint64_t>> ids_;
  std::vector<std::pair<std::string, bool>> flags_;
};

std::string plain_name(std::string name) {
  for (char& character : name) {
    const bool plain = (character >= '0' && character <= '9') || (character >= 'a' && character <= 'z') ||
                       (character >= 'A' && character <= 'Z');
    if (!plain) character = '_';
  }
  return name;
}

// A list of named templates, of which "default" is the one.
void add_named_templates(const JsonFields& config, const Json& templates, gguf::Metadata& metadata) {
  std::vector<std::string> names;
  std::string main;
  for (const Json& entry : templates) {
    if (!entry.is_object()) config.refuse("chat_template", "a text or objects");
    const JsonFields fields(entry, config.file(), "chat_template");
    const std::string name = plain_name(fields.find_string("name").value_or(""));
    const auto text = fields.find_string("template");
    if (name.empty() || !text) continue;
    if (name == "default") {
      main = *text;
      continue;
    }
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    if (!text->empty()) metadata.set("tokenizer.chat_template." + name, gguf::Value::of_string(*text));
  }
  if (!names.empty()) {
    metadata.set("tokenizer.chat_templates",
                 {gguf::ValueType::kArray, gguf::ValueType::kString, gguf::Array(gguf::StringArray(names))});
  }
  if (!main.empty()) metadata.set("tokenizer.chat_template", gguf::Value::of_string(main));
}

void add_chat_template(const TokenizerFiles& files, gguf::Metadata& metadata) {
  if (!files.tokenizer_config) return;
  const Json* value = files.tokenizer_config->find("chat_template");
  if (value != nullptr && value->is_array())
    return add_named_templates(*files.tokenizer_config, *value, metadata);
  if (value != nullptr && !value->is_string())
    files.tokenizer_config->refuse("chat_template", "a text or a list");
  const std::string text =
      value != nullptr ? value->get<std::string>() : files.separate_template.value_or("");
  if (!text.empty()) metadata.set("tokenizer.chat_template", gguf::Value::of_string(text));
}

}  // namespace

void add_special_tokens(const TokenizerFiles& files, uint64_t vocabulary, gguf::Metadata& metadata) {
  SpecialTokens(files, vocabulary).add_to(metadata);
  add_chat_template(files, metadata);
}

}  // namespace stonechat
