#include "model/executor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/checked.h"
#include "base/error.h"

namespace stonechat {
namespace {

// The sum of x - x is 0, or NaN as soon as one x isn't finite. Several sums, which the compiler puts into
// vectors.
bool are_finite(std::span<const float> values) {
  constexpr size_t kSums = 16;
  float sums[kSums] = {};
  size_t i = 0;
  for (; i + kSums <= values.size(); i += kSums) {
    for (size_t j = 0; j < kSums; ++j) sums[j] += values[i + j] - values[i + j];
  }
  for (; i < values.size(); ++i) sums[0] += values[i] - values[i];
  return std::all_of(std::begin(sums), std::end(sums), [](float sum) { return sum == 0; });
}

}  // namespace

Executor::Executor(const Weights& weights, const KernelTable& kernels, ThreadPool& pool, const Tuning& tuning)
    : weights_(weights),
      kernels_(kernels),
      pool_(pool),
      rope_frequencies_(rope_frequencies(weights.config, weights.rope_factors)),
      key_shifts_(weights, *kernels.vector, rope_frequencies_) {
  set_tuning(tuning);
}

void Executor::set_tuning(const Tuning& tuning) {
  stonechat::check(tuning);
  tuning_ = tuning;
}

size_t Executor::buffer_bytes() const {
  return residual_.bytes() + normed_.bytes() + rotations_.bytes() + qkv_or_down_.bytes() + prepared_.bytes() +
         scratch_.bytes() + hidden_.bytes() + logits_.bytes() + observed_.bytes();
}

void Executor::check(std::span<const SequenceTokens> sequences) const {
  for (const auto& sequence : sequences) {
    const KvCache& cache = *sequence.cache;
    if (sequence.tokens.size() > cache.capacity() - cache.length()) {
      fail(ErrorKind::kLimit, "the context holds {} tokens: {} are there, {} more do not fit",
           cache.capacity(), cache.length(), sequence.tokens.size());
    }
    for (const int32_t token : sequence.tokens) {
      if (token < 0 || static_cast<uint32_t>(token) >= weights_.config.vocabulary) {
        fail(ErrorKind::kUsage, "token id {} is outside of the model's vocabulary of {}", token,
             weights_.config.vocabulary);
      }
    }
  }
}

void Executor::forward(std::span<const SequenceTokens> sequences) {
  check(sequences);
  const bool decodes = std::all_of(sequences.begin(), sequences.end(), [](const SequenceTokens& sequence) {
    return sequence.tokens.size() == 1;
  });
  if (const uint32_t threads = decodes ? tuning_.decode_threads : tuning_.prompt_threads; threads != 0)
    pool_.resize(threads);
  const uint32_t width = weights_.config.width;
  uint64_t wanted_rows = 0;
  for (const auto& sequence : sequences) {
    if (sequence.wanted == Wanted::kAll) wanted_rows += sequence.tokens.size();
    if (sequence.wanted == Wanted::kLast) wanted_rows += 1;
  }
  hidden_.reserve(wanted_rows * width * sizeof(float));
  // At once for all batches: tables that grow leave their old memory on the heap.
  for (const auto& sequence : sequences) {
    const auto positions = static_cast<uint32_t>(sequence.cache->length() + sequence.tokens.size());
    key_shifts_.reserve(positions);
  }
  hidden_rows_ = 0;

  std::vector<int32_t> tokens;
  std::vector<Run> runs;
  std::vector<uint32_t> wanted;  // tokens of the batch whose states are kept
  const auto flush = [&] {
    if (tokens.empty()) return;
    forward_batch(tokens, runs);
    for (const uint32_t token : wanted) {
      kernels_.vector->rms_norm(residual_.as<float>() + size_t{token} * width, weights_.output_norm.data(),
                                weights_.config.rms_epsilon, width,
                                hidden_.as<float>() + size_t{hidden_rows_++} * width);
    }
    lap(Step::kNorm, [&] { return values_cost(wanted.size(), 2 * width); });
    tokens.clear();
    runs.clear();
    wanted.clear();
  };
  for (const auto& sequence : sequences) {
    for (size_t done = 0; done < sequence.tokens.size();) {
      if (should_stop_ && should_stop_()) fail(ErrorKind::kInterrupted, "interrupted");
      const size_t room = tuning_.batch - tokens.size();
      const auto piece = sequence.tokens.subspan(done, std::min(room, sequence.tokens.size() - done));
      const auto first = static_cast<uint32_t>(tokens.size());
      const auto count = static_cast<uint32_t>(piece.size());
      // A sequence's earlier run may wait in this very batch only when it comes twice, which callers don't
      // do.
      runs.push_back({sequence.cache, first, count, sequence.cache->length()});
      tokens.insert(tokens.end(), piece.begin(), piece.end());
      done += piece.size();
      if (sequence.wanted == Wanted::kAll) {
        for (uint32_t i = 0; i < count; ++i) wanted.push_back(first + i);
      } else if (sequence.wanted == Wanted::kLast && done == sequence.tokens.size()) {
        wanted.push_back(first + count - 1);
      }
      if (tokens.size() == tuning_.batch) flush();
    }
  }
  flush();
}

uint32_t Executor::token_block(uint32_t tokens, uint32_t multiple) const {
  // Each block reads all weights anew, and with fewer tokens that would take longer than it saves.
  constexpr uint64_t kLeastTokens = 64;
  const uint64_t blocks = ceil_div(tokens, tuning_.token_block);
  const uint64_t equal_blocks = round_up(blocks, pool_.threads());
  const uint64_t block = ceil_div(tokens, tokens / equal_blocks < kLeastTokens ? blocks : equal_blocks);
  return static_cast<uint32_t>(round_up(block, multiple));
}

template <typename Body>
void Executor::for_tokens(uint32_t tokens, uint32_t multiple, Body&& body) {
  // Few tokens are done by one thread sooner than two threads have agreed to share them.
  const uint64_t chunk =
      tokens <= tuning_.few_tokens ? tokens : round_up(ceil_div(tokens, pool_.threads() * 16), multiple);
  pool_.for_each_chunk(tokens, chunk, [&](uint64_t begin, uint64_t end) {
    body(static_cast<uint32_t>(begin), static_cast<uint32_t>(end));
  });
}

template <typename Body>
void Executor::for_items(uint32_t items, Body&& body) {
  pool_.for_each_part(items, 1, [&](uint64_t begin, uint64_t end, uint32_t worker) {
    for (uint64_t item = begin; item < end; ++item) body(worker, static_cast<uint32_t>(item));
  });
}

size_t Executor::scratch_bytes(const ModelConfig& config, const KernelTable& kernels, const Tuning& tuning) {
  const size_t of_mlp = size_t{tuning.token_block} * 3 * tuning.mlp_piece * sizeof(float);
  return round_up(std::max(of_mlp, kernels.attention->scratch_bytes(config.head_dim)), 64);
}

void Executor::prepare_all_cols(const LinearKernels& linear, const float* x, uint32_t cols, uint32_t begin,
                                uint32_t end) {
  const PrepareJob job = {x + size_t{begin} * cols, cols, cols, 0, cols, begin, end, prepared_.data()};
  linear.prepare(&job);
}

void Executor::norm_and_prepare(const std::vector<float>& weight, const PackedMatrix& matrix,
                                uint32_t tokens) {
  const uint32_t width = weights_.config.width;
  const LinearKernels& linear = matrix.linear();
  prepared_.reserve(linear.prepared_bytes(tokens, width));
  for_tokens(tokens, linear.tile_tokens, [&](uint32_t begin, uint32_t end) {
    for (uint32_t token = begin; token < end; ++token) {
      kernels_.vector->rms_norm(residual_.as<float>() + size_t{token} * width, weight.data(),
                                weights_.config.rms_epsilon, width,
                                normed_.as<float>() + size_t{token} * width);
    }
    prepare_all_cols(linear, normed_.as<float>(), width, begin, end);
  });
}

void Executor::prepare(const float* x, const PackedMatrix& matrix, uint32_t tokens) {
  const LinearKernels& linear = matrix.linear();
  prepared_.reserve(linear.prepared_bytes(tokens, matrix.cols()));
  for_tokens(tokens, linear.tile_tokens,
             [&](uint32_t begin, uint32_t end) { prepare_all_cols(linear, x, matrix.cols(), begin, end); });
}

void Executor::forward_batch(std::span<const int32_t> tokens, std::span<const Run> runs) {
  const ModelConfig& config = weights_.config;
  const auto count = static_cast<uint32_t>(tokens.size());
  residual_.reserve(size_t{count} * config.width * sizeof(float));
  normed_.reserve(size_t{count} * std::max(config.width, config.query_width()) * sizeof(float));
  qkv_or_down_.reserve(size_t{count} * config.qkv_width() * sizeof(float));
  scratch_.reserve(pool_.threads() * scratch_bytes());
  rotations_.reserve(size_t{count} * config.head_dim * sizeof(float));

  if (profile_ != nullptr) profile_->start();
  for (uint32_t token = 0; token < count; ++token) {
    weights_.embedding.unpack_row(static_cast<uint32_t>(tokens[token]),
                                  residual_.as<float>() + size_t{token} * config.width);
  }
  for (const Run& run : runs) {
    for (uint32_t i = 0; i < run.tokens; ++i) {
      float* cosines = cosines_of(run.first_token + i);
      rope_rotation(rope_frequencies_, run.first_position + i, cosines, cosines + config.head_dim / 2);
    }
  }
  lap(Step::kEmbedding, [&] { return values_cost(count, config.width); });
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    attention(layer, count, runs);
    mlp(layer, count);
  }
  for (const Run& run : runs) run.cache->extend(run.tokens);
}

