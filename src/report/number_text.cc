#include "report/number_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace stonechat {
namespace {

constexpr int kMostDecimals = 9;

// Decimals that show `digits` digits of a value.
int decimals_for(double value, int digits) {
  if (value == 0 || !std::isfinite(value)) return 0;
  const int exponent = static_cast<int>(std::floor(std::log10(std::fabs(value))));
  return std::clamp(digits - 1 - exponent, 0, kMostDecimals);
}

}  // namespace

std::string fixed_text(double value, int decimals) {
  std::string text = fmt::format("{:.{}f}", value, decimals);
  if (text.find_first_not_of("-0.") == std::string::npos && text[0] == '-') text.erase(0, 1);
  const size_t begin = text[0] == '-' ? 1 : 0;
  size_t place = std::min(text.find('.'), text.size());
  while (place > begin + 3) {
    place -= 3;
    text.insert(place, ",");
  }
  return text;
}

std::string significant_text(double value, int digits) {
  // A value that rounds up to one more digit before the point loses one behind it: 9.9996 is 10.00.
  const int decimals = decimals_for(value, digits);
  const double unit = std::pow(10.0, decimals);
  return fixed_text(value, decimals_for(std::round(value * unit) / unit, digits));
}

std::string with_deviation(double mean, double deviation) {
  if (!(deviation > 0)) return significant_text(mean, 4);
  const int decimals = decimals_for(deviation, 2);
  return fixed_text(mean, decimals) + " \u00b1 " + fixed_text(deviation, decimals);
}

std::string megabytes_text(double bytes) {
  return fixed_text(1e-6 * bytes, 1);
}

std::string change_text(double factor) {
  const double percent = 100 * (factor - 1);
  const std::string text = fixed_text(percent, std::fabs(percent) < 10    ? 2
                                               : std::fabs(percent) < 100 ? 1
                                                                          : 0);
  return (text.find_first_not_of("0.") == std::string::npos || text[0] == '-' ? "" : "+") + text + " %";
}

std::string percent_text(double share, int decimals) {
  return fixed_text(100 * share, decimals) + " %";
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<uint64_t>(std::llround(std::clamp(seconds, 0.0, 1e15)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

}  // namespace stonechat
