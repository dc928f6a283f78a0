// What products with integer codes on x86 do with a tile of weights, whether of one token or of many: see
// simd_linear_codes.h.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/simd_code_packs.h"
#include "kernels/weight_streams.h"

namespace stonechat {

template <typename Dot, typename Format>
class SimdCodeTiles {
 public:
  using Packs = SimdCodePacks<Dot, Format>;
  using Simd = typename Dot::Simd;
  using Vector = typename Simd::Vector;

  static constexpr bool kHasRowScales = Format::kHasRowScales;
  static constexpr bool kIsFourBits = Format::kCodeBits == 4;
  static constexpr uint32_t kLanes = Simd::kLanes;
  static constexpr uint32_t kGroup = Dot::kGroupTokens;
  static constexpr uint32_t kTileRows = Packs::kTileRows;
  static constexpr uint32_t kBlockBytes = Packs::kBlockBytes;
  static constexpr uint32_t kTokenBytes = Packs::kTokenBytes;
  static constexpr uint32_t kTokensAtOnce = 96;  // whose activations stay in the second-level cache
  static_assert(kTokensAtOnce % kGroup == 0, "jobs are cut between groups of prepared tokens");
  // How far ahead weights are asked for where several tokens take one stream of them
  // (docs/performance/zen.md).
  static constexpr uint32_t kGroupAhead = kIsFourBits ? 2048 : 6144;

  // How loops find a block's scales, and behind them its codes.
  struct Packed {
    static constexpr bool kIsWide = false;
    static constexpr uint32_t kScaleBytes = Packs::kScaleBytes;
    static constexpr uint32_t kBytes = kBlockBytes;
    static Vector load_scales(const uint8_t* block, uint32_t half) {
      return Simd::widen_half(reinterpret_cast<const uint16_t*>(block) + half * kLanes);
    }
    static auto load(const uint8_t* codes, uint32_t step, uint32_t half) {
      if constexpr (kIsFourBits) {
        const uint8_t* both = codes + (step / 2 * 2 + half) * Packs::kVectorCodes;
        return step % 2 == 0 ? Dot::load_low(both) : Dot::load_high(both);
      } else {
        return Dot::load(codes + (2 * step + half) * Packs::kVectorCodes);
      }
    }
  };

  // Asks for a block that lies kAhead bytes further, in kParts parts: a core waits less for memory that it
  // isn't asked for all at once.
  template <uint32_t kAhead, uint32_t kParts>
  [[gnu::always_inline]] static void prefetch_part(const uint8_t* block, uint32_t part) noexcept {
    constexpr uint32_t kLines = (kBlockBytes + 63) / 64;
    for (uint32_t line = part * kLines / kParts; line < (part + 1) * kLines / kParts; ++line)
      __builtin_prefetch(block + size_t{64} * line + kAhead, 0, kSecondLevel);
  }

  // A block's scales of a tile's rows, where it has any.
  struct BlockScales {
    Vector low;
    Vector high;
  };
  template <typename Form>
  [[gnu::always_inline]] static BlockScales block_scales(const uint8_t* weights) noexcept {
    if constexpr (kHasRowScales) {
      return {Simd::broadcast(0), Simd::broadcast(0)};
    } else {
      return {Form::load_scales(weights, 0), Form::load_scales(weights, 1)};
    }
  }