void Executor::attention(uint32_t layer, uint32_t tokens, std::span<const Run> runs) {
  const ModelConfig& config = weights_.config;
  const LayerWeights& layer_weights = weights_.layers[layer];
  norm_and_prepare(layer_weights.attention_norm, layer_weights.qkv, tokens);
  observe(Tap::kQkvIn, layer, normed_.as<float>(), tokens, config.width, config.width);
  lap(Step::kNorm, [&] { return values_cost(tokens, 2 * config.width); });
  pool_.set_next_read(layer_weights.attention_out.pack());
  multiply(layer_weights.qkv, prepared_, tokens, layer_weights.qkv_bias, qkv_or_down_.as<float>(),
           layer_weights.qkv.rows(), /*add_to_out=*/false);
  lap(Step::kQkv, [&] { return product_cost(layer_weights.qkv, tokens); });
  if (observer_ != nullptr) observe_qkv(layer, tokens, runs);
  rotate_and_store(layer, tokens, runs);
  lap(Step::kRope, [&] { return values_cost(tokens, 2 * layer_weights.qkv.rows()); });
  attend(layer, runs);
  lap(Step::kAttention, [&] {
    Cost cost;
    for (const Run& run : runs)
      cost += attention_cost(config, run.cache->formats(), run.first_position, run.tokens);
    return cost;
  });
  observe(Tap::kAttentionIn, layer, normed_.as<float>(), tokens, config.query_width(), config.query_width());
  prepare(normed_.as<float>(), layer_weights.attention_out, tokens);
  lap(Step::kNorm, [&] { return values_cost(tokens, config.query_width()); });
  pool_.set_next_read(layer_weights.gate_up.pack());
  add_product(layer_weights.attention_out, prepared_, Tap::kAttentionOut, layer, tokens);
  lap(Step::kAttentionOut, [&] { return product_cost(layer_weights.attention_out, tokens); });
}

