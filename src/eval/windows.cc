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

}  // namespace stonechat