  // Adds a block's integer sums of a token, as floats `dot(token, half)`, times their scales.
  template <uint32_t kTokens, typename Dots>
  [[gnu::always_inline]] static void add_token(const BlockScales& rows, const float* scales, Dots&& dot,
                                               Vector (&sum)[kTokens][2], uint32_t t) noexcept {
    const Vector scale = Simd::broadcast(scales[t]);
    if constexpr (kHasRowScales) {
      for (uint32_t v = 0; v < 2; ++v) sum[t][v] = Simd::fma(dot(t, v), scale, sum[t][v]);
    } else {
      sum[t][0] = Simd::fma(dot(t, 0), Simd::multiply(rows.low, scale), sum[t][0]);
      sum[t][1] = Simd::fma(dot(t, 1), Simd::multiply(rows.high, scale), sum[t][1]);
    }
  }
  template <uint32_t kTokens, typename Dots>
  [[gnu::always_inline]] static void add_scaled(const BlockScales& rows, const float* scales, Dots&& dot,
                                                Vector (&sum)[kTokens][2]) noexcept {
#pragma GCC unroll 16
    for (uint32_t t = 0; t < kTokens; ++t) add_token<kTokens>(rows, scales, dot, sum, t);
  }
  // The same of tokens [kFirst, kEnd), and copies of sums. They are no loops, as GCC 12 unrolls these too
  // late to keep sums in registers where assembly comes between them.
  template <uint32_t kFirst, uint32_t kEnd, uint32_t kTokens, typename Dots>
  [[gnu::always_inline]] static void add_scaled_part(const BlockScales& rows, const float* scales, Dots&& dot,
                                                     Vector (&sum)[kTokens][2]) noexcept {
    if constexpr (kFirst < kEnd) {
      add_token<kTokens>(rows, scales, dot, sum, kFirst);
      add_scaled_part<kFirst + 1, kEnd>(rows, scales, dot, sum);
    }
  }
  template <uint32_t kFirst = 0, uint32_t kTokens>
  [[gnu::always_inline]] static void copy_sums(const Vector (&from)[kTokens][2],
                                               Vector (&to)[kTokens][2]) noexcept {
    if constexpr (kFirst < kTokens) {
      to[kFirst][0] = from[kFirst][0];
      to[kFirst][1] = from[kFirst][1];
      copy_sums<kFirst + 1>(from, to);
    }
  }

  // The sums of kTokens in registers: two vectors a token.
  template <uint32_t kTokens, bool kFirst>
  [[gnu::always_inline]] static void load_sums(const float* sums, Vector (&sum)[kTokens][2]) noexcept {
#pragma GCC unroll 16
    for (uint32_t t = 0; t < kTokens; ++t) {
      for (uint32_t v = 0; v < 2; ++v)
        sum[t][v] = kFirst ? Simd::broadcast(0) : Simd::load(sums + (2 * t + v) * kLanes);
    }
  }
  template <uint32_t kTokens>
  [[gnu::always_inline]] static void store_sums(const Vector (&sum)[kTokens][2], float* sums) noexcept {
#pragma GCC unroll 16
    for (uint32_t t = 0; t < kTokens; ++t) {
      for (uint32_t v = 0; v < 2; ++v) Simd::store(sums + (2 * t + v) * kLanes, sum[t][v]);
    }
  }

  // The xs of kernel_table.h of tokens [first, end), at most kTokensAtOnce; made when a tile needs them
  // first.
  class ActivationSums {
   public:
    ActivationSums(const LinearJob* job, uint32_t first, uint32_t end)
        : job_(job), first_(first), end_(end) {}

    // Those of `token` and the tokens after it; null where the means of this tile's rows are all 0.
    const float* of(uint32_t row, uint32_t token) noexcept {
      if constexpr (!kHasRowScales) return nullptr;
      const auto* means = reinterpret_cast<const float*>(tile_of(job_, row)) + kTileRows;
      bool has_means = false;
      for (uint32_t i = 0; i < kTileRows; ++i) has_means |= means[i] != 0;
      if (!has_means) return nullptr;
      if (!is_made_) make();
      is_made_ = true;
      return sums_ + (token - first_);
    }

   private:
    void make() noexcept {
      float* out = sums_;
      for (uint32_t token = first_; token < end_; token += kGroup, out += kGroup) {
        const uint32_t tokens = end_ - token < kGroup ? end_ - token : kGroup;
        const uint8_t* group =
            static_cast<const uint8_t*>(job_->activations) + Packs::group_offset(token, job_->cols);
        for (uint32_t t = 0; t < tokens; ++t) out[t] = 0;
        for (uint32_t block = 0; block < job_->cols / kBlock; ++block, group += tokens * kTokenBytes) {
          const auto* scales = reinterpret_cast<const float*>(group + tokens * Packs::kCodeBytes);
          const auto* code_sums = reinterpret_cast<const int32_t*>(scales + tokens);
          for (uint32_t t = 0; t < tokens; ++t)
            out[t] = __builtin_fmaf(static_cast<float>(code_sums[t] / Packs::kSumFactor), scales[t], out[t]);
        }
      }
    }

