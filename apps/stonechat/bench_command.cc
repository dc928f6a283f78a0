// `stonechat bench`: tokens per second, with llama-bench's flags, columns and JSON fields.
#include <chrono>
#include <cstdio>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <sstream>

#include "base/cpu_features.h"
#include "base/error.h"
#include "bench_report.h"
#include "commands.h"
#include "eval/peak_memory.h"
#include "interrupt.h"
#include "kernels/dispatch.h"
#include "loaded_model.h"
#include "model/executor.h"

namespace stonechat {
namespace {

struct BenchOptions {
  std::vector<std::string> models;
  std::vector<uint32_t> prompts{512};
  std::vector<uint32_t> generates{128};
  std::vector<std::string> pairs;  // "PROMPT,GENERATE"
  std::vector<uint32_t> depths{0};
  std::vector<uint32_t> batches{2048};
  std::vector<uint32_t> micro_batches{512};
  std::vector<uint32_t> threads;
  std::vector<std::string> key_types{"f16"};
  std::vector<std::string> value_types{"f16"};
  uint32_t repetitions = 5;
  std::string output = "md";
  bool no_warmup = false;
};

// One line of the table: a prompt, an answer, or both after each other, at a depth.
struct Test {
  uint32_t prompt = 0;
  uint32_t generate = 0;
  uint32_t depth = 0;
};

constexpr uint32_t kMostTestTokens = 1U << 24;

Test parse_pair(const std::string& text) {
  std::istringstream stream(text);
  Test test;
  char comma = 0;
  if (!(stream >> test.prompt >> comma >> test.generate) || comma != ',' || !stream.eof() || text[0] == '-' ||
      text.find(",-") != std::string::npos || test.prompt > kMostTestTokens ||
      test.generate > kMostTestTokens) {
    fail(ErrorKind::kUsage, "-pg: expected PROMPT,GENERATE such as 512,128, got '{}'", text);
  }
  return test;
}

std::vector<Test> tests_of(const BenchOptions& options) {
  std::vector<Test> tests;
  for (const uint32_t depth : options.depths) {
    for (const uint32_t prompt : options.prompts) {
      if (prompt > 0) tests.push_back({prompt, 0, depth});
    }
    for (const uint32_t generate : options.generates) {
      if (generate > 0) tests.push_back({0, generate, depth});
    }
    for (const auto& pair : options.pairs) {
      Test test = parse_pair(pair);
      test.depth = depth;
      if (test.prompt + test.generate > 0) tests.push_back(test);
    }
  }
  if (tests.empty()) fail(ErrorKind::kUsage, "bench: nothing to measure: -p, -n and -pg are all 0");
  return tests;
}

void check_cache_types(const BenchOptions& options) {
  for (const auto* types : {&options.key_types, &options.value_types}) {
    for (const auto& type : *types) {
      if (type != "f16")
        fail(ErrorKind::kUsage, "{}: expected f16, got '{}'", types == &options.key_types ? "-ctk" : "-ctv",
             type);
    }
  }
}

// Token ids that look random and are the same each time: what they are doesn't change the work.
class TokenSource {
 public:
  explicit TokenSource(uint32_t vocabulary) : vocabulary_(vocabulary) {}
  int32_t next() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<int32_t>((state_ >> 33) % vocabulary_);
  }
  std::vector<int32_t> next(uint32_t count) {
    std::vector<int32_t> tokens(count);
    for (auto& token : tokens) token = next();
    return tokens;
  }

 private:
  uint64_t state_ = 1;
  uint32_t vocabulary_;
};

class Bench {
 public:
  Bench(const Weights& weights, ThreadPool& pool, const Test& test, uint32_t micro_batch)
      : test_(test),
        tokens_(weights.config.vocabulary),
        cache_(weights.config, std::max(1U, test.depth + test.prompt + test.generate)),
        executor_(weights, kernels(), pool, micro_batch) {}

  void warm_up() {
    if (test_.prompt > 0) prompt();
    if (test_.generate > 0) generate(1);
    cache_.truncate(0);
  }

