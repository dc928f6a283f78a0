// The outputs of `stonechat bench`: columns and field names are llama-bench's, so that scripts made for it
// work.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench_case.h"
#include "bench_roofline.h"
#include "memory_report.h"
#include "model/profile.h"

namespace stonechat {

struct ProfileRow {
  std::string step;
  StepTotals totals;
};

struct BenchResult {
  std::string test_time;  // UTC, ISO 8601
  std::string model_filename;
  std::string model_type;   // "qwen2 494M Q8_0"
  uint64_t model_size = 0;  // bytes of the tensors in the file
  uint64_t model_n_params = 0;
  uint32_t n_batch = 0;
  uint32_t n_ubatch = 0;
  uint32_t n_threads = 0;
  BenchTest test;
  std::string test_name;           // tells it from the other tests of this model and number of threads
  std::vector<double> samples_ns;  // one a repetition, not empty
  uint64_t cache_bytes = 0;        // of all sequences, when full
  uint64_t peak_rss_bytes = 0;     // of the process so far; ours, not llama-bench's
  bool tuned = false;              // what `stonechat tune` stored is in use; ours too
  std::optional<Roofline> roofline;
  std::optional<ProfileTotals> profile;  // of all repetitions
  std::optional<MemoryFigures> memory;   // from the first repetition to the last

  std::vector<double> tokens_per_second() const;  // of each repetition, all sequences together
  // Of `profile`: each step that came, per repetition, and "other" for what lies between the steps.
  std::vector<ProfileRow> profile_rows() const;
};

// "pp512 x4 @ d32, cache q8_0/f16": as llama-bench calls it, and what differs from its defaults.
std::string test_name(const BenchTest& test);

// To stdout, at once.
void print_line(const std::string& text);

class BenchReport {
 public:
  virtual ~BenchReport() = default;
  // Prints as results come, so that an interrupted run keeps them.
  void add(const BenchResult& result) {
    put(result, is_empty_);
    is_empty_ = false;
  }
  bool is_empty() const { return is_empty_; }
  // After the last result, also where an error ends the run.
  virtual void finish() = 0;

  // `format` is "md", "json", "jsonl" or "csv".
  static std::unique_ptr<BenchReport> create(const std::string& format);

 private:
  virtual void put(const BenchResult& result, bool is_first) = 0;

  bool is_empty_ = true;
};

}  // namespace stonechat
