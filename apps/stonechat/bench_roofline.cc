#include "bench_roofline.h"

#include <array>

#include "eval/statistics.h"

namespace stonechat {

Roofline::Roofline(const Cost& prompt, const Cost& generate, std::span<const MachineLimits> measured,
                   std::span<const double> samples_ns)
    : cost(prompt + generate), limits(median(measured)) {
  const Bound prompt_bound = bound(prompt, limits);
  const Bound generate_bound = bound(generate, limits);
  limit = prompt_bound.seconds > generate_bound.seconds ? prompt_bound.limit : generate_bound.limit;
  for (size_t i = 0; i < samples_ns.size(); ++i) {
    const MachineLimits around = larger(measured[i], measured[i + 1]);
    const double seconds = bound(prompt, around).seconds + bound(generate, around).seconds;
    shares.push_back(seconds / (1e-9 * samples_ns[i]));
  }
  share = percentiles(shares, std::array{0.5})[0];
}

std::string_view name(Limit limit) {
  switch (limit) {
    case Limit::kInteger:
      return "integer";
    case Limit::kFloat:
      return "float";
    case Limit::kRead:
      break;
  }
  return "read";
}

}  // namespace stonechat