void Executor::rotate(float* heads, uint32_t count, uint32_t token) {
  const uint32_t head_dim = weights_.config.head_dim;
  const float* cosines = cosines_of(token);
  kernels_.vector->rope(heads, count, head_dim, cosines, cosines + head_dim / 2);
}

void Executor::rotate_and_store(uint32_t layer, uint32_t tokens, std::span<const Run> runs) {
  const ModelConfig& config = weights_.config;
  const uint32_t qkv_width = config.qkv_width();
  const uint32_t rotated_heads = config.heads + config.kv_heads;  // queries and keys lie side by side
  for_tokens(tokens, weights_.layers[layer].qkv.linear().tile_tokens, [&](uint32_t begin, uint32_t end) {
    for (const Run& run : runs) {
      const uint32_t run_end = std::min(end, run.first_token + run.tokens);
      for (uint32_t token = std::max(begin, run.first_token); token < run_end; ++token) {
        const uint32_t position = run.first_position + (token - run.first_token);
        float* row = qkv_or_down_.as<float>() + size_t{token} * qkv_width;
        rotate(row, rotated_heads, token);
        float* keys = row + config.query_width();
        if (const float* left_out = key_shifts_.left_out(layer, position); left_out != nullptr) {
          for (uint32_t i = 0; i < config.kv_width(); ++i) keys[i] -= left_out[i];
        }
        transform_for_codes(layer, *run.cache, row);
        run.cache->store(*kernels_.vector, layer, position, keys, keys + config.kv_width());
      }
    }
  });
}

