// Figures of "Qwen2.5-0.5B Model Optimization on ARM Architecture: A Quantization and NEON Intrinsics
// Approach", to stand beside a report's own. Measured by its authors with Qwen2.5-0.5B on 8 Neoverse N2
// cores. What isn't here isn't known to us, and is left out of tables.
#pragma once

#include <cstdint>

namespace stonechat::paper {

inline constexpr const char* kTitle =
    "Qwen2.5-0.5B Model Optimization on ARM Architecture: A Quantization and NEON Intrinsics Approach";
inline constexpr const char* kMachine = "8 Neoverse N2 cores";
inline constexpr const char* kModel = "Qwen2.5-0.5B";

// Tokens a second with Q8_0 (its figure of speeds by length).
struct Speed {
  uint32_t prompt;
  uint32_t generate;
  double tokens_per_second;
};
inline constexpr Speed kSpeeds[] = {{256, 0, 471.61}, {512, 0, 443.48}, {1024, 0, 410.73},
                                    {0, 50, 112.99},  {0, 100, 122.12}, {0, 200, 117.56}};

// FP32 against Q8_0.
struct Pair {
  double fp32;
  double q8_0;

  constexpr double ratio() const { return q8_0 / fp32; }
};
inline constexpr uint32_t kPrompt = 560;  // tokens, of the two that follow
inline constexpr Pair kPromptSpeed = {247.84, 431.95};
inline constexpr Pair kDecodeSpeed = {12.92, 92.49};
inline constexpr Pair kWeightsMegabytes = {2100, 525};
inline constexpr Pair kProcessMegabytes = {3500, 594};

// What it claims of Q8_0 over FP32: factors.
inline constexpr double kPromptClaim = 1.74;
inline constexpr double kDecodeClaim = 7.16;
inline constexpr double kMinimumMemoryClaim = 0.17;
inline constexpr double kAccuracyClaim = 0.995;  // kept, at least, of each task
inline constexpr const char* kAccuracyTasks[] = {"arc_c", "hellaswag", "ceval"};

}  // namespace stonechat::paper
