#include "sampling_flags.h"

#include <random>

namespace stonechat {

void SamplingFlags::add(Command& command) {
  SamplerOptions& sampler = options.sampler;
  command.add_option("-n,--max-tokens", options.max_tokens, "Most tokens to generate; 0: no limit (default)");
  command.add_flag("--greedy", greedy, "Always take the most probable token");
  command.add_option("--temp,--temperature", sampler.temperature, "Temperature; 0 is greedy")
      ->capture_default_str();
  command.add_option("--top-k", sampler.top_k, "Keep the K most probable tokens; 0: all")
      ->capture_default_str();
  command.add_option("--top-p", sampler.top_p, "Keep the fewest tokens that reach P; 1: all")
      ->capture_default_str();
  command
      .add_option("--min-p", sampler.min_p, "Keep tokens at least P times as probable as the first; 0: all")
      ->capture_default_str();
  command.add_option("--typical", sampler.typical_p, "Locally typical sampling; 1: off")
      ->capture_default_str();
  command.add_option("--repeat-penalty", sampler.repetition_penalty, "Repetition penalty; 1: off")
      ->capture_default_str();
  command.add_option("--presence-penalty", sampler.presence_penalty, "Presence penalty; 0: off")
      ->capture_default_str();
  command.add_option("--frequency-penalty", sampler.frequency_penalty, "Frequency penalty; 0: off")
      ->capture_default_str();
  command.add_option("--repeat-last-n", sampler.penalty_window, "Tokens that the penalties look back")
      ->check(Range(0U, 1U << 20))
      ->capture_default_str();
  command.add_option("-s,--seed", seed, "Seed of the generator (default: a new one each time)");
  command.add_option("--stop", options.stops, "Stop before this text; may be given several times")
      ->allow_extra_args(false);
}

GenerateOptions SamplingFlags::resolve() const {
  GenerateOptions result = options;
  if (greedy) result.sampler.temperature = 0;
  result.sampler.seed = seed ? *seed : std::random_device{}();
  return result;
}

}  // namespace stonechat