// Keys that are cached in 8 bits, and the queries that meet them, are spread over all dimensions first: their
// largest number, which sets the step of a code, comes down.
void Executor::transform_for_codes(uint32_t layer, const KvCache& cache, float* queries_and_keys) const {
  const ModelConfig& config = weights_.config;
  const uint32_t group_heads = config.heads / config.kv_heads;
  for (uint32_t kv_head = 0; kv_head < config.kv_heads; ++kv_head) {
    if (cache.keys(layer, kv_head).format != kCacheQ8) continue;
    kernels_.vector->hadamard(queries_and_keys + size_t{kv_head} * group_heads * config.head_dim, group_heads,
                              config.head_dim);
    kernels_.vector->hadamard(queries_and_keys + (size_t{config.heads} + kv_head) * config.head_dim, 1,
                              config.head_dim);
  }
}

void Executor::attend(uint32_t layer, std::span<const Run> runs) {
  const ModelConfig& config = weights_.config;
  const uint32_t qkv_width = config.qkv_width();
  const uint32_t group_heads = config.heads / config.kv_heads;
  // One item: some tokens of a run, the query heads of one key/value head.
  constexpr uint32_t kTokensPerItem = 18;
  struct Item {
    const Run* run;
    uint32_t kv_head;
    uint32_t begin;
    uint32_t end;
  };
  std::vector<Item> items;
  // A block's items lie together, as the thread that multiplied its tokens begins with them; those of a head
  // in turn, which read the same keys and values.
  for (const Run& run : runs) {
    const uint32_t block = token_block(run.tokens, weights_.layers[layer].qkv.linear().tile_tokens);
    for (uint32_t first = 0; first < run.tokens; first += block) {
      const uint32_t block_end = std::min(run.tokens, first + block);
      for (uint32_t kv_head = 0; kv_head < config.kv_heads; ++kv_head) {
        for (uint32_t begin = first; begin < block_end; begin += kTokensPerItem)
          items.push_back({&run, kv_head, begin, std::min(block_end, begin + kTokensPerItem)});
      }
    }
  }
  // Heads that share a key/value head read it together. They part only where threads would have no work
  // otherwise: in decoding, with more threads than key/value heads.
  const auto all = static_cast<uint32_t>(items.size());
  const auto parts_wanted = std::min<uint64_t>(group_heads, ceil_div(pool_.threads(), all));
  const auto part_heads = static_cast<uint32_t>(ceil_div(group_heads, parts_wanted));
  const auto parts = static_cast<uint32_t>(ceil_div(group_heads, part_heads));
  for_items(all * parts, [&](uint32_t worker, uint32_t index) {
    const Item& item = items[index / parts];
    const uint32_t first_head = index % parts * part_heads;  // of the group
    const size_t first_col = size_t{item.kv_head * group_heads + first_head} * config.head_dim;
    const Run& run = *item.run;
    const CachedHead keys = run.cache->keys(layer, item.kv_head);
    const bool transformed = keys.format == kCacheQ8;
    const float larger = transformed ? static_cast<float>(hadamard_run(config.head_dim)) : 1.0F;
    const AttentionJob job = {
        .queries = qkv_or_down_.as<float>() + size_t{run.first_token} * qkv_width + first_col,
        .query_stride = qkv_width,
        .group_heads = std::min(part_heads, group_heads - first_head),
        .head_dim = config.head_dim,
        .first_token = item.begin,
        .end_token = item.end,
        .first_position = run.first_position,
        .keys = keys,
        .values = run.cache->values(layer, item.kv_head),
        .shifts = key_shifts_.shifts(layer, item.kv_head, transformed),
        .scale = 1.0F / std::sqrt(static_cast<float>(config.head_dim)) / larger,
        .out = normed_.as<float>() + size_t{run.first_token} * config.query_width() + first_col,
        .out_stride = config.query_width(),
        .scratch = reinterpret_cast<float*>(scratch_.data() + worker * scratch_bytes()),
    };
    kernels_.attention->attend(&job);
  });
}

