// Packed files with bytes changed anywhere: refused or run, never a crash, never memory outside of the file.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "kernels/dispatch.h"
#include "model/executor.h"
#include "model/packed_file.h"
#include "model/test_model.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

// A directory with a packed file of a small model, written once.
class GoodFile {
 public:
  GoodFile() {
    ThreadPool pool(1);
    TestModel model;
    model.make(1);
    model.write(directory_.file("plain.gguf"), gguf::TensorType::kQ8_0, model.metadata());
    write_packed(gguf::Reader(directory_.file("plain.gguf")), kernels(), directory_.file("good.gguf"), pool,
                 {}, {});
    std::ifstream file(directory_.file("good.gguf"), std::ios::binary);
    bytes_ = {std::istreambuf_iterator<char>(file), {}};
    header_bytes_ = gguf::Reader(directory_.file("good.gguf")).tensors()[0].offset;
  }
  const std::string& bytes() const { return bytes_; }
  size_t header_bytes() const { return header_bytes_; }

  // Loads and runs a file of these bytes, if they are accepted.
  void try_bytes(const std::string& bytes) const {
    const std::string path = directory_.file("changed.gguf");
    std::ofstream(path, std::ios::binary) << bytes;
    ThreadPool pool(1);
    try {
      const Weights weights = Weights::load(gguf::Reader(path), kernels(), pool, {});
      Executor executor(weights, kernels(), pool);
      KvCache cache(weights, 4);
      const std::vector<int32_t> tokens = {0, 1};
      executor.forward(cache, tokens);
      executor.last_logits();
    } catch (const Error&) {
    }
  }

 private:
  TemporaryDirectory directory_;
  std::string bytes_;
  size_t header_bytes_ = 0;
};

const GoodFile& good_file() {
  static const GoodFile file;
  return file;
}

RC_GTEST_PROP(PackedFileProperty, ChangedHeaderBytes, ()) {
  std::string bytes = good_file().bytes();
  const auto changes = *rc::gen::inRange(1, 5);
  for (int i = 0; i < changes; ++i) {
    const auto at = *rc::gen::inRange<size_t>(0, good_file().header_bytes());
    bytes[at] = static_cast<char>(*rc::gen::element(0x00, 0x01, 0x7f, 0x80, 0xff, *rc::gen::inRange(0, 256)));
  }
  good_file().try_bytes(bytes);
}

RC_GTEST_PROP(PackedFileProperty, AnyBytesInPacks, ()) {
  std::string bytes = good_file().bytes();
  const auto begin = *rc::gen::inRange<size_t>(good_file().header_bytes(), bytes.size());
  const auto end = std::min(bytes.size(), begin + *rc::gen::inRange<size_t>(1, 5000));
  const auto value = *rc::gen::element(0x00, 0x7c, 0x7f, 0x80, 0xff);
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
            bytes.begin() + static_cast<std::ptrdiff_t>(end), static_cast<char>(value));
  good_file().try_bytes(bytes);
}

}  // namespace
}  // namespace stonechat
