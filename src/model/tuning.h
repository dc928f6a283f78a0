// Choices of how a forward pass is cut. They change its speed on a machine, never its results
// (docs/decisions/0001-equal-bits.md). The defaults are good everywhere; `stonechat tune` measures better
// ones.
//
// There is no field for the number of tokens from which a matrix is multiplied with a matrix instead of a
// vector, as there is nothing to choose: each table has one loop for exactly one token, and another that
// shares what it reads among all from two tokens on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

namespace stonechat {

struct Tuning {
  uint32_t token_block = 96;    // most tokens that go through a product together
  uint32_t mlp_piece = 64;      // columns of the MLP that are finished together
  uint32_t batch = 256;         // tokens of a prompt that go through the layers together
  uint32_t few_tokens = 8;      // up to so many tokens one thread does the row-wise steps alone
  uint32_t prompt_threads = 0;  // 0: as many as the pool has; both thread counts or neither
  uint32_t decode_threads = 0;  // where each sequence gets one token

  bool operator==(const Tuning&) const = default;
  // Threads of a run in a pool that begins with so many.
  uint32_t most_threads(uint32_t of_pool) const {
    return prompt_threads == 0 ? of_pool : std::max(prompt_threads, decode_threads);
  }
};

// A field's name in files and tables, its unit, and its values: multiples of `step` from least to most.
struct TuningField {
  const char* name;
  const char* unit;
  uint32_t Tuning::*value;
  uint32_t least;
  uint32_t most;
  uint32_t step;
};

// Token blocks begin where every table of kernels begins a group of prepared tokens: at multiples of its
// tile_tokens, which divide this.
inline constexpr uint32_t kTokenStep = 48;
inline constexpr uint32_t kMostTunedThreads = 1024;

// All fields, in the order in which they are stored and shown.
std::span<const TuningField> tuning_fields();

// Error{kUsage} naming field, expected and found value.
void check(const Tuning& tuning);

}  // namespace stonechat
