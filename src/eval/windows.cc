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
  for_each_logits(executor, windows.first_scored(), windows.scored(), take);
}

void for_each_logits(Executor& executor, uint32_t first, uint32_t rows,
                     FunctionRef<void(uint32_t row, std::span<const float> logits)> take) {
  for (uint32_t done = 0; done < rows; done += kLogitsAtOnce) {
    const uint32_t count = std::min(kLogitsAtOnce, rows - done);
    const std::span<const float> logits = executor.logits(first + done, count);
    const size_t vocabulary = logits.size() / count;
    executor.pool().for_each_chunk(count, 1, [&](uint64_t i, uint64_t) {
      take(done + static_cast<uint32_t>(i), logits.subspan(i * vocabulary, vocabulary));
    });
  }
}

}  // namespace stonechat