    const LinearJob* job_;
    uint32_t first_;
    uint32_t end_;
    bool is_made_ = false;
    float sums_[kHasRowScales ? kTokensAtOnce : 1];
  };

  // Outputs of some tokens and of a tile's rows, from these on.
  struct Outputs {
    const LinearJob* job;
    uint32_t token;
    uint32_t row;
    const float* x_sums = nullptr;  // of these tokens: see ActivationSums::of()

    float* first() const noexcept {
      return job->out + (token - job->first_token) * job->out_stride + (row - job->first_row);
    }
  };

  // Stores what has been summed up for them. What is left of a batch or of the rows may take longer.
  template <uint32_t kTokens>
  [[gnu::always_inline]] static void store_outputs(const Outputs& outputs,
                                                   Vector (&sum)[kTokens][2]) noexcept {
    const LinearJob& job = *outputs.job;
    if constexpr (kHasRowScales) scale_rows<kTokens>(outputs, sum);
    if (kTokens < kGroup || outputs.row + kTileRows > job.end_row) {
      alignas(64) float sums[kTokens * kTileRows];
      store_sums<kTokens>(sum, sums);
      return store_some(outputs, kTokens, sums);
    }
    float* out = outputs.first();
    if (job.bias != nullptr) {
      for (uint32_t v = 0; v < 2; ++v) {
        const Vector bias = Simd::load(job.bias + outputs.row + v * kLanes);
#pragma GCC unroll 16
        for (uint32_t t = 0; t < kTokens; ++t) sum[t][v] = Simd::add(sum[t][v], bias);
      }
    }
    if (job.add_to_out) {
#pragma GCC unroll 16
      for (uint32_t t = 0; t < kTokens; ++t) {
        for (uint32_t v = 0; v < 2; ++v)
          sum[t][v] = Simd::add(Simd::load(out + t * job.out_stride + v * kLanes), sum[t][v]);
      }
    }
#pragma GCC unroll 16
    for (uint32_t t = 0; t < kTokens; ++t) {
      for (uint32_t v = 0; v < 2; ++v) Simd::store(out + t * job.out_stride + v * kLanes, sum[t][v]);
    }
  }

  static const uint8_t* tile_of(const LinearJob* job, uint32_t row) noexcept {
    return static_cast<const uint8_t*>(job->weights) + row / kTileRows * Packs::tile_bytes(job->cols);
  }

 private:
  [[gnu::noinline]] static void store_some(const Outputs& outputs, uint32_t tokens,
                                           const float* sums) noexcept {
    for (uint32_t t = 0; t < tokens; ++t) {
      for (uint32_t v = 0; v < 2; ++v, sums += kLanes)
        Simd::store_outputs(outputs.job, outputs.token + t, outputs.row + v * kLanes, Simd::load(sums));
    }
  }

  template <uint32_t kTokens>
  [[gnu::always_inline]] static void scale_rows(const Outputs& outputs, Vector (&sum)[kTokens][2]) noexcept {
    const auto* scales = reinterpret_cast<const float*>(tile_of(outputs.job, outputs.row));
    for (uint32_t v = 0; v < 2; ++v) {
      const Vector scale = Simd::load(scales + v * kLanes);
      const Vector mean = Simd::load(scales + kTileRows + v * kLanes);
#pragma GCC unroll 16
      for (uint32_t t = 0; t < kTokens; ++t) {
        sum[t][v] = Simd::multiply(sum[t][v], scale);
        if (outputs.x_sums != nullptr)
          sum[t][v] = Simd::fma_unless_zero(mean, Simd::broadcast(outputs.x_sums[t]), sum[t][v]);
      }
    }
  }
};

}  // namespace stonechat
