// A report's results for tests: plausible, but made up. No figure here was measured.
#pragma once

#include <numeric>
#include <string>
#include <vector>

#include "report/results.h"

namespace stonechat {

inline ReportSpeed sample_speed(uint32_t prompt, uint32_t generate, std::vector<double> samples, double share,
                                std::string limit) {
  std::vector<uint32_t> rounds(samples.size());
  std::iota(rounds.begin(), rounds.end(), 1U);
  return {generate == 0 ? "pp" + std::to_string(prompt) : "tg" + std::to_string(generate),
          prompt,
          generate,
          std::move(samples),
          std::move(rounds),
          share,
          std::move(limit)};
}

inline ReportMemory sample_memory(uint64_t weights, uint64_t kv_cache) {
  const uint64_t rest = 44'000'000;
  const uint64_t all = weights + kv_cache + rest;
  ReportMemory memory;
  memory.context = 2048;
  memory.series["rss"] = {all - 30'000'000, all - 9'000'000, all - 2'000'000, all};
  memory.series["pss"] = {all - 32'000'000, all - 11'000'000, all - 4'000'000, all - 2'000'000};
  memory.series["anonymous"] = {all - 43'000'000, all - 19'000'000, all - 14'000'000, all - 12'000'000};
  memory.series["file"] = {9'000'000, 10'000'000, 10'000'000, 10'000'000};
  memory.parts = {{"weights", weights},  {"kv_cache", kv_cache},    {"activations", 14'200'000},
                  {"logits", 9'700'000}, {"tokenizer", 13'100'000}, {"packing", 0},
                  {"other", 7'000'000}};
  return memory;
}

// A 32-bit reference, 8 bits, and 8 bits with a cache of 8 bits.
inline ReportResults sample_results() {
  ReportResults results;
  results.started = "2026-11-26T01:02:03Z";
  results.seconds = 4021.5;
  results.command = "stonechat report qwen2.5-coder-0.5b -o results";
  results.part_seconds = {{"speed", 912.4}, {"memory", 101.2}, {"text", 620.9}, {"tasks", 2387}};
  results.machine = {"Made-up CPU with figures for tests",
                     2,
                     25'000'000'000,
                     "Linux 6.1.0",
                     "0.1.0",
                     "GNU 12.2.0",
                     "avx512_vnni",
                     781.4,
                     152.8,
                     46.25};
  results.model = {"qwen2.5-coder-0.5b", "qwen2 494M", 494'032'768,
                   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
  results.missing = {{"tasks.ceval", "no data: not found in the data directory"}};

  ReportVariant f32{"f32", "f32", "f16", 1'976'131'072, true, {}, {}, {}, {}};
  f32.speeds = {sample_speed(256, 0, {577.1, 580.4, 571.9}, 0.875, "float"),
                sample_speed(512, 0, {590.2, 588.8, 593.5}, 0.893, "float"),
                sample_speed(560, 0, {588.0, 586.1, 590.9}, 0.891, "float"),
                sample_speed(1024, 0, {569.4, 571.2, 566.3}, 0.879, "float"),
                sample_speed(0, 50, {23.21, 23.05, 23.32}, 0.987, "read"),
                sample_speed(0, 100, {23.11, 23.02, 23.18}, 0.982, "read"),
                sample_speed(0, 200, {22.94, 22.85, 23.01}, 0.979, "read")};
  f32.memory = sample_memory(1'976'131'072, 25'165'824);
  f32.text = ReportText{"wikitext2-test.txt", 512, 40, 10'200, {21.4837, 0.512}, {}, {}, {}, {}, {}, {}};
  f32.tasks = {{"arc_c", 0, 1172, {0.3353, 0.0138}, {0.3626, 0.0140}, {}, {}},
               {"hellaswag", 0, 2000, {0.3985, 0.0109}, {0.4935, 0.0112}, {}, {}}};

  ReportVariant q8{"q8_0", "q8_0", "f16", 525'117'824, false, {}, {}, {}, {}};
  q8.speeds = {sample_speed(256, 0, {1180.2, 1195.9, 1188.6}, 0.592, "integer"),
               sample_speed(512, 0, {1214.4, 1209.0, 1221.3}, 0.611, "integer"),
               sample_speed(560, 0, {1211.7, 1204.9, 1216.2}, 0.609, "integer"),
               sample_speed(1024, 0, {1133.2, 1128.1, 1140.4}, 0.588, "integer"),
               sample_speed(0, 50, {84.1, 83.2, 84.9}, 0.951, "read"),
               sample_speed(0, 100, {83.7, 82.9, 84.2}, 0.944, "read"),
               sample_speed(0, 200, {82.5, 81.8, 83.3}, 0.936, "read")};
  q8.memory = sample_memory(525'117'824, 25'165'824);
  q8.text = ReportText{
      "wikitext2-test.txt",
      512,
      40,
      10'200,
      {21.4795, 0.511},
      Estimate{0.00073, 0.00004},
      {{"median", 0.00031}, {"p90", 0.00162}, {"p99", 0.0052}, {"p999", 0.0141}, {"maximum", 0.249}},
      Estimate{0.9861, 0.0012},
      Estimate{0.9902, 0.0005},
      Estimate{-0.00004, 0.00006},
      Estimate{-0.000195, 0.00042}};
  q8.tasks = {{"arc_c",
               0,
               1172,
               {0.3345, 0.0138},
               {0.3643, 0.0141},
               {{0.9975, 0.9853, 1.0098}},
               {{1.0047, 0.9921, 1.0175}}},
              {"hellaswag",
               0,
               2000,
               {0.3980, 0.0109},
               {0.4930, 0.0112},
               {{0.9987, 0.9961, 1.0013}},
               {{0.9990, 0.9967, 1.0013}}}};

  ReportVariant cache{"q8_0 + q8_0 cache", "q8_0", "q8_0", 525'117'824, false, {}, {}, {}, {}};
  cache.speeds = {sample_speed(256, 0, {1171.3, 1183.0, 1179.5}, 0.587, "integer"),
                  sample_speed(512, 0, {1202.8, 1195.1, 1207.7}, 0.604, "integer"),
                  sample_speed(560, 0, {1199.2, 1190.6, 1203.9}, 0.602, "integer"),
                  sample_speed(1024, 0, {1118.0, 1109.7, 1124.6}, 0.58, "integer"),
                  sample_speed(0, 50, {84.3, 83.0, 85.0}, 0.952, "read"),
                  sample_speed(0, 100, {83.9, 83.1, 84.4}, 0.947, "read"),
                  sample_speed(0, 200, {83.0, 82.2, 83.6}, 0.941, "read")};
  cache.memory = sample_memory(525'117'824, 13'615'104);
  cache.text = q8.text;
  cache.text->perplexity = {21.4901, 0.512};
  cache.text->kl = Estimate{0.00089, 0.00005};
  cache.text->kl_percentiles = {
      {"median", 0.00037}, {"p90", 0.00201}, {"p99", 0.0063}, {"p999", 0.0187}, {"maximum", 0.311}};
  cache.text->log_perplexity_ratio = Estimate{0.00031, 0.00044};
  cache.tasks = {{"arc_c",
                  0,
                  1172,
                  {0.3328, 0.0138},
                  {0.3618, 0.0140},
                  {{0.9924, 0.9789, 1.0062}},
                  {{0.9976, 0.9841, 1.0114}}},
                 {"hellaswag",
                  0,
                  2000,
                  {0.3940, 0.0109},
                  {0.4905, 0.0112},
                  {{0.9887, 0.9841, 0.9934}},
                  {{0.9939, 0.9896, 0.9983}}}};

  results.variants = {f32, q8, cache};
  return results;
}

}  // namespace stonechat