  // Nanoseconds of one repetition; filling the cache up to the depth isn't counted.
  double measure() {
    cache_.truncate(std::min(cache_.length(), test_.depth));
    if (cache_.length() < test_.depth)
      executor_.forward(cache_, tokens_.next(test_.depth - cache_.length()), Wanted::kNone);
    const auto start = std::chrono::steady_clock::now();
    if (test_.prompt > 0) prompt();
    if (test_.generate > 0) generate(test_.generate);
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  void prompt() {
    executor_.forward(cache_, tokens_.next(test_.prompt));
    executor_.last_logits();
    stop_if_interrupted();
  }

  void generate(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      executor_.forward(cache_, tokens_.next(1));
      executor_.last_logits();
      stop_if_interrupted();
    }
  }

  static void stop_if_interrupted() {
    if (interrupted()) fail(ErrorKind::kInterrupted, "interrupted");
  }

  Test test_;
  TokenSource tokens_;
  KvCache cache_;
  Executor executor_;
};

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return text;
}

void run_tests(const BenchOptions& options, const std::string& model_name, uint32_t threads,
               BenchReport& report) {
  ThreadPool pool(threads);
  const LoadedModel model(model_name, pool);
  for (const uint32_t batch : options.batches) {
    for (const uint32_t micro_batch : options.micro_batches) {
      for (const Test& test : tests_of(options)) {
        Bench bench(model.weights, pool, test, std::min(batch, micro_batch));
        BenchResult result;
        result.test_time = utc_now();
        if (!options.no_warmup) bench.warm_up();
        for (uint32_t round = 0; round < options.repetitions; ++round)
          result.samples_ns.push_back(bench.measure());
        result.model_filename = model.path;
        result.model_type = describe(model.weights);
        result.model_size = model.weights.file_bytes;
        result.model_n_params = model.weights.parameters;
        result.n_batch = batch;
        result.n_ubatch = std::min(batch, micro_batch);
        result.n_threads = threads;
        result.n_prompt = test.prompt;
        result.n_gen = test.generate;
        result.n_depth = test.depth;
        result.peak_rss_bytes = peak_resident_bytes();
        report.add(result);
      }
    }
  }
}

void bench(const BenchOptions& options) {
  check_cache_types(options);
  tests_of(options);  // wrong flags are told before a model is loaded
  const auto report = BenchReport::create(options.output);
  catch_interrupts();
  const std::vector<uint32_t> threads =
      options.threads.empty() ? std::vector<uint32_t>{usable_processors()} : options.threads;
  for (const auto& model : options.models) {
    for (const uint32_t count : threads) run_tests(options, model, count, *report);
  }
  report->finish();
}

}  // namespace

void spell_out_bench_flags(std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0] != "bench") return;
  const std::map<std::string, std::string> long_forms = {
      {"-pg", "--pg"}, {"-ub", "--ubatch-size"}, {"-ctk", "--cache-type-k"}, {"-ctv", "--cache-type-v"}};
  for (auto& argument : arguments) {
    if (const auto found = long_forms.find(argument); found != long_forms.end()) argument = found->second;
  }
}

void add_bench_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("bench", "Measure tokens per second (llama-bench's flags and output)");
  auto options = std::make_shared<BenchOptions>();
  const auto list = [&](const char* flags, auto& values, const char* help, uint32_t least, uint32_t most) {
    command->add_option(flags, values, help)->delimiter(',')->check(CLI::Range(least, most));
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
  list("-b,--batch-size", options->batches, "Most tokens given at once (default 2048)", 1, 1U << 20);
  list("-u,--ubatch-size", options->micro_batches, "Tokens computed together (default 512); also -ub", 1,
       1U << 16);
  list("-t,--threads", options->threads, "Threads (default: the processors that this process may use)", 1,
       kMostThreads);
  command->add_option("-r,--repetitions", options->repetitions, "Repetitions of each test")
      ->check(CLI::Range(1U, 100'000U))
      ->capture_default_str();
  command->add_option("--cache-type-k", options->key_types, "Type of cached keys: f16; also -ctk")
      ->delimiter(',');
  command->add_option("--cache-type-v", options->value_types, "Type of cached values: f16; also -ctv")
      ->delimiter(',');
  command->add_option("-o,--output", options->output, "md, json, jsonl or csv")
      ->check(CLI::IsMember({"md", "json", "jsonl", "csv"}))
      ->capture_default_str();
  command->add_flag("--no-warmup", options->no_warmup, "Start measuring without a run before");
  command->callback([options] { bench(*options); });
}

}  // namespace stonechat
