#include "model/profile.h"

#include <algorithm>

namespace stonechat {

std::string_view name(Step step) {
  constexpr std::array<std::string_view, kSteps> kNames = {"embedding",      "norm, prepare", "qkv",
                                                           "rope, store",    "attention",     "attention out",
                                                           "gate, up, silu", "down",          "head"};
  return kNames[static_cast<size_t>(step)];
}

void Profile::lap(Step step, const Cost& cost) {
  const Moment moment = now();
  StepTotals& totals = totals_[static_cast<size_t>(step)];
  const double seconds = std::chrono::duration<double>(moment.time - last_.time).count();
  const double in_pool = 1e-9 * static_cast<double>(moment.run_ns - last_.run_ns);
  // Outside of the pool's runs one thread works.
  const double busy =
      1e-9 * static_cast<double>(moment.busy_ns - last_.busy_ns) + std::max(0.0, seconds - in_pool);
  ++totals.calls;
  totals.seconds += seconds;
  totals.waiting_seconds += std::max(0.0, seconds - busy / pool_.threads());
  totals.cost += cost;
  last_ = moment;
}

}  // namespace stonechat
