// `stonechat bench`: tokens per second, with llama-bench's flags, columns and JSON fields.
#include <cstdio>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

#include "base/cpu_features.h"
#include "base/error.h"
#include "base/process_memory.h"
#include "bench_case.h"
#include "bench_report.h"
#include "cache_flags.h"
#include "commands.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "loaded_model.h"
#include "memory_report.h"
#include "utc_time.h"

namespace stonechat {
namespace {

struct BenchOptions {
  std::vector<std::string> models;
  std::vector<uint32_t> prompts{512};
  std::vector<uint32_t> generates{128};
  std::vector<std::string> pairs;  // "PROMPT,GENERATE"
  std::vector<uint32_t> depths{0};
  std::vector<uint32_t> parallels{1};
  std::vector<uint32_t> batches{2048};
  std::vector<uint32_t> micro_batches;  // empty: as tuned
  std::vector<uint32_t> threads;
  std::vector<std::string> key_types{std::string(name(kDefaultCache))};
  std::vector<std::string> value_types{std::string(name(kDefaultCache))};
  uint32_t repetitions = 5;
  std::string output = "md";
  bool no_warmup = false;
  bool roofline = false;
  bool profile = false;
  bool memory = false;
  bool dry_run = false;
  RunFlags run;  // its no_tune
};

constexpr uint32_t kMostTestTokens = 1U << 24;
constexpr uint32_t kMostParallel = 1024;

BenchTest parse_pair(const std::string& text) {
  std::istringstream stream(text);
  BenchTest test;
  char comma = 0;
  if (!(stream >> test.prompt >> comma >> test.generate) || comma != ',' || !stream.eof() || text[0] == '-' ||
      text.find(",-") != std::string::npos || test.prompt > kMostTestTokens ||
      test.generate > kMostTestTokens) {
    fail(ErrorKind::kUsage, "-pg: expected PROMPT,GENERATE such as 512,128, got '{}'", text);
  }
  return test;
}

std::vector<BenchTest> tests_of(const BenchOptions& options) {
  std::vector<BenchTest> tests;
  std::vector<CacheFormats> caches;
  for (const auto& keys : options.key_types) {
    for (const auto& values : options.value_types)
      caches.push_back({parse_cache_format("-ctk", keys), parse_cache_format("-ctv", values)});
  }
  const auto add = [&](uint32_t prompt, uint32_t generate, uint32_t depth, uint32_t parallel) {
    if (prompt + generate == 0) return;
    for (const CacheFormats cache : caches) tests.push_back({prompt, generate, depth, parallel, cache});
  };
  for (const uint32_t depth : options.depths) {
    for (const uint32_t parallel : options.parallels) {
      for (const uint32_t prompt : options.prompts) add(prompt, 0, depth, parallel);
      for (const uint32_t generate : options.generates) add(0, generate, depth, parallel);
      for (const auto& text : options.pairs) {
        const BenchTest pair = parse_pair(text);
        add(pair.prompt, pair.generate, depth, parallel);
      }
    }
  }
  if (tests.empty()) fail(ErrorKind::kUsage, "bench: nothing to measure: -p, -n and -pg are all 0");
  return tests;
}

RunShape shape_of(const BenchTest& test, const Tuning& tuning, uint32_t threads) {
  return {.tokens = std::max(1U, test.depth + test.prompt + test.generate),
          .sequences = test.parallel,
          .pass_tokens = uint64_t{test.parallel} * std::max({1U, test.depth, test.prompt}),
          .hidden_rows = test.parallel,
          .logits_rows = test.parallel,
          .threads = tuning.most_threads(threads),
          .cache = test.cache,
          .tuning = tuning};
}

// Repetitions of one test. Limits are measured right before the first, between them, and after the last.
void measure(const BenchOptions& options, BenchCase& test, ThreadPool& pool, LimitMeter* meter,
             const MemoryPrediction& predicted, BenchResult& result) {
  std::optional<Profile> profile;
  if (options.profile) profile.emplace(pool);
  std::optional<MemorySampler> sampler;
  if (options.memory) sampler.emplace();
  std::vector<MachineLimits> limits;
  for (uint32_t round = 0; round < options.repetitions; ++round) {
    test.fill();
    if (meter != nullptr) limits.push_back(meter->measure());
    result.samples_ns.push_back(test.run(profile ? &*profile : nullptr));
  }
  if (profile) result.profile = profile->totals();
  if (sampler) {
    result.memory = measure_memory(*sampler, predicted);
    if (meter != nullptr) result.memory->leave_out(meter->memory_bytes());
  }
  if (meter == nullptr) return;
  limits.push_back(meter->measure());
  result.roofline = Roofline(test.prompt_cost(), test.generate_cost(), limits, result.samples_ns);
}

// The tuning of one line of the table.
Tuning with_batch(Tuning tuning, uint32_t batch, uint32_t micro_batch) {
  tuning.batch = std::min(batch, micro_batch);
  return tuning;
}

// The tuning of the lines that compute most tokens together.
Tuning largest_tuning(const BenchOptions& options, const Tuning& tuning) {
  const auto& given = options.micro_batches;
  return with_batch(tuning, *std::max_element(options.batches.begin(), options.batches.end()),
                    given.empty() ? tuning.batch : *std::max_element(given.begin(), given.end()));
}

// Of all tests the one whose caches are the largest, before the model is there.
RunNeed largest_need(const BenchOptions& options, const Tuning& tuning, uint32_t threads) {
  RunShape largest;
  uint64_t most = 0;
  for (const BenchTest& test : tests_of(options)) {
    const RunShape shape = shape_of(test, largest_tuning(options, tuning), threads);
    if (const uint64_t tokens = uint64_t{shape.tokens} * shape.sequences; tokens > most) {
      most = tokens;
      largest = shape;
    }
  }
  return {.shape = largest};
}

// Tables, or one JSON object a line.
void predict_tests(const BenchOptions& options, const std::string& model, uint32_t threads,
                   const MemoryBaseline& baseline) {
  RunFlags flags = options.run;
  flags.threads = threads;
  for (const BenchTest& test : tests_of(options)) {
    const auto need = [&](const ModelConfig&, const Tuning& tuning) {
      return RunNeed{.shape = shape_of(test, largest_tuning(options, tuning), flags.thread_count())};
    };
    print_prediction(fmt::format("{}, {}", model, test_name(test)),
                     predict(estimate_model(model, flags, need), baseline), options.output != "md");
  }
}

// `threads` 0: as tuned, else the processors that this process may use.
void run_tests(const BenchOptions& options, const std::string& model_name, uint32_t threads,
               const MemoryBaseline& baseline, BenchReport& report) {
  RunFlags flags = options.run;
  flags.threads = threads;
  ThreadPool pool(flags.thread_count());
  // Before the model, so that what it takes is part of all that is measured of memory, and can be subtracted.
  std::optional<LimitMeter> meter;
  if (options.roofline) meter.emplace(kernels(), pool);
  const LoadedModel model(model_name, pool, flags, [&](const ModelConfig&, const Tuning& tuning) {
    return largest_need(options, tuning, pool.threads());
  });
  catch_interrupts();  // not before: loading doesn't ask
  const ChosenTuning& chosen = model.chosen;
  const std::vector<uint32_t> micro_batches =
      options.micro_batches.empty() ? std::vector<uint32_t>{chosen.tuning.batch} : options.micro_batches;
  for (const uint32_t batch : options.batches) {
    for (const uint32_t micro_batch : micro_batches) {
      for (const BenchTest& test : tests_of(options)) {
        const Tuning tuning = with_batch(chosen.tuning, batch, micro_batch);
        const uint32_t tuned_threads = test.prompt > 0 ? tuning.prompt_threads : tuning.decode_threads;
        BenchCase bench_case(model.weights, pool, test, tuning);
        BenchResult result;
        result.test_time = utc_now();
        if (!options.no_warmup) bench_case.warm_up();
        MemoryPrediction predicted;
        if (options.memory)
          predicted = predict(model.estimate(shape_of(test, tuning, pool.threads())), baseline);
        measure(options, bench_case, pool, meter ? &*meter : nullptr, predicted, result);
        result.model_filename = model.path;
        result.model_type = describe(model.weights);
        result.model_size = model.weights.file_bytes;
        result.model_n_params = model.weights.parameters;
        result.n_batch = batch;
        result.n_ubatch = tuning.batch;
        result.n_threads = tuned_threads != 0 ? tuned_threads : flags.thread_count();
        result.tuned = chosen.tuned;
        result.test = test;
        result.test_name = test_name(test);
        // llama-bench has a column for it where it differs.
        if (options.batches.size() * micro_batches.size() > 1)
          result.test_name += fmt::format(", batch {}", tuning.batch);
        result.cache_bytes = bench_case.cache_bytes();
        result.peak_rss_bytes = peak_resident_bytes() - (meter ? meter->memory_bytes() : 0);
        report.add(result);
      }
    }
  }
}

void bench(const BenchOptions& options) {
  for (const auto& [flag, given] : {std::pair{"--profile", options.profile}, {"--memory", options.memory}}) {
    if (given && options.output == "csv")
      fail(ErrorKind::kUsage, "{}: csv has no place for it, expected -o md, json or jsonl", flag);
  }
  tests_of(options);  // wrong flags are told before a model is loaded
  const MemoryBaseline baseline =
      options.memory || options.dry_run ? MemoryBaseline::now() : MemoryBaseline();
  const std::vector<uint32_t> threads = options.threads.empty() ? std::vector<uint32_t>{0} : options.threads;
  const auto for_each_run = [&](auto&& run) {
    for (const auto& model : options.models) {
      for (const uint32_t count : threads) run(model, count);
    }
  };
  if (options.dry_run) {
    return for_each_run(
        [&](const std::string& model, uint32_t count) { predict_tests(options, model, count, baseline); });
  }
  const auto report = BenchReport::create(options.output);
  try {
    for_each_run([&](const std::string& model, uint32_t count) {
      run_tests(options, model, count, baseline, *report);
    });
  } catch (...) {
    if (!report->is_empty()) report->finish();
    throw;
  }
  report->finish();
}

}  // namespace

void add_bench_command(Command& app) {
  Command* command =
      app.add_subcommand("bench", "Measure tokens per second (llama-bench's flags and output)");
  auto options = std::make_shared<BenchOptions>();
  const auto list = [&](const char* flags, auto& values, const char* help, uint32_t least, uint32_t most) {
    command->add_option(flags, values, help)->delimiter(',')->check(Range(least, most));
  };
  command->add_option("-m,--model", options->models, "Models: files, catalog names, hf:OWNER/REPO[/FILE]")
      ->delimiter(',')
      ->required();
  list("-p,--n-prompt", options->prompts, "Prompt tokens (default 512)", 0, kMostTestTokens);
  list("-n,--n-gen", options->generates, "Generated tokens (default 128)", 0, kMostTestTokens);
  command
      ->add_option("-g,--pg", options->pairs,
                   "PROMPT,GENERATE measured as one; llama-bench's -pg is taken too")
      ->expected(1)
      ->take_all();
  list("-d,--n-depth", options->depths, "Tokens in the cache before the test (default 0)", 0,
       kMostTestTokens);
  list("--parallel", options->parallels,
       "Sequences computed together, each with its own cache; tokens/s are of all (default 1); also -npl", 1,
       kMostParallel);
  list("-b,--batch-size", options->batches, "Most tokens given at once (default 2048)", 1, 1U << 20);
  list("-u,--ubatch-size", options->micro_batches,
       "Tokens computed together (default: 256, or as tuned); also -ub", 1, 1U << 16);
  list("-t,--threads", options->threads, "Threads (default: the processors that this process may use)", 1,
       kMostThreads);
  command->add_option("-r,--repetitions", options->repetitions, "Repetitions of each test")
      ->check(Range(1U, 100'000U))
      ->capture_default_str();
  command
      ->add_option("--cache-type-k", options->key_types,
                   fmt::format("Types of cached keys: {} (default: {}); also -ctk", kCacheFormatList,
                               name(kDefaultCache)))
      ->delimiter(',');
  command->add_option("--cache-type-v", options->value_types, "Types of cached values; also -ctv")
      ->delimiter(',');
  command->add_option("-o,--output", options->output, "md, json, jsonl or csv")
      ->check(OneOf{{"md", "json", "jsonl", "csv"}})
      ->capture_default_str();
  command->add_flag("--no-warmup", options->no_warmup, "Start measuring without a run before");
  command->add_flag(
      "--roofline", options->roofline,
      "Measure this machine's limits too, with the same threads: multiply-adds a second of the kernels' "
      "integer and FP32 instructions, bytes a second read from 512 MiB or more. They are measured before the "
      "first repetition, between repetitions and after the last, each as the best of 4 rounds, reading of 6. "
      "Of a repetition the share is told that it reaches of what the larger limits around it allow; shown is "
      "the median of shares, and of limits. Prompts count the layers' multiply-adds, answers the weights' "
      "and the cache's bytes too, whichever takes longer");
  command->add_flag(
      "--profile", options->profile,
      "Show where the time of each test goes, by kind of step, per repetition (md, json, jsonl)");
  command->add_flag(
      "--memory", options->memory,
      "Measure memory every 20 ms during the repetitions of each test, and show it by parts (json, "
      "jsonl; md: on standard error)");
  command->add_flag("--dry-run", options->dry_run,
                    "Predict the memory of each test, by parts, without loading the model");
  options->run.add_no_tune(*command);
  command->callback([options] { bench(*options); });
}

}  // namespace stonechat
