// What `stonechat report` measured of one model on one machine: the content of results.json.
//
// A figure that wasn't measured, or isn't finite, is absent (std::nullopt, or not in its list), never 0.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/memory_sampler.h"
#include "eval/statistics.h"
#include "report/intervals.h"

namespace stonechat {

inline constexpr int kResultsSchema = 1;

struct ReportMachine {
  std::string cpu;
  uint32_t threads = 0;
  uint64_t memory_bytes = 0;
  std::string system;    // "Linux 6.1.0"
  std::string version;   // of stonechat
  std::string compiler;  // "GNU 12.2.0"
  std::string kernels;   // "avx512_vnni"
  // The machine's limits: the best of all times that they were measured in the same report.
  std::optional<double> integer_gmacs;  // 10^9 multiply-adds a second
  std::optional<double> float_gmacs;
  std::optional<double> read_gbs;  // 10^9 bytes a second
};

struct ReportModel {
  std::string argument;     // as the user named it
  std::string description;  // "qwen2 494M"
  uint64_t parameters = 0;
  std::string sha256;  // of the file that `argument` names
};

// Tokens a second of one test. In each round all variants took turns.
struct ReportSpeed {
  std::string test;  // "pp512", "tg50"
  uint32_t prompt = 0;
  uint32_t generate = 0;
  std::vector<double> samples;        // tokens/s, one a round, not empty
  std::vector<uint32_t> rounds;       // that the samples are of: from 1, ascending; a round may have failed
  std::optional<double> limit_share;  // median over the rounds; above 1 where caches serve it
  std::string limit;                  // "integer", "float", "read"; empty without a share
};

// Sampled every 20 ms while a model is loaded, reads a prompt and answers.
struct ReportMemory {
  uint32_t context = 0;                        // tokens
  std::map<std::string, MemorySeries> series;  // "rss", "pss", "anonymous", "file"
  std::map<std::string, uint64_t> parts;  // bytes at the end: "weights", "kv_cache", "activations", "logits",
                                          // "tokenizer", "packing", "other"
};

struct ReportText {
  std::string text;  // file name, or "built-in"
  uint32_t window = 0;
  uint64_t windows = 0, tokens = 0;  // tokens: scored
  Estimate perplexity;
  // From the reference variant; absent for the reference itself.
  std::optional<Estimate> kl;                    // nats a token
  std::map<std::string, double> kl_percentiles;  // "median", "p90", "p99", "p999", "maximum"
  std::optional<Estimate> same_top;              // 0 to 1
  std::optional<Estimate> top5_overlap;
  std::optional<Estimate> probability_difference;
  std::optional<Estimate> log_perplexity_ratio;  // ln(perplexity / the reference's), by the same windows
};

struct ReportTask {
  std::string task;  // "arc_c"
  uint32_t shots = 0;
  uint64_t questions = 0;
  Estimate acc;  // 0 to 1
  Estimate acc_norm;
  // acc over the reference's on the same questions, with its 95 % interval (paired); absent for the
  // reference.
  std::optional<Interval> kept, kept_norm;
  // All subjects alike, where the task has several; acc and acc_norm count all questions alike.
  std::optional<Estimate> acc_macro = std::nullopt, acc_norm_macro = std::nullopt;
};

// The model in one weight type with one kind of cache.
struct ReportVariant {
  std::string name;            // "f32", "q8_0", "q8_0 + q8_0 cache": unique
  std::string weights;         // "f32", "q8_0"
  std::string cache;           // "q16", "q8_0"
  uint64_t weights_bytes = 0;  // of the file's tensors
  bool is_reference = false;   // exactly one is
  std::vector<ReportSpeed> speeds;
  std::optional<ReportMemory> memory;
  std::optional<ReportText> text;
  std::vector<ReportTask> tasks;
};

struct ReportResults {
  std::string started;                         // UTC, ISO 8601
  double seconds = 0;                          // of measuring, all parts
  std::string command;                         // as it was typed; may be empty
  std::map<std::string, double> part_seconds;  // "speed": 93.1
  bool quick = false;
  ReportMachine machine;
  ReportModel model;
  std::vector<ReportVariant> variants;  // in the order of tables
  // Parts that were left out, and why: {"tasks", "no data"}.
  std::map<std::string, std::string> missing;
};

}  // namespace stonechat
