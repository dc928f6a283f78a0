// The windows of a text: runs of tokens that a model goes through on their own (eval/perplexity.h says how
// they are cut).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "model/executor.h"
#include "model/kv_cache.h"
#include "tokenizer/tokenizer.h"

namespace stonechat {

struct WindowOptions {
  uint32_t window = 512;     // tokens, at least 4
  uint32_t max_windows = 0;  // 0: all
  CacheFormats cache = {};
  CacheFormats reference_cache = {};  // of kl_divergence()
};

// Told after each window; a true result stops: Error{kInterrupted}.
using WindowCallback = std::function<bool(uint64_t done, uint64_t total)>;

class Windows {
 public:
  // `tokens` outlives this. Error{kUsage} when they are fewer than one window.
  Windows(const Tokenizer& tokenizer, std::span<const TokenId> tokens, const WindowOptions& options);

  uint64_t count() const { return count_; }
  std::vector<TokenId> tokens(uint64_t index) const;
  // Positions whose logits are scored, against the token after them.
  uint32_t first_scored() const { return size_ / 2; }
  uint32_t scored() const { return size_ - 1 - first_scored(); }

 private:
  std::span<const TokenId> tokens_;
  uint32_t size_;
  std::optional<TokenId> bos_;
  uint64_t count_ = 0;
};

// Runs one window from an empty cache, then for_each_logits() of its scored positions. `cache` has room for
// the window.
void for_each_scored(Executor& executor, KvCache& cache, const Windows& windows,
                     std::span<const TokenId> window,
                     FunctionRef<void(uint32_t row, std::span<const float> logits)> take);

// Calls take(row, logits) for `rows` hidden states from `first` on that the executor holds, row counted from
// the first one, several rows at once by several threads.
void for_each_logits(Executor& executor, uint32_t first, uint32_t rows,
                     FunctionRef<void(uint32_t row, std::span<const float> logits)> take);

// Rows of logits computed at once: 32 x 151,936 floats are 19 MB.
inline constexpr uint32_t kLogitsAtOnce = 32;

}  // namespace stonechat
