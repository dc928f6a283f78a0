// The kernels in plain C++: the meaning of kernel_table.h in its shortest form, for every processor.
//
// A tile is one row as it lies in the file.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "kernels/float_packs.h"
#include "kernels/scalar_limits.h"
#include "kernels/tables.h"
#include "quant/block_formats.h"

namespace stonechat {
namespace {

constexpr uint32_t kLanes = 16;  // partial sums of rows, which tree() adds

struct ActivationBlock {
  float scale;
  int8_t codes[kBlock];
};

constexpr size_t round_up_64(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// How a row of each format is stored and read.
struct F32 {
  static constexpr size_t row_bytes(uint32_t cols) { return size_t{cols} * 4; }
  static float weight(const void* row, uint32_t col) noexcept { return static_cast<const float*>(row)[col]; }
};
struct F16 {
  static constexpr size_t row_bytes(uint32_t cols) { return size_t{cols} * 2; }
  static float weight(const void* row, uint32_t col) noexcept {
    return half_to_float(static_cast<const uint16_t*>(row)[col]);
  }
};
struct Bf16 {
  static constexpr size_t row_bytes(uint32_t cols) { return size_t{cols} * 2; }
  static float weight(const void* row, uint32_t col) noexcept {
    return bfloat_to_float(static_cast<const uint16_t*>(row)[col]);
  }
};
struct Q8_0 {
  using Block = BlockQ8_0;
  static constexpr size_t row_bytes(uint32_t cols) { return size_t{cols} / kBlock * sizeof(Block); }
  static int32_t code(const Block& block, uint32_t i) noexcept { return block.codes[i]; }
  static float weight(const void* row, uint32_t col) noexcept {
    const Block& block = static_cast<const Block*>(row)[col / kBlock];
    return half_to_float(block.d) * static_cast<float>(code(block, col % kBlock));
  }
};
struct Q4_0 {
  using Block = BlockQ4_0;
  static constexpr size_t row_bytes(uint32_t cols) { return size_t{cols} / kBlock * sizeof(Block); }
  static int32_t code(const Block& block, uint32_t i) noexcept {
    return (i < kBlock / 2 ? block.nibbles[i] & 15 : block.nibbles[i - kBlock / 2] >> 4) - 8;
  }
  static float weight(const void* row, uint32_t col) noexcept {
    const Block& block = static_cast<const Block*>(row)[col / kBlock];
    return half_to_float(block.d) * static_cast<float>(code(block, col % kBlock));
  }
};
struct Q8Row {
  static constexpr size_t row_bytes(uint32_t cols) { return sizeof(RowHeaderQ8) + cols; }
  static const int8_t* codes(const void* row) noexcept {
    return static_cast<const int8_t*>(row) + sizeof(RowHeaderQ8);
  }
  static float weight(const void* row, uint32_t col) noexcept {
    const auto* header = static_cast<const RowHeaderQ8*>(row);
    return header->mean + header->scale * static_cast<float>(codes(row)[col]);
  }
};

template <typename Format>
size_t tile_bytes(uint32_t cols) noexcept {
  return round_up_64(Format::row_bytes(cols));
}

template <typename Format>
void pack_tile(const void* source, uint32_t rows, uint32_t cols, void* tile) noexcept {
  assert(rows == 1);
  (void)rows;
  memcpy(tile, source, Format::row_bytes(cols));
}

template <typename Format>
const void* row_of(const void* pack, uint32_t row, uint32_t cols) noexcept {
  return static_cast<const char*>(pack) + row * tile_bytes<Format>(cols);
}

template <typename Format>
void unpack_row(const void* pack, uint32_t row, uint32_t cols, float* out) noexcept {
  const void* weights = row_of<Format>(pack, row, cols);
  for (uint32_t col = 0; col < cols; ++col) out[col] = Format::weight(weights, col);
}

size_t prepared_bytes_codes(uint32_t tokens, uint32_t cols) noexcept {
  return round_up_64(size_t{tokens} * (cols / kBlock) * sizeof(ActivationBlock));
}

void prepare_codes(const PrepareJob* job) noexcept {
  for (uint32_t token = job->first_token; token < job->end_token; ++token) {
    const float* values = job->x + (token - job->first_token) * job->x_stride;
    auto* row = static_cast<ActivationBlock*>(job->prepared) + size_t{token} * (job->cols / kBlock);
    for (uint32_t col = job->first_col; col < job->end_col; col += kBlock, values += kBlock) {
      ActivationBlock& out = row[col / kBlock];
      float largest = 0;
      for (uint32_t i = 0; i < kBlock; ++i) largest = fmaxf(largest, fabsf(values[i]));
      const bool is_zero = largest <= 1e-30F;
      out.scale = is_zero ? 0.0F : largest / 127.0F;
      const float inverse = is_zero ? 0.0F : 127.0F / largest;
      for (uint32_t i = 0; i < kBlock; ++i) out.codes[i] = static_cast<int8_t>(rintf(values[i] * inverse));
    }
  }
}

void store(const LinearJob* job, uint32_t token, uint32_t row, float value) noexcept {
  if (job->bias != nullptr) value = value + job->bias[row];
  float& out = job->out[(token - job->first_token) * job->out_stride + (row - job->first_row)];
  out = job->add_to_out ? out + value : value;
}

template <typename Format>
void multiply_float(const LinearJob* job) noexcept {
  for (uint32_t row = job->first_row; row < job->end_row; ++row) {
    const void* weights = row_of<Format>(job->weights, row, job->cols);
    for (uint32_t token = job->first_token; token < job->end_token; ++token) {
      const float* x = static_cast<const float*>(job->activations) + size_t{token} * job->cols;
      float sum = 0;
      for (uint32_t col = 0; col < job->cols; ++col) sum = fmaf(Format::weight(weights, col), x[col], sum);
      store(job, token, row, sum);
    }
  }
}

// Of formats with one scale a block.
template <typename Format>
void multiply_blocks(const LinearJob* job) noexcept {
  const uint32_t blocks = job->cols / kBlock;
  for (uint32_t row = job->first_row; row < job->end_row; ++row) {
    const auto* weights =
        static_cast<const typename Format::Block*>(row_of<Format>(job->weights, row, job->cols));
    for (uint32_t token = job->first_token; token < job->end_token; ++token) {
      const auto* x = static_cast<const ActivationBlock*>(job->activations) + size_t{token} * blocks;
      float sum = 0;
      for (uint32_t block = 0; block < blocks; ++block) {
        int32_t dot = 0;
        for (uint32_t i = 0; i < kBlock; ++i) dot += Format::code(weights[block], i) * x[block].codes[i];
        sum = fmaf(static_cast<float>(dot), half_to_float(weights[block].d) * x[block].scale, sum);
      }
      store(job, token, row, sum);
    }
  }
}

void multiply_rows(const LinearJob* job) noexcept {
  const uint32_t blocks = job->cols / kBlock;
  for (uint32_t row = job->first_row; row < job->end_row; ++row) {
    const void* stored = row_of<Q8Row>(job->weights, row, job->cols);
    const auto* header = static_cast<const RowHeaderQ8*>(stored);
    for (uint32_t token = job->first_token; token < job->end_token; ++token) {
      const auto* x = static_cast<const ActivationBlock*>(job->activations) + size_t{token} * blocks;
      const int8_t* codes = Q8Row::codes(stored);
      float sum = 0;
      float x_sum = 0;
      for (uint32_t block = 0; block < blocks; ++block, codes += kBlock) {
        int32_t dot = 0;
        int32_t code_sum = 0;
        for (uint32_t i = 0; i < kBlock; ++i) {
          dot += codes[i] * x[block].codes[i];
          code_sum += x[block].codes[i];
        }
        sum = fmaf(static_cast<float>(dot), x[block].scale, sum);
        x_sum = fmaf(static_cast<float>(code_sum), x[block].scale, x_sum);
      }
      const float scaled = sum * header->scale;
      store(job, token, row, header->mean == 0 ? scaled : fmaf(header->mean, x_sum, scaled));
    }
  }
}

float exp_shared(float x) noexcept {
  if (x < -87.0F) return 0;
  x = x > 88.0F ? 88.0F : x;
  const float n = rintf(x * kLog2E);
  float r = fmaf(n, -kLn2High, x);
  r = fmaf(n, -kLn2Low, r);
  float p = kExpCoefficients[0];
  for (int i = 1; i < 8; ++i) p = fmaf(p, r, kExpCoefficients[i]);
  return p * ldexpf(1.0F, static_cast<int>(n));
}

float exp2_shared(float x) noexcept {
  if (x < -125.0F) return 0;
  const float n = rintf(x);
  float p = kExp2Coefficients[0];
  for (int i = 1; i < 6; ++i) p = fmaf(p, x - n, kExp2Coefficients[i]);
  return p * ldexpf(1.0F, static_cast<int>(n));
}

// Of scores, as powers of two.
float scale_of(const AttentionJob* job) noexcept {
  return job->scale * kLog2E;
}

// Adds the upper half onto the lower until one value is left; destroys `values`.
float tree_sum(float* values, uint32_t count) noexcept {
  for (uint32_t half = count / 2; half > 0; half /= 2) {
    for (uint32_t i = 0; i < half; ++i) values[i] = values[i] + values[i + half];
  }
  return values[0];
}

float to_norm_codes(const float* x, uint32_t count, int16_t* codes) noexcept {
  float largest = 0;
  for (uint32_t i = 0; i < count; ++i) largest = fmaxf(largest, fabsf(x[i]));
  if (largest <= 1e-30F) {
    memset(codes, 0, count * sizeof *codes);
    return 0;
  }
  const float to_unit = 1.0F / largest;
  float sums[kLanes] = {};
  for (uint32_t i = 0; i < count; ++i) {
    const float unit = x[i] * to_unit;
    sums[i % kLanes] = fmaf(unit, unit, sums[i % kLanes]);
  }
  const float norm = sqrtf(tree_sum(sums, kLanes));
  const float to_code = kWordCodes / norm;
  for (uint32_t i = 0; i < count; ++i) codes[i] = static_cast<int16_t>(rintf((x[i] * to_unit) * to_code));
  return largest * (norm / kWordCodes);
}

size_t attention_scratch_bytes(uint32_t head_dim) noexcept {
  return round_up_64(head_dim * sizeof(float));
}

float key_at(const CachedHead& keys, uint32_t head_dim, uint32_t j, uint32_t d) noexcept {
  const size_t index = (size_t{j} / kKeyTile * head_dim + d) * kKeyTile + j % kKeyTile;
  return keys.format == kCacheF32 ? static_cast<const float*>(keys.data)[index]
                                  : half_to_float(static_cast<const uint16_t*>(keys.data)[index]);
}

float value_at(const CachedHead& values, uint32_t head_dim, uint32_t j, uint32_t d) noexcept {
  const size_t index = size_t{j} * head_dim + d;
  return values.format == kCacheF32 ? static_cast<const float*>(values.data)[index]
                                    : half_to_float(static_cast<const uint16_t*>(values.data)[index]);
}

int32_t code_at(const CachedHead& head, size_t index) noexcept {
  return head.format == kCacheQ8 ? static_cast<const int8_t*>(head.data)[index]
                                 : static_cast<const int16_t*>(head.data)[index];
}

// Codes of one head that lie side by side.
uint32_t run_of(const CachedHead& head) noexcept {
  return head.format == kCacheQ8 ? 4 : 2;
}

int32_t key_code(const CachedHead& keys, uint32_t head_dim, uint32_t j, uint32_t d) noexcept {
  const uint32_t run = run_of(keys);
  const size_t tile = (size_t{j} / kKeyTile * head_dim + d / run * run) * kKeyTile;
  return code_at(keys, tile + j % kKeyTile * run + d % run);
}

int32_t value_code(const CachedHead& values, uint32_t head_dim, uint32_t j, uint32_t d) noexcept {
  const uint32_t run = run_of(values);
  return code_at(values, (size_t{j} / run * head_dim + d) * run + j % run);
}

constexpr uint32_t kMostHeadDim = 256;

// A query and its codes, where keys are codes.
struct Query {
  const float* values;
  int32_t codes[kMostHeadDim];
  float scale;  // of the codes
};

Query make_query(const AttentionJob* job, const float* values) noexcept {
  Query query = {values, {}, 0};
  if (!has_codes(job->keys.format)) return query;
  if (job->keys.format == kCacheQ16) {
    int16_t codes[kMostHeadDim];
    query.scale = to_norm_codes(values, job->head_dim, codes);
    for (uint32_t d = 0; d < job->head_dim; ++d) query.codes[d] = codes[d];
    return query;
  }
  float largest = 0;
  for (uint32_t d = 0; d < job->head_dim; ++d) largest = fmaxf(largest, fabsf(values[d]));
  if (largest <= 1e-30F) return query;
  query.scale = largest / kFineCodes;
  const float inverse = kFineCodes / largest;
  for (uint32_t d = 0; d < job->head_dim; ++d)
    query.codes[d] = static_cast<int32_t>(rintf(values[d] * inverse));
  return query;
}

// c of AttentionKernels for the keys from `key` on.
float shift_of(const AttentionJob* job, const float* query, uint32_t key) noexcept {
  if (job->shifts == nullptr) return 0;
  const float* shift = job->shifts + size_t{key} / kKeyShift * job->head_dim;
  float sums[kLanes] = {};
  for (uint32_t d = 0; d < job->head_dim; ++d) sums[d % kLanes] = fmaf(query[d], shift[d], sums[d % kLanes]);
  return tree_sum(sums, kLanes) * scale_of(job);
}

float score(const AttentionJob* job, const Query& query, uint32_t j, float shift) noexcept {
  if (has_codes(job->keys.format)) {
    int32_t dot = 0;
    for (uint32_t d = 0; d < job->head_dim; ++d)
      dot += query.codes[d] * key_code(job->keys, job->head_dim, j, d);
    return fmaf(static_cast<float>(dot), (query.scale * scale_of(job)) * job->keys.scales[j], shift);
  }
  float dot = 0;
  for (uint32_t d = 0; d < job->head_dim; ++d)
    dot = fmaf(query.values[d], key_at(job->keys, job->head_dim, j, d), dot);
  return fmaf(dot, scale_of(job), shift);
}

// Adds the values of keys [first, first + keys) with their weights; `most` is what no weight exceeds, `sum`
// what they come to, `before` the factor for what was summed before.
void add_values(const AttentionJob* job, uint32_t first, uint32_t keys, const float* weights, float most,
                float sum, float before, float* sums) noexcept {
  if (!has_codes(job->values.format)) {
    for (uint32_t d = 0; d < job->head_dim; ++d) {
      float added = 0;
      for (uint32_t j = 0; j < keys; ++j)
        added = fmaf(weights[j], value_at(job->values, job->head_dim, first + j, d), added);
      sums[d] = fmaf(sums[d], before, added);
    }
    return;
  }
  float largest_scale = 0;
  for (uint32_t j = 0; j < keys; ++j) largest_scale = fmaxf(largest_scale, job->values.scales[first + j]);
  const bool is_word = job->values.format == kCacheQ16;
  const float bound = fmaxf((is_word ? fmaxf(most, sum * 0.5F) : most) * largest_scale, kLeastWeight);
  const float most_code = is_word ? kWordCodes : kFineCodes;
  const float unit = bound / most_code;
  const float inverse = most_code / bound;
  int32_t codes[kKeyStep];
  for (uint32_t j = 0; j < keys; ++j)
    codes[j] = static_cast<int32_t>(rintf((weights[j] * job->values.scales[first + j]) * inverse));
  for (uint32_t d = 0; d < job->head_dim; ++d) {
    int32_t dot = 0;
    for (uint32_t j = 0; j < keys; ++j)
      dot += codes[j] * value_code(job->values, job->head_dim, first + j, d);
    sums[d] = fmaf(sums[d], before, static_cast<float>(dot) * unit);
  }
}

void attend_one(const AttentionJob* job, const float* values, uint32_t visible, float* out) noexcept {
  const uint32_t head_dim = job->head_dim;
  const Query query = make_query(job, values);
  float* sums = job->scratch;
  for (uint32_t d = 0; d < head_dim; ++d) sums[d] = 0;
  float largest = -INFINITY;
  float total = 0;
  for (uint32_t first = 0; first < visible; first += kKeyStep) {
    const uint32_t keys = visible - first < kKeyStep ? visible - first : kKeyStep;
    const float shift = shift_of(job, values, first);
    float scores[kKeyStep];
    float step_largest = -INFINITY;
    for (uint32_t j = 0; j < keys; ++j) {
      scores[j] = score(job, query, first + j, shift);
      step_largest = scores[j] > step_largest ? scores[j] : step_largest;
    }
    const float new_largest = step_largest > largest ? step_largest : largest;
    const float correction = exp2_shared(largest - new_largest);
    for (uint32_t j = 0; j < kKeyStep; ++j)
      scores[j] = j < keys ? exp2_shared(scores[j] - new_largest) : 0.0F;
    float halves[kKeyStep];
    memcpy(halves, scores, sizeof halves);
    const float sum = tree_sum(halves, kKeyStep);
    add_values(job, first, keys, scores, exp2_shared(step_largest - new_largest), sum, correction, sums);
    total = fmaf(total, correction, sum);
    largest = new_largest;
  }
  for (uint32_t d = 0; d < head_dim; ++d) out[d] = sums[d] / total;
}

void attend(const AttentionJob* job) noexcept {
  for (uint32_t token = job->first_token; token < job->end_token; ++token) {
    for (uint32_t head = 0; head < job->group_heads; ++head) {
      const float* query = job->queries + token * job->query_stride + head * job->head_dim;
      attend_one(job, query, job->first_position + token + 1,
                 job->out + token * job->out_stride + head * job->head_dim);
    }
  }
}

void rms_norm(const float* x, const float* weight, float epsilon, uint32_t cols, float* out) noexcept {
  float partial[kLanes] = {};
  for (uint32_t i = 0; i < cols; ++i) partial[i % kLanes] = fmaf(x[i], x[i], partial[i % kLanes]);
  const float sum = tree_sum(partial, kLanes);
  float scale = 1.0F / sqrtf(sum / static_cast<float>(cols) + epsilon);
  if (isinf(sum)) {
    float shrunk[kLanes] = {};
    for (uint32_t i = 0; i < cols; ++i) {
      const float value = x[i] * kNormShrink;
      shrunk[i % kLanes] = fmaf(value, value, shrunk[i % kLanes]);
    }
    scale = kNormShrink / sqrtf(tree_sum(shrunk, kLanes) / static_cast<float>(cols));
  }
  for (uint32_t i = 0; i < cols; ++i) out[i] = (x[i] * scale) * weight[i];
}

void rope(float* x, uint32_t heads, uint32_t head_dim, const float* cosine, const float* sine) noexcept {
  const uint32_t half = head_dim / 2;
  for (uint32_t head = 0; head < heads; ++head, x += head_dim) {
    for (uint32_t i = 0; i < half; ++i) {
      const float a = x[i];
      const float b = x[i + half];
      x[i] = a * cosine[i] - b * sine[i];
      x[i + half] = b * cosine[i] + a * sine[i];
    }
  }
}

void hadamard(float* x, uint32_t heads, uint32_t head_dim) noexcept {
  const uint32_t run = hadamard_run(head_dim);
  for (float* end = x + size_t{heads} * head_dim; x != end; x += run) {
    for (uint32_t stride = 1; stride < run; stride *= 2) {
      for (uint32_t i = 0; i < run; ++i) {
        if ((i & stride) != 0) continue;
        const float a = x[i];
        const float b = x[i + stride];
        x[i] = a + b;
        x[i + stride] = a - b;
      }
    }
  }
}

void silu_multiply(const float* gate_up, uint32_t count, float* out) noexcept {
  for (uint32_t i = 0; i < count; ++i) {
    const float* gate = gate_up + i / kBlock * 2 * kBlock + i % kBlock;
    out[i] = (gate[0] / (1.0F + exp_shared(-gate[0]))) * gate[kBlock];
  }
}

void to_half(const float* x, uint32_t count, uint16_t* out) noexcept {
  for (uint32_t i = 0; i < count; ++i) out[i] = float_to_half(x[i]);
}

void gemv_f32_f32_q8t(const TensorScaleJob* job) noexcept {
  for (uint32_t row = job->first_row; row < job->end_row; ++row) {
    const int8_t* codes = job->codes + size_t{row} * job->cols;
    float sums[4] = {};
    for (uint32_t col = 0; col < job->cols; ++col) {
      sums[col % 4] = fmaf(static_cast<float>(codes[col]), job->x[col], sums[col % 4]);
    }
    job->y[row] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) * job->scale;
  }
}

template <typename Format>
constexpr LinearKernels float_kernels() {
  return {1,
          1,
          tile_bytes<Format>,
          pack_tile<Format>,
          unpack_row<Format>,
          FloatActivations::prepared_bytes,
          FloatActivations::prepare,
          multiply_float<Format>};
}

template <typename Format>
constexpr LinearKernels code_kernels(void (*multiply)(const LinearJob*) noexcept) {
  return {1,
          1,
          tile_bytes<Format>,
          pack_tile<Format>,
          unpack_row<Format>,
          prepared_bytes_codes,
          prepare_codes,
          multiply};
}

constexpr LinearKernels kF32Linear = float_kernels<F32>();
constexpr LinearKernels kF16Linear = float_kernels<F16>();
constexpr LinearKernels kBf16Linear = float_kernels<Bf16>();
constexpr LinearKernels kQ8_0Linear = code_kernels<Q8_0>(multiply_blocks<Q8_0>);
constexpr LinearKernels kQ8RowLinear = code_kernels<Q8Row>(multiply_rows);
constexpr LinearKernels kQ4_0Linear = code_kernels<Q4_0>(multiply_blocks<Q4_0>);
constexpr AttentionKernels kAttention = {attention_scratch_bytes, attend};
constexpr VectorKernels kVector = {rms_norm, rope, hadamard, silu_multiply, to_half, to_norm_codes};
constexpr TensorScaleKernels kTensorScale = {gemv_f32_f32_q8t};

}  // namespace

constinit const KernelTable kScalarKernels = {
    "scalar",
    0,
    {&kF32Linear, &kF16Linear, &kBf16Linear, &kQ8_0Linear, &kQ8RowLinear, &kQ4_0Linear},
    &kAttention,
    &kVector,
    &kTensorScale,
    &kScalarLimits,
};

}  // namespace stonechat
