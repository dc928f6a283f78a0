// The forward pass: token ids in, final hidden states and logits out.
//
// An Executor belongs to one thread and uses one ThreadPool; several may share one Weights. Results don't
// depend on the number of threads, nor on how tokens are cut into batches (kernels/kernel_table.h).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/key_shift.h"
#include "model/kv_cache.h"
#include "model/observer.h"
#include "model/profile.h"
#include "model/rope.h"
#include "model/tuning.h"
#include "model/weights.h"

namespace stonechat {

// Which tokens' hidden states a caller wants.
enum class Wanted { kNone, kLast, kAll };

// The next tokens of one sequence.
struct SequenceTokens {
  KvCache* cache;
  std::span<const int32_t> tokens;  // not empty
  Wanted wanted = Wanted::kLast;
};

class Executor {
 public:
  // Error{kUsage} when a field of the tuning is out of its range.
  Executor(const Weights& weights, const KernelTable& kernels, ThreadPool& pool, const Tuning& tuning = {});

  // Appends the tokens to their caches. Afterwards hidden_rows() states are held, in the order of the
  // sequences and their wanted tokens. Error{kLimit} with both counts, and nothing done, when a cache has no
  // room; Error{kUsage} for an id outside of the vocabulary. `should_stop` is asked between batches; when it
  // says so, the rest is left out: Error{kInterrupted}, the caches hold what was done.
  void forward(std::span<const SequenceTokens> sequences);
  void forward(KvCache& cache, std::span<const int32_t> tokens, Wanted wanted = Wanted::kLast) {
    const SequenceTokens one{&cache, tokens, wanted};
    forward(std::span(&one, 1));
  }
  // From the next call of forward() on. Error{kUsage} as in the constructor; the old one then stays.
  void set_tuning(const Tuning& tuning);
  void set_should_stop(std::function<bool()> should_stop) { should_stop_ = std::move(should_stop); }

  // Steps are recorded there from now on; it outlives its use here. Null, the default: nowhere.
  void set_profile(Profile* profile) { profile_ = profile; }
  // Is told of activations from now on; it outlives its use here. Null, the default: nobody.
  void set_observer(Observer* observer) { observer_ = observer; }

  uint32_t hidden_rows() const { return hidden_rows_; }

  // The logits of hidden states [first, first + rows): rows x vocabulary floats, valid until the next call.
  // Error{kBadFile} when they aren't finite, which only a broken model gives.
  std::span<const float> logits(uint32_t first, uint32_t rows);
  // Of the last hidden state.
  std::span<const float> last_logits() { return logits(hidden_rows_ - 1, 1); }

  const Weights& weights() const { return weights_; }
  ThreadPool& pool() { return pool_; }
  // Memory that activations, logits and hidden states take now.
  size_t buffer_bytes() const;
  // Scratch memory of each thread.
  static size_t scratch_bytes(const ModelConfig& config, const KernelTable& kernels, const Tuning& tuning);

 private:
  // A run of consecutive tokens of one sequence within a batch.
  struct Run {
    KvCache* cache;
    uint32_t first_token;  // in the batch
    uint32_t tokens;
    uint32_t first_position;
  };

  void check(std::span<const SequenceTokens> sequences) const;
  void forward_batch(std::span<const int32_t> tokens, std::span<const Run> runs);
  void attention(uint32_t layer, uint32_t tokens, std::span<const Run> runs);
  void rotate_and_store(uint32_t layer, uint32_t tokens, std::span<const Run> runs);
  void transform_for_codes(uint32_t layer, const KvCache& cache, float* queries_and_keys) const;
  void attend(uint32_t layer, std::span<const Run> runs);
  void mlp(uint32_t layer, uint32_t tokens);
  // Gate and up products of prepared_, SiLU, and their product prepared for the down matrix.
  void gate_up_and_prepare(uint32_t layer, uint32_t tokens);

  // Records that a step has ended; `cost()` gives what it had to do.
  template <typename CostOf>
  void lap(Step step, CostOf&& cost) const {
    if (profile_ != nullptr) profile_->lap(step, cost());
  }
  // FP32 values read and written by a step without weights.
  static Cost values_cost(uint64_t tokens, uint64_t values) {
    return {.bytes = static_cast<double>(tokens * values * sizeof(float))};
  }