void Executor::mlp(uint32_t layer, uint32_t tokens) {
  const LayerWeights& layer_weights = weights_.layers[layer];
  norm_and_prepare(layer_weights.mlp_norm, layer_weights.gate_up, tokens);
  observe(Tap::kGateUpIn, layer, normed_.as<float>(), tokens, weights_.config.width, weights_.config.width);
  lap(Step::kNorm, [&] { return values_cost(tokens, 2 * weights_.config.width); });
  pool_.set_next_read(layer_weights.down.pack());
  gate_up_and_prepare(layer, tokens);
  lap(Step::kGateUp, [&] { return product_cost(layer_weights.gate_up, tokens); });
  const bool is_last = layer + 1 == weights_.config.layers;
  pool_.set_next_read((is_last ? weights_.head_matrix() : weights_.layers[layer + 1].qkv).pack());
  add_product(layer_weights.down, qkv_or_down_, Tap::kDownOut, layer, tokens);
  lap(Step::kDown, [&] { return product_cost(layer_weights.down, tokens); });
}

void Executor::gate_up_and_prepare(uint32_t layer, uint32_t tokens) {
  const LayerWeights& layer_weights = weights_.layers[layer];
  const uint32_t mlp_width = weights_.config.mlp_width;
  const size_t mlp_values = size_t{tokens} * mlp_width;
  if (observer_ != nullptr) observed_.reserve(3 * mlp_values * sizeof(float));
  const LinearKernels& down = layer_weights.down.linear();
  qkv_or_down_.reserve(down.prepared_bytes(tokens, mlp_width));
  // An item is a piece of the columns for a block of tokens; its gates and ups never leave the cache. A few
  // tokens take as many pieces at once as the scratch has room for.
  const auto pieces = static_cast<uint32_t>(ceil_div(mlp_width, tuning_.mlp_piece));
  const uint32_t block =
      token_block(tokens, std::lcm(layer_weights.gate_up.linear().tile_tokens, down.tile_tokens));
  const auto token_blocks = static_cast<uint32_t>(ceil_div(tokens, block));
  const uint32_t at_once = token_blocks == 1 ? tuning_.token_block / tokens : 1;
  pool_.for_each_part(pieces * token_blocks, 1, [&](uint64_t begin, uint64_t end, uint32_t worker) {
    for (auto item = static_cast<uint32_t>(begin); item < end; item += at_once) {
      const uint32_t item_pieces = std::min(at_once, static_cast<uint32_t>(end) - item);
      const uint32_t first_col = item % pieces * tuning_.mlp_piece;
      const uint32_t end_col = std::min(mlp_width, first_col + item_pieces * tuning_.mlp_piece);
      const uint32_t first_token = item / pieces * block;
      const uint32_t end_token = std::min(tokens, first_token + block);
      const uint32_t cols = end_col - first_col;
      auto* gate_up = reinterpret_cast<float*>(scratch_.data() + worker * scratch_bytes());
      float* activations = gate_up + size_t{tuning_.token_block} * 2 * tuning_.mlp_piece;
      const LinearJob product = {
          .weights = layer_weights.gate_up.pack().data(),
          .activations = prepared_.data(),
          .cols = layer_weights.gate_up.cols(),
          .first_row = 2 * first_col,
          .end_row = 2 * end_col,
          .first_token = first_token,
          .end_token = end_token,
          .bias = nullptr,
          .out = gate_up,
          .out_stride = size_t{2} * cols,
          .add_to_out = false,
      };
      layer_weights.gate_up.linear().multiply(&product);
      kernels_.vector->silu_multiply(gate_up, (end_token - first_token) * cols, activations);
      if (observer_ != nullptr) {
        keep_mlp_piece(gate_up, activations, first_col, cols, first_token, end_token, mlp_values);
      }
      const PrepareJob preparation = {activations, cols,        mlp_width, first_col,
                                      end_col,     first_token, end_token, qkv_or_down_.data()};
      down.prepare(&preparation);
    }
  });
  if (observer_ == nullptr) return;
  const Tap taps[] = {Tap::kGateOut, Tap::kUpOut, Tap::kDownIn};
  for (size_t i = 0; i < 3; ++i)
    observe(taps[i], layer, observed_.as<float>() + i * mlp_values, tokens, mlp_width, mlp_width);
}

