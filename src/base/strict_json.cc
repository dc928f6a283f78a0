#include "base/strict_json.h"

#include <vector>

#include "base/characters.h"
#include "base/error.h"
#include "base/input_file.h"

namespace stonechat {
namespace {

// Builds the value from the parser's events; throws where a limit is passed, which ends the parser.
class Builder {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  explicit Builder(std::string file) : file_(std::move(file)) {}

  Json take() { return std::move(root_); }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(number_integer_t value) { return add(value); }
  bool number_unsigned(number_unsigned_t value) { return add(value); }
  bool number_float(number_float_t value, const string_t& /*text*/) { return add(value); }
  bool string(string_t& value) { return add(std::move(value)); }
  bool binary(binary_t& /*value*/) { return false; }  // not in texts
  bool start_object(size_t /*size*/) { return open(Json::object()); }
  bool start_array(size_t /*size*/) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(string_t& key) {
    const auto [place, added] = open_.back()->get_ref<Json::object_t&>().emplace(std::move(key), nullptr);
    if (!added) {
      fail(ErrorKind::kBadFile, "{}: expected each key once in an object, found '{}' again", file_,
           json_text(place->first));
    }
    place_ = &place->second;
    return true;
  }

  bool parse_error(size_t position, const std::string& /*token*/, const nlohmann::detail::exception& error) {
    // The library's sentence, without its own numbering.
    const std::string_view text = error.what();
    const size_t begin = text.find("] ");
    fail(ErrorKind::kBadFile, "{}: expected JSON, found at byte {}: {}", file_, position,
         begin == std::string_view::npos ? text : text.substr(begin + 2));
  }

 private:
  Json* put(Json value) {
    if (++values_ > kMostJsonValues) {
      fail(ErrorKind::kBadFile, "{}: expected at most {} JSON values, found more", file_, kMostJsonValues);
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *place_ = std::move(value);
    return place_;
  }
  bool add(Json value) {
    put(std::move(value));
    return true;
  }
  // The addresses in open_ stay: nothing is added to a value while one inside of it is open.
  bool open(Json value) {
    if (open_.size() == kMostJsonDepth) {
      fail(ErrorKind::kBadFile, "{}: expected JSON of at most {} levels, found more", file_, kMostJsonDepth);
    }
    open_.push_back(put(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string file_;
  Json root_;
  std::vector<Json*> open_;
  Json* place_ = nullptr;  // of the value that comes after a key
  uint64_t values_ = 0;
};

}  // namespace

std::string json_text(const Json& value) {
  constexpr size_t kMostBytes = 60;
  if (value.is_object()) return "an object";
  if (value.is_array()) return fmt::format("an array of {}", value.size());
  std::string text = value.is_string() ? value.get_ref<const std::string&>() : value.dump();
  if (text.size() > kMostBytes) text = std::string(whole_characters(text, kMostBytes)) + "...";
  for (size_t at; (at = text.find('\n')) != std::string::npos;) text.replace(at, 1, "\\n");
  return text;
}

Json parse_strict_json(std::string_view text, const std::string& file) {
  Builder builder(file);
  if (!Json::sax_parse(text, &builder)) fail(ErrorKind::kBadFile, "{}: expected JSON", file);
  return builder.take();
}

Json read_json_object(const std::string& path) {
  const InputFile file(path);
  if (file.bytes() > kMostJsonBytes) {
    fail(ErrorKind::kBadFile, "{}: expected at most {} bytes of JSON, found {}", path, kMostJsonBytes,
         file.bytes());
  }
  Json json = parse_strict_json(file.read_all(), path);
  if (!json.is_object())
    fail(ErrorKind::kBadFile, "{}: expected a JSON object, found {}", path, json_text(json));
  return json;
}

const Json* JsonFields::find(const std::string& key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

void JsonFields::refuse(const std::string& key, const std::string& expected) const {
  const auto found = object_->find(key);
  const bool is_text = found != object_->end() && found->is_string();
  fail(ErrorKind::kBadFile, "{}: {}: expected {}, found {}", file_, path_of(key), expected,
       found == object_->end() ? "nothing"
       : is_text               ? fmt::format("'{}'", json_text(*found))
                               : json_text(*found));
}

std::optional<uint64_t> JsonFields::find_uint(const std::string& key, uint64_t least, uint64_t most) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned()) {
    const auto number = value->get<uint64_t>();
    if (number >= least && number <= most) return number;
  }
  refuse(key, fmt::format("an integer from {} to {}", least, most));
}

std::optional<double> JsonFields::find_number(const std::string& key, double least, double most) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const auto number = value->get<double>();
    if (number >= least && number <= most) return number;
  }
  refuse(key, fmt::format("a number from {} to {}", least, most));
}

std::optional<bool> JsonFields::find_bool(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) refuse(key, "true or false");
  return value->get<bool>();
}

std::optional<std::string> JsonFields::find_string(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) refuse(key, "a text");
  return value->get<std::string>();
}

std::optional<JsonFields> JsonFields::find_object(const std::string& key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) refuse(key, "an object");
  return JsonFields(*value, file_, path_of(key));
}

const Json* JsonFields::find_array(const std::string& key) const {
  const Json* value = find(key);
  if (value != nullptr && !value->is_array()) refuse(key, "an array");
  return value;
}

uint64_t JsonFields::get_uint(const std::string& key, uint64_t least, uint64_t most) const {
  const auto value = find_uint(key, least, most);
  if (!value) refuse(key, fmt::format("an integer from {} to {}", least, most));
  return *value;
}

double JsonFields::get_number(const std::string& key, double least, double most) const {
  const auto value = find_number(key, least, most);
  if (!value) refuse(key, fmt::format("a number from {} to {}", least, most));
  return *value;
}

std::string JsonFields::get_string(const std::string& key) const {
  const auto value = find_string(key);
  if (!value) refuse(key, "a text");
  return *value;
}

JsonFields JsonFields::get_object(const std::string& key) const {
  const auto value = find_object(key);
  if (!value) refuse(key, "an object");
  return *value;
}

const Json& JsonFields::get_array(const std::string& key) const {
  const Json* value = find_array(key);
  if (value == nullptr) refuse(key, "an array");
  return *value;
}

std::vector<JsonFields> JsonFields::get_objects(const std::string& key) const {
  std::vector<JsonFields> objects;
  for (const Json& value : get_array(key)) {
    const std::string where = fmt::format("{}[{}]", path_of(key), objects.size());
    if (!value.is_object())
      fail(ErrorKind::kBadFile, "{}: {}: expected an object, found {}", file_, where, json_text(value));
    objects.emplace_back(value, file_, where);
  }
  return objects;
}

}  // namespace stonechat