  // Tells the observer, if there is one.
  void observe(Tap tap, uint32_t layer, const float* values, uint32_t tokens, uint32_t channels,
               size_t stride) const {
    if (observer_ != nullptr) observer_->observe({tap, layer, values, tokens, channels, stride}, pool_);
  }
  // As PackedMatrix::multiply().
  void multiply(const PackedMatrix& matrix, const AlignedBuffer& prepared, uint32_t tokens,
                std::span<const float> bias, float* out, size_t out_stride, bool add_to_out);
  // Adds a product to the residual stream; an observer sees it alone.
  void add_product(const PackedMatrix& matrix, const AlignedBuffer& prepared, Tap tap, uint32_t layer,
                   uint32_t tokens);
  // Queries, keys before and after their rotation, and values of a batch.
  void observe_qkv(uint32_t layer, uint32_t tokens, std::span<const Run> runs);
  // Copies a piece of gate and up (32 columns of each in turns) and of their product to observed_, which has
  // three matrices of mlp_values.
  void keep_mlp_piece(const float* gate_up, const float* product, uint32_t first_col, uint32_t cols,
                      uint32_t first_token, uint32_t end_token, size_t mlp_values);

  // Tokens of a batch go through each step in blocks of so many, a multiple of `multiple` and at most the
  // tuning's token_block. A thread begins with the same ones in all steps: it finds what it wrote in its own
  // caches, and doesn't write to what another one has in its.
  uint32_t token_block(uint32_t tokens, uint32_t multiple) const;
  // Splits [0, tokens) among the threads, at multiples of `multiple`.
  template <typename Body>
  void for_tokens(uint32_t tokens, uint32_t multiple, Body&& body);
  // Calls body(worker, item) for each item, in any order.
  template <typename Body>
  void for_items(uint32_t items, Body&& body);
  size_t scratch_bytes() const { return scratch_bytes(weights_.config, kernels_, tuning_); }
  // Of a token of the batch: head_dim / 2 cosines, then as many sines.
  float* cosines_of(uint32_t token) {
    return rotations_.as<float>() + size_t{token} * weights_.config.head_dim;
  }
  // Turns `count` heads of a token of the batch by its position.
  void rotate(float* heads, uint32_t count, uint32_t token);
  // Normalizes `tokens` rows of the residual stream and prepares them for `matrix` in prepared_.
  void norm_and_prepare(const std::vector<float>& weight, const PackedMatrix& matrix, uint32_t tokens);
  void prepare(const float* x, const PackedMatrix& matrix, uint32_t tokens);
  // Prepares tokens [begin, end) of x[token * cols + col].
  void prepare_all_cols(const LinearKernels& linear, const float* x, uint32_t cols, uint32_t begin,
                        uint32_t end);

  const Weights& weights_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  Tuning tuning_;
  std::vector<double> rope_frequencies_;
  KeyShiftTable key_shifts_;
  std::function<bool()> should_stop_;
  Profile* profile_ = nullptr;
  Observer* observer_ = nullptr;

  // Activations of a batch, rows are tokens.
  AlignedBuffer residual_{MemoryPart::kActivations};  // (tokens, width)
  AlignedBuffer normed_{
      MemoryPart::kActivations};  // (tokens, width), also the attention's output (tokens, query_width)
  AlignedBuffer rotations_{MemoryPart::kActivations};  // (tokens, head_dim): cosines, then sines
  // (tokens, query_width + 2 kv_width): a layer's queries, keys and values; then what is prepared for its
  // down product, when they aren't needed any more.
  AlignedBuffer qkv_or_down_{MemoryPart::kActivations};
  AlignedBuffer prepared_{MemoryPart::kActivations};  // for any other product, the head's too
  AlignedBuffer scratch_{MemoryPart::kActivations};   // one piece a thread
  AlignedBuffer hidden_{MemoryPart::kActivations};    // (hidden_rows, width), after the last norm
  AlignedBuffer logits_{MemoryPart::kLogits};
  AlignedBuffer observed_{
      MemoryPart::kActivations};  // (tokens, width) or three of (tokens, mlp_width); only for an observer
  uint32_t hidden_rows_ = 0;
};

}  // namespace stonechat
