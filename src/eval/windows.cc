#include "eval/windows.h"

#include <algorithm>

#include "base/error.h"

namespace stonechat {

Windows::Windows(const Tokenizer& tokenizer, std::span<const TokenId> tokens, const WindowOptions& options)
    : tokens_(tokens), size_(options.window), bos_(tokenizer.add_bos() ? tokenizer.bos() : std::nullopt) {
  if (size_ < 4) fail(ErrorKind::kUsage, "the window: expected at least 4 tokens, got {}", size_);
  count_ = tokens.size() / size_;
  if (count_ == 0)
    fail(ErrorKind::kUsage, "the text has {} tokens, one window takes {}", tokens.size(), size_);
  if (options.max_windows != 0) count_ = std::min<uint64_t>(count_, options.max_windows);
}

std::vector<TokenId> Windows::tokens(uint64_t index) const {
  const auto part = tokens_.subspan(index * size_, size_);
  std::vector<TokenId> window(part.begin(), part.end());
  if (bos_) window[0] = *bos_;
  return window;
}

void for_each_scored(Executor& executor, KvCache& cache, const Windows& windows,
                     std::span<const TokenId> window,
                     FunctionRef<void(uint32_t row, std::span<const float> logits)> take) {
  cache.truncate(0);
  executor.forward(cache, window, Wanted::kAll);
  for (uint32_t row = 0; row < windows.scored(); row += kLogitsAtOnce) {
    const uint32_t rows = std::min(kLogitsAtOnce, windows.scored() - row);
    const std::span<const float> logits = executor.logits(windows.first_scored() + row, rows);
    const size_t vocabulary = logits.size() / rows;
    executor.pool().for_each_chunk(rows, 1, [&](uint64_t i, uint64_t) {
      take(row + static_cast<uint32_t>(i), logits.subspan(i * vocabulary, vocabulary));
    });
  }
}

}  // namespace stonechat
