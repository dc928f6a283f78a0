#include "eval/tuner.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "eval/statistics.h"
#include "model/executor.h"

namespace stonechat {
namespace {

using Clock = std::chrono::steady_clock;

enum Work : size_t { kPrompt, kDecode, kFew };
constexpr size_t kWorks = 3;
constexpr const char* kWorkNames[kWorks] = {"prompt", "decode", "few"};

constexpr uint32_t kLeastPrompt = 32;
constexpr uint32_t kMostDecode = 6;
constexpr uint32_t kFewPasses[] = {4, 8, 16, 32};
constexpr uint32_t kMostRounds = 7;
constexpr double kShareOfHopeful = 0.75;   // of the values, about: others are given up after one pair
constexpr double kMostDecodeShare = 0.02;  // of the time, for one sample
constexpr uint32_t kLeastRounds = 2;
constexpr uint32_t kLeastCheckRounds = 4;
constexpr uint32_t kCheckRounds = 2;  // of the final check, times those of the search
constexpr double kSearchShare = 0.6;  // of the time; the rest is for the check
constexpr double kHopeless = 1.05;    // a candidate that takes so much longer isn't tried again
constexpr double kLeastGain = 0.005;  // below that a difference isn't worth a setting
constexpr double kMostLoss = 0.008;   // 1 % may be lost; some of it is left for what isn't seen
constexpr double kNoiseFactor = 2;    // standard errors

using Values = std::vector<uint32_t>;

// A field, the work that it matters for, and what is tried besides the default.
struct Trial {
  const TuningField* field;
  Work work;
  Values values;
};

class Tuner {
 public:
  Tuner(const Weights& weights, const KernelTable& kernels, ThreadPool& pool, const TunerOptions& options)
      : options_(options),
        vocabulary_(weights.config.vocabulary),
        cache_(weights,
               std::min(std::max(options.most_prompt, kFewPasses[3]), weights.config.context_length)),
        executor_(weights, kernels, pool),
        usual_{.prompt_threads = options.processors, .decode_threads = options.processors} {
    executor_.set_should_stop(options.should_stop);
  }

