// Products with integer codes by the widening multiplications of Armv8.0.
//
// Two products of a code (-128 .. 127) and an activation's code (-127 .. 127) sum to at most 32,512, which
// fits in 16 bits: SMULL, SMLAL, then SADALP into 32. Codes of 4 bits (-8 .. 7) need SADALP once a block: a
// lane's 16 products sum to at most 16,256.
#include "kernels/neon_linear_codes.h"

namespace stonechat::neon {
namespace {

struct Kernel : OneTokenUnits {
  static constexpr uint32_t kUnitBlockCodes = 4 * kBlock;  // each pair of codes four times, once a row
  static constexpr uint32_t kRun = 2;

  // 16 bytes: columns c, c + 1 of rows 0 .. 3, then columns c + 2, c + 3 of the same. Then rows 4 .. 7.
  static constexpr uint32_t code_offset(uint32_t row, uint32_t col) {
    return col / 4 * 32 + row / 4 * 16 + col % 4 / 2 * 8 + row % 4 * 2 + col % 2;
  }

  static void store_unit(const int8x16_t (&codes)[1][2], float32x4_t scales, int8_t* out_codes,
                         float* out_scale) {
#pragma GCC unroll 2
    for (uint32_t i = 0; i < 2; ++i, out_codes += 64) {
      const int16x8_t pairs = vreinterpretq_s16_s8(codes[0][i]);
      const int32x4_t low = vreinterpretq_s32_s16(vzip1q_s16(pairs, pairs));
      const int32x4_t high = vreinterpretq_s32_s16(vzip2q_s16(pairs, pairs));
      vst1q_s8(out_codes, vreinterpretq_s8_s32(vzip1q_s32(low, low)));
      vst1q_s8(out_codes + 16, vreinterpretq_s8_s32(vzip2q_s32(low, low)));
      vst1q_s8(out_codes + 32, vreinterpretq_s8_s32(vzip1q_s32(high, high)));
      vst1q_s8(out_codes + 48, vreinterpretq_s8_s32(vzip2q_s32(high, high)));
    }
    *out_scale = vgetq_lane_f32(scales, 0);
  }

  // Integer sums of four rows and one token, of codes of 8 bits and of 4.
  struct EightBitSum {
    int32x4_t sum;
    void begin(const int32_t*& starts) { sum = load_start(starts); }
    // Four columns.
    void add(int8x16_t weights, int8x16_t x) {
      const int16x8_t first = vmull_s8(vget_low_s8(weights), vget_low_s8(x));
      sum = vpadalq_s16(sum, vmlal_high_s8(first, weights, x));
    }
    int32x4_t total(const int32_t*&) const { return sum; }
  };
  struct FourBitSum {
    int16x8_t sum;
    void begin(const int32_t*&) { sum = vdupq_n_s16(0); }
    void add(int8x16_t weights, int8x16_t x) {
      // One of two by SMULL and an addition: SMLAL runs on one of two units only.
      sum = vmlal_s8(sum, vget_low_s8(weights), vget_low_s8(x));
      int16x8_t product = vmull_high_s8(weights, x);
      asm("" : "+w"(product));  // else the compiler makes it SMLAL again
      sum = vaddq_s16(sum, product);
    }
    int32x4_t total(const int32_t*& starts) const { return vpadalq_s16(load_start(starts), sum); }
  };
  // Where codes are unpacked beside, the shifts take the other unit's time.
  struct FourBitSumByOne : FourBitSum {
    void add(int8x16_t weights, int8x16_t x) {
      sum = vmlal_high_s8(vmlal_s8(sum, vget_low_s8(weights), vget_low_s8(x)), weights, x);
    }
  };
  template <typename Sum>
  struct Pair {
    Sum low;
    Sum high;
    void begin(const int32_t*& starts) {
      low.begin(starts);
      high.begin(starts);
    }
  };
  template <typename Tile>
  using Sum = typename Choice<Tile::kIsFourBits, FourBitSum, EightBitSum>::Type;

  template <typename Tile, uint32_t kUnits>
  static void add_blocks(const CodesPiece& piece) noexcept {
    const uint8_t* block = piece.weights;
    const float* wide_scales = piece.wide_scales;
    const int32_t* starts = kSumStarts;
    float32x4_t sum[kUnits][2];
    load_sums(piece, sum);
    for (uint32_t b = 0; b < piece.blocks; ++b, block += Tile::kStride, wide_scales += kWideScales) {
      const int8_t* codes = piece.codes + size_t{b} * kUnitBlockCodes;
      Pair<Sum<Tile>> part[kUnits];
#pragma GCC unroll 8
      for (uint32_t u = 0; u < kUnits; ++u) part[u].begin(starts);
#pragma GCC unroll 8
      for (uint32_t quad = 0; quad < kBlock / 4; ++quad) {
        const int8x16_t low = WideCodes::load(block, 2 * quad);
        const int8x16_t high = WideCodes::load(block, 2 * quad + 1);
#pragma GCC unroll 8
        for (uint32_t u = 0; u < kUnits; ++u) {
          const int8x16_t x = vld1q_s8(codes + u * piece.unit_bytes + quad * 16);
          part[u].low.add(low, x);
          part[u].high.add(high, x);
        }
      }
      int32x4_t dot[kUnits][2];
#pragma GCC unroll 8
      for (uint32_t u = 0; u < kUnits; ++u) {
        dot[u][0] = part[u].low.total(starts);
        dot[u][1] = part[u].high.total(starts);
      }
      add_scaled_units<Tile>(piece, wide_scales, b, dot, sum);
    }
    store_sums(piece, sum);
  }

  template <typename Tile, uint32_t kStreams>
  static void one_token(const uint8_t* block, size_t apart, const int8_t* codes, const float* scales,
                        uint32_t blocks, float32x4_t (&out)[kStreams][2]) noexcept {
    using Codes = typename Choice<Tile::kIsFourBits, FourBitCodes, WideCodes>::Type;
    const int32_t* starts = Codes::kStarts;
    float32x4_t sum[kStreams][2];
    clear_sums(sum);
    for (uint32_t b = 0; b < blocks; ++b, block += Tile::kBlockBytes, codes += kUnitBlockCodes) {
#pragma GCC unroll 4
      for (uint32_t i = 0; i < kStreams; ++i) {
        const uint8_t* packed = block + i * apart;
        prefetch_weights<Tile>(packed);
        const uint8_t* weights = packed + Tile::kScaleBytes;
        Pair<typename Choice<Tile::kIsFourBits, FourBitSumByOne, EightBitSum>::Type> part;
        part.begin(starts);
#pragma GCC unroll 8
        for (uint32_t quad = 0; quad < kBlock / 4; ++quad) {
          const int8x16_t x = vld1q_s8(codes + quad * 16);
          part.low.add(Codes::load(weights, 2 * quad), x);
          part.high.add(Codes::load(weights, 2 * quad + 1), x);
        }
        add_scaled<Tile, Codes>(sum[i], part.low.total(starts), part.high.total(starts), packed, scales[b]);
      }
    }
    memcpy(out, sum, sizeof sum);
  }
};

}  // namespace

constinit const LinearKernels kQ8_0Linear = CodesLinear<Kernel, FormatQ8_0>::kernels();
constinit const LinearKernels kQ8RowLinear = CodesLinear<Kernel, FormatQ8Row>::kernels();
constinit const LinearKernels kQ4_0Linear = CodesLinear<Kernel, FormatQ4_0>::kernels();

}  // namespace stonechat::neon