void Executor::keep_mlp_piece(const float* gate_up, const float* product, uint32_t first_col, uint32_t cols,
                              uint32_t first_token, uint32_t end_token, size_t mlp_values) {
  constexpr uint32_t kTurn = 32;
  const uint32_t mlp_width = weights_.config.mlp_width;
  for (uint32_t token = first_token; token < end_token; ++token) {
    float* gate = observed_.as<float>() + size_t{token} * mlp_width + first_col;
    for (uint32_t col = 0; col < cols; col += kTurn) {
      std::copy_n(gate_up + size_t{2} * col, kTurn, gate + col);
      std::copy_n(gate_up + size_t{2} * col + kTurn, kTurn, gate + mlp_values + col);
    }
    std::copy_n(product, cols, gate + 2 * mlp_values);
    gate_up += size_t{2} * cols;
    product += cols;
  }
}

void Executor::observe_qkv(uint32_t layer, uint32_t tokens, std::span<const Run> runs) {
  const ModelConfig& config = weights_.config;
  const uint32_t query_width = config.query_width();
  const uint32_t kv_width = config.kv_width();
  const size_t stride = config.qkv_width();
  const auto* queries = qkv_or_down_.as<float>();
  const float* keys = queries + query_width;
  observe(Tap::kQueryOut, layer, queries, tokens, query_width, stride);
  observe(Tap::kKeyOut, layer, keys, tokens, kv_width, stride);
  observe(Tap::kValueOut, layer, keys + kv_width, tokens, kv_width, stride);
  // A copy, as the cache holds keys without their offset.
  observed_.reserve(size_t{tokens} * kv_width * sizeof(float));
  auto* rotated = observed_.as<float>();
  for (const Run& run : runs) {
    for (uint32_t i = 0; i < run.tokens; ++i) {
      const size_t token = size_t{run.first_token} + i;
      float* row = rotated + token * kv_width;
      std::copy_n(keys + token * stride, kv_width, row);
      rotate(row, config.kv_heads, static_cast<uint32_t>(token));
    }
  }
  observe(Tap::kKeyRotated, layer, rotated, tokens, kv_width, kv_width);
}

void Executor::multiply(const PackedMatrix& matrix, const AlignedBuffer& prepared, uint32_t tokens,
                        std::span<const float> bias, float* out, size_t out_stride, bool add_to_out) {
  matrix.multiply(prepared, tokens, token_block(tokens, matrix.linear().tile_tokens), bias, out, out_stride,
                  add_to_out, pool_);
}

void Executor::add_product(const PackedMatrix& matrix, const AlignedBuffer& prepared, Tap tap, uint32_t layer,
                           uint32_t tokens) {
  const uint32_t width = weights_.config.width;
  if (observer_ == nullptr) {
    multiply(matrix, prepared, tokens, {}, residual_.as<float>(), width, /*add_to_out=*/true);
    return;
  }
  const size_t count = size_t{tokens} * width;
  observed_.reserve(count * sizeof(float));
  multiply(matrix, prepared, tokens, {}, observed_.as<float>(), width, /*add_to_out=*/false);
  for (size_t i = 0; i < count; ++i) residual_.as<float>()[i] += observed_.as<float>()[i];
  observe(tap, layer, observed_.as<float>(), tokens, width, width);
}

std::span<const float> Executor::logits(uint32_t first, uint32_t rows) {
  const PackedMatrix& head = weights_.head_matrix();
  const size_t count = size_t{rows} * head.rows();
  logits_.reserve(count * sizeof(float));
  if (profile_ != nullptr) profile_->start();
  const float* hidden = hidden_.as<float>() + size_t{first} * weights_.config.width;
  observe(Tap::kHeadIn, 0, hidden, rows, weights_.config.width, weights_.config.width);
  prepare(hidden, head, rows);
  pool_.set_next_read(weights_.layers[0].qkv.pack());
  multiply(head, prepared_, rows, {}, logits_.as<float>(), head.rows(), /*add_to_out=*/false);
  const auto result = std::span<const float>(logits_.as<float>(), count);
  if (!are_finite(result)) {
    fail(ErrorKind::kBadFile, "the model's logits are not finite: its weights are broken");
  }
  observe(Tap::kHeadOut, 0, logits_.as<float>(), rows, head.rows(), head.rows());
  lap(Step::kHead, [&] { return product_cost(head, rows); });
  return result;
}

}  // namespace stonechat
