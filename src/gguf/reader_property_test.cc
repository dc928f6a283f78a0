// The reader takes any bytes: it accepts or throws Error, and takes little time and memory for it.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "base/error.h"
#include "gguf/reader.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/temporary_directory.h"

namespace stonechat::gguf {
namespace {

// True when the reader accepts; any other exception than Error fails the test.
bool accepts(const std::string& bytes) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("any.gguf");
  GgufBuilder().raw(bytes).write(path);
  try {
    const Reader reader(path);
    for (const auto& tensor : reader.tensors()) {
      RC_ASSERT(tensor.offset + tensor.bytes <= bytes.size());
      RC_ASSERT(tensor.rows() * tensor.row_bytes() == tensor.bytes);
    }
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string valid_file() {
  return GgufBuilder()
      .header(2, 3)
      .entry_u32("general.alignment", 32)
      .key("list", 9)
      .put(uint32_t{8})
      .put(uint64_t{2})
      .text("one")
      .text("two")
      .key("number", 6)
      .put(1.0F)
      .tensor("a", 32, 2, 0, 0)
      .tensor("b", 64, 2, 8, 256)
      .pad(32)
      .zeros(256 + 136)
      .bytes();
}

RC_GTEST_PROP(ReaderProperty, AnyBytes, (const std::string& bytes)) {
  accepts(bytes);
  accepts(GgufBuilder().header(1, 1).raw(bytes).bytes());
}

RC_GTEST_PROP(ReaderProperty, ChangedBytesOfAValidFile, ()) {
  std::string bytes = valid_file();
  const auto changes = *rc::gen::inRange(1, 6);
  for (int i = 0; i < changes; ++i) {
    const auto at = *rc::gen::inRange<size_t>(0, bytes.size());
    bytes[at] = static_cast<char>(*rc::gen::element(0x00, 0x01, 0x7f, 0x80, 0xff, *rc::gen::inRange(0, 256)));
  }
  accepts(bytes);
}

RC_GTEST_PROP(ReaderProperty, EveryCutOfAValidFileIsRefused, ()) {
  const std::string bytes = valid_file();
  RC_ASSERT(accepts(bytes));
  RC_ASSERT(!accepts(bytes.substr(0, *rc::gen::inRange<size_t>(0, bytes.size()))));
}

}  // namespace
}  // namespace stonechat::gguf