  TunerResult run() {
    choose_lengths();
    search();
    check_winner();
    TunerResult result{.tuning = best_, .fields = fields_, .work = {}, .seconds = elapsed()};
    for (size_t i = 0; i < kWorks; ++i) result.work.push_back(work_result(static_cast<Work>(i)));
    return result;
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  void stop_if_asked() const {
    if (options_.should_stop && options_.should_stop()) fail(ErrorKind::kInterrupted, "interrupted");
  }

  // Runs `tokens` made-up tokens; what they are doesn't change the work.
  void pass(uint32_t tokens, Wanted wanted) {
    tokens_.resize(tokens);
    for (auto& token : tokens_) {
      state_ = state_ * 6364136223846793005U + 1442695040888963407U;
      token = static_cast<int32_t>((state_ >> 33) % vocabulary_);
    }
    executor_.forward(cache_, tokens_, wanted);
  }

  uint32_t room() const { return cache_.capacity(); }

  // Seconds of one sample of the work.
  double measure(Work work, const Tuning& tuning) {
    stop_if_asked();
    executor_.set_tuning(tuning);
    cache_.truncate(0);
    // Threads that a change of their number starts or ends aren't part of the work.
    pass(std::min(work == kDecode ? 1U : 2U, room()), Wanted::kNone);
    cache_.truncate(0);
    const auto start = Clock::now();
    switch (work) {
      case kPrompt:
        for (const uint32_t length : prompts_) {
          cache_.truncate(0);
          pass(length, Wanted::kLast);
        }
        break;
      case kDecode:
        for (uint32_t i = 0; i < decode_tokens_; ++i) {
          pass(1, Wanted::kLast);
          executor_.last_logits();
          stop_if_asked();
        }
        break;
      case kFew:
        for (const uint32_t tokens : kFewPasses) {
          cache_.truncate(0);
          pass(std::min(tokens, room()), Wanted::kLast);
        }
        break;
    }
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  uint32_t tokens_of(Work work) const {
    uint32_t sum = 0;
    if (work == kDecode) return decode_tokens_;
    if (work == kFew) {
      for (const uint32_t tokens : kFewPasses) sum += std::min(tokens, room());
    } else {
      for (const uint32_t tokens : prompts_) sum += tokens;
    }
    return sum;
  }

  // The defaults' times, and from them how much a sample is and how often a candidate is measured.
  void choose_lengths() {
    prompts_ = {std::min(options_.most_prompt, room())};
    decode_tokens_ = std::min(kMostDecode, room());
    if (prompts_[0] >= 512) prompts_.insert(prompts_.begin(), prompts_[0] / 2);
    for (;;) {
      make_trials();
      double round = 0;
      for (size_t i = 0; i < kWorks; ++i) {
        const auto work = static_cast<Work>(i);
        // The first one fills the processor's caches and touches the buffers' pages.
        const double first = measure(work, usual_);
        usual_seconds_[i] = std::min(first, measure(work, usual_));
        for (const Trial& trial : trials_)
          if (trial.work == work) round += 2 * usual_seconds_[i] * static_cast<double>(trial.values.size());
      }
      const double rounds = kSearchShare * options_.seconds / (kShareOfHopeful * round);
      rounds_ = static_cast<uint32_t>(std::clamp<double>(rounds, kLeastRounds, kMostRounds));
      if (rounds >= kLeastRounds || prompts_.back() <= kLeastPrompt || prompts_.back() % 2 != 0) return;
      if (prompts_.size() > 1) {
        prompts_.pop_back();
      } else {
        prompts_[0] /= 2;
      }
      if (usual_seconds_[kDecode] > kMostDecodeShare * options_.seconds)
        decode_tokens_ = std::max(1U, decode_tokens_ / 2);
    }
  }

  void make_trials() {
    trials_.clear();
    for (const TuningField& field : tuning_fields()) {
      Values values;
      Work work = kPrompt;
      if (field.value == &Tuning::prompt_threads) {
        values = thread_candidates(options_.processors);
      } else if (field.value == &Tuning::decode_threads) {
        values = thread_candidates(options_.processors);
        work = kDecode;
      } else if (field.value == &Tuning::batch) {
        values = options_.few_values ? Values{128} : Values{96, 192, 256, 384};
        // Others are no different from the default.
        std::erase_if(values, [&](uint32_t batch) { return batch >= prompts_.back(); });
      } else if (field.value == &Tuning::token_block) {
        values = options_.few_values ? Values{48, 192} : Values{48, 144, 192, 288};
      } else if (field.value == &Tuning::mlp_piece) {
        values = options_.few_values ? Values{32, 128} : Values{32, 96, 128, 256};
      } else {
        values = options_.few_values ? Values{4, 16} : Values{2, 4, 16, 32};
        work = kFew;
      }
      std::erase(values, usual_.*field.value);
      trials_.push_back({&field, work, std::move(values)});
    }
  }

  void search() {
    best_ = usual_;
    const double begin = elapsed();
    end_ = begin + options_.seconds;
    for (const Trial& trial : trials_) total_ += trial.values.size();
    total_ += kWorks;  // the check
    for (const Trial& trial : trials_) {
      TunedField field{.field = trial.field, .usual = usual_.*trial.field->value};
      for (const uint32_t value : trial.values) {
        show_progress();
        ++done_;
        if (elapsed() > begin + kSearchShare * options_.seconds) continue;
        field.tried = true;
        Tuning candidate = best_;
        candidate.*trial.field->value = value;
        const Gain gain = compare(trial.work, best_, candidate, rounds_);
        if (!gain.is_clear()) continue;
        best_ = candidate;
        field.speed_up *= gain.ratio;
      }
      field.chosen = best_.*trial.field->value;
      fields_.push_back(field);
    }
  }

  // The candidate over `before`, in pairs whose order alternates.
  Gain compare(Work work, const Tuning& before, const Tuning& candidate, uint32_t rounds,
               bool to_the_end = false) {
    std::vector<double> before_seconds;
    std::vector<double> seconds;
    for (uint32_t round = 0; round < rounds; ++round) {
      if (round % 2 == 0) before_seconds.push_back(measure(work, before));
      seconds.push_back(measure(work, candidate));
      if (round % 2 != 0) before_seconds.push_back(measure(work, before));
      if (to_the_end && round + 1 >= kLeastCheckRounds && elapsed() > end_) break;
      if (!to_the_end && seconds[0] > kHopeless * before_seconds[0])
        return {.ratio = before_seconds[0] / seconds[0]};
    }
    if (before == usual_) usual_seconds_[work] = median(before_seconds);
    return gain_of(before_seconds, seconds);
  }

  // Takes over what the search found for one kind of work after the other, where a fresh measurement confirms
  // it and no other work gets slower.
  void check_winner() {
    const Tuning winner = best_;
    best_ = usual_;
    for (const Work work : {kPrompt, kDecode, kFew}) {
      Tuning candidate = best_;
      for (const Trial& trial : trials_) {
        if (trial.work == work) candidate.*trial.field->value = winner.*trial.field->value;
      }
      show_progress();
      ++done_;
      if (candidate == best_ || elapsed() > end_) continue;  // not confirmed, not used
      const Gain gain = check(work, candidate);
      if (!gain.is_clear()) continue;
      std::array<double, kWorks> gains = gains_;
      gains[work] *= gain.ratio;
      bool good = true;
      // Of the fields, some chosen for prompts serve other work too. What runs the same isn't measured again:
      // noise would count against the candidate.
      for (const Work other : {kDecode, kFew}) {
        if (work != kPrompt || !good) break;
        if (!(other == kDecode ? changes_decode(best_, candidate) : changes_few(best_, candidate))) continue;
        const Gain side_effect = check(other, candidate);
        gains[other] *= side_effect.ratio;
        good = !side_effect.is_loss();
      }
      if (!good) continue;
      best_ = candidate;
      gains_ = gains;
    }
    for (TunedField& field : fields_) {
      field.chosen = best_.*field.field->value;
      if (field.chosen == field.usual) field.speed_up = 1;
    }
    show_progress();
  }

  // Over the best so far, without haste, but not beyond the time.
  Gain check(Work work, const Tuning& candidate) {
    return compare(work, best_, candidate, std::max(kLeastCheckRounds, kCheckRounds * rounds_),
                   /*to_the_end=*/true);
  }

  TunedWork work_result(Work work) const {
    const double speed = tokens_of(work) / usual_seconds_[work];
    return {.name = kWorkNames[work],
            .what = describe(work),
            .usual_speed = speed,
            .tuned_speed = speed * gains_[work],
            .speed_up = gains_[work]};
  }

  std::string describe(Work work) const {
    if (work == kDecode) return fmt::format("{} tokens one after the other", decode_tokens_);
    if (work == kFew) return fmt::format("passes of {} tokens", fmt::join(kFewPasses, ", "));
    return fmt::format("prompt{} of {} tokens", prompts_.size() > 1 ? "s" : "", fmt::join(prompts_, " and "));
  }

  void show_progress() const {
    if (options_.progress) options_.progress(done_, total_);
  }

  const TunerOptions& options_;
  uint32_t vocabulary_;
  KvCache cache_;
  Executor executor_;
  Tuning usual_;
  Tuning best_;
  Clock::time_point start_ = Clock::now();
  double end_ = 0;  // seconds after start_
  std::vector<uint32_t> prompts_;
  uint32_t decode_tokens_ = 0;
  uint32_t rounds_ = kLeastRounds;
  std::array<double, kWorks> usual_seconds_{};
  std::array<double, kWorks> gains_{1, 1, 1};
  std::vector<Trial> trials_;
  std::vector<TunedField> fields_;
  std::vector<int32_t> tokens_;
  uint64_t state_ = 1;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

}  // namespace

bool Gain::is_clear() const {
  return ratio - 1 > kLeastGain && ratio - kNoiseFactor * noise > 1;
}

bool Gain::is_loss() const {
  return ratio < 1 - kMostLoss;
}

Gain gain_of(std::span<const double> before, std::span<const double> after) {
  std::vector<double> ratios;
  for (size_t i = 0; i < before.size(); ++i) ratios.push_back(before[i] / after[i]);
  return {.ratio = median(ratios), .noise = estimate(ratios).standard_error};
}

bool changes_decode(const Tuning& from, const Tuning& to) {
  return from.token_block != to.token_block || from.mlp_piece != to.mlp_piece ||
         from.decode_threads != to.decode_threads;
}

bool changes_few(const Tuning& from, const Tuning& to) {
  return from.token_block != to.token_block || from.mlp_piece != to.mlp_piece ||
         from.few_tokens != to.few_tokens || from.prompt_threads != to.prompt_threads;
}

std::vector<uint32_t> thread_candidates(uint32_t processors) {
  std::vector<uint32_t> counts;
  for (const uint32_t quarters : {4U, 3U, 2U, 1U}) counts.push_back(std::max(1U, processors * quarters / 4));
  if (processors > 1) counts.push_back(processors - 1);
  std::ranges::sort(counts, std::greater<>());
  const auto repeated = std::ranges::unique(counts);
  counts.erase(repeated.begin(), repeated.end());
  return counts;
}

TunerResult find_fastest(const Weights& weights, const KernelTable& kernels, ThreadPool& pool,
                         const TunerOptions& options) {
  return Tuner(weights, kernels, pool, options).run();
}

}  // namespace stonechat
