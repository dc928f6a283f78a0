// A model's weights, read from a GGUF file and packed for the running kernels, or mapped from a packed file.
//
// Immutable after loading, so one Weights serves any number of executors. Shapes are (rows, cols) with rows
// the outputs; w = width, q = query_width, k = kv_width, m = mlp_width, v = vocabulary of the config.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernel_table.h"
#include "model/config.h"
#include "model/packed_matrix.h"

namespace stonechat {

struct LayerWeights {
  std::vector<float> attention_norm;  // (w)
  PackedMatrix qkv;                   // (q + k + k, w): query, key and value rows below each other
  std::vector<float> qkv_bias;        // (q + k + k), or empty
  PackedMatrix attention_out;         // (w, q)
  std::vector<float> mlp_norm;        // (w)
  PackedMatrix gate_up;               // (m + m, w): 32 gate rows, their 32 up rows, and so on
  PackedMatrix down;                  // (w, m)
};

struct Weights {
  ModelConfig config;
  PackedMatrix embedding;            // (v, w), also the head when `head` is empty
  std::optional<PackedMatrix> head;  // (v, w)
  std::vector<LayerWeights> layers;
  std::vector<float> output_norm;  // (w)
  // (layers, kv_heads) heads whose keys need more than 8 bits: see heads_with_fast_bias().
  std::vector<bool> wide_key_heads;
  std::vector<float> rope_factors;  // (head_dim / 2) divisors of the frequencies, or empty

  uint64_t file_bytes = 0;    // of the tensors as stored in the GGUF file
  uint64_t parameters = 0;    // elements of all tensors but rope_factors
  std::string file_type;      // the type of most parameters in the file, "Q8_0"
  uint64_t packed_bytes = 0;  // of all packs

  // In the order of all_stack_plans().
  std::vector<PackedMatrix*> matrices();

  const PackedMatrix& head_matrix() const { return head ? *head : embedding; }

  // Error{kBadFile} naming tensor, expected and found shape when one is missing, of another shape, not
  // finite, or not known. `notice` is told, in a sentence, when tensors are re-encoded.
  static Weights load(const gguf::Reader& file, const KernelTable& kernels, ThreadPool& pool,
                      const std::function<void(const std::string&)>& notice);
};

}  // namespace stonechat
