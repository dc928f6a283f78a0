// What `stonechat calibrate` measured, and the file that holds it (docs/calibration.md): a GGUF container
// whose metadata says of which model and text, with a few FP32 tensors for each tap.
//
// A file is taken to be hostile: every name, shape and value is checked against what the model's numbers ask
// for, and nothing may be missing or too much.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/reader.h"
#include "quant/activation_stats.h"
#include "quant/taps.h"
#include "quant/weight_stats.h"

namespace stonechat {

// What general.architecture says in such a file.
inline constexpr std::string_view kCalibrationArchitecture = "stonechat-calibration";
inline constexpr uint32_t kCalibrationVersion = 1;

// A channel stands out when its largest magnitude is more than this many times the median of its tap's
// channels.
inline constexpr double kOutlierRatio = 6;

// The statistics of one tap. Channels are in the order of the rows (outputs) or columns (inputs) of the
// file's tensors.
struct TapStats {
  TapPlace place;
  ActivationSummary summary = {};
  std::vector<ActivationSummary> heads = {};  // own_heads of them
  // By channel.
  std::vector<float> minima = {};
  std::vector<float> maxima = {};
  std::vector<float> means = {};
  std::vector<float> mean_squares = {};

  float largest(size_t channel) const;  // magnitude
  float largest() const;
  float median_channel() const;  // median of largest(channel): the lower of the two middle ones
  // Channels that stand out, the largest first; equal ones by number.
  std::vector<uint32_t> outliers() const;
};

struct CalibrationStats {
  // The model.
  std::string model;         // general.name
  std::string architecture;  // "qwen2"
  std::string file_type;     // "F32": the type of most of its parameters
  TapShape shape;
  // The text.
  std::string text;         // name of the file, without its folder
  std::string text_sha256;  // of the whole file
  uint32_t chunks = 0;
  uint32_t chunk_size = 0;  // tokens

  std::vector<TapStats> taps;  // all_taps(shape.layers)
  std::vector<std::vector<float>>
      key_biases;  // by layer, kv_heads x head_dim; empty where the model has none
  std::vector<std::string> schemes;
  std::vector<WeightStats> weights;  // errors by scheme

  uint64_t tokens() const { return uint64_t{chunks} * chunk_size; }
  const TapStats& tap(Tap tap, uint32_t layer) const { return taps[index_of(tap, layer, shape.layers)]; }
};

// Error{kIo}.
void write_calibration(const std::string& path, const CalibrationStats& stats);
// Error{kBadFile} naming file, field, expected, found.
CalibrationStats read_calibration(const std::string& path);

}  // namespace stonechat
