#include "report/svg_axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/number_text.h"

namespace stonechat {
namespace {

double nice_step(double range) {
  const double rough = range / 4;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

bool can_show(double value, bool logarithmic) {
  return std::isfinite(value) && (!logarithmic || value > 0);
}

}  // namespace

SvgAxis::SvgAxis(double low, double high, bool logarithmic, bool from_zero) : logarithmic_(logarithmic) {
  if (logarithmic_) {
    low_ = std::floor(std::log10(low));
    high_ = std::max(low_ + 1, std::ceil(std::log10(high)));
    tighten(std::log10(low), std::log10(high));
  } else {
    low_ = from_zero ? std::min(0.0, low) : low;
    high_ = high > low_ ? high : low_ + std::max(1.0, std::fabs(low_));
    step_ = nice_step(high_ - low_);
    high_ = std::ceil(high_ / step_) * step_;
    low_ = std::floor(low_ / step_) * step_;
  }
}

SvgAxis SvgAxis::of(const std::vector<double>& values, bool logarithmic, bool from_zero) {
  double low = INFINITY;
  double high = -INFINITY;
  for (const double value : values) {
    if (!can_show(value, logarithmic)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (low > high) low = high = 1;
  return {low, high, logarithmic, from_zero};
}

double SvgAxis::place(double value) const {
  const double at = logarithmic_ ? std::log10(value) : value;
  return (at - low_) / (high_ - low_);
}

bool SvgAxis::holds(double value) const {
  return can_show(value, logarithmic_);
}

std::vector<double> SvgAxis::ticks() const {
  std::vector<double> result;
  if (!logarithmic_) {
    const auto steps = static_cast<int>(std::lround((high_ - low_) / step_));
    for (int i = 0; i <= steps; ++i) {
      const double value = low_ + i * step_;
      // Sums of decimal steps are a rounding error beside 0, which would be written as one.
      result.push_back(std::fabs(value) < step_ / 1000 ? 0 : value);
    }
    return result;
  }
  const double decades = high_ - low_;
  const int stride = std::max(1, static_cast<int>(std::ceil(decades / 6)));
  for (int power = static_cast<int>(std::floor(low_)); power <= static_cast<int>(std::ceil(high_)); ++power) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double value = factor * std::pow(10.0, power);
      const bool shown = factor == 1 ? power % stride == 0 : decades < 2.2;
      if (shown && place(value) > -1e-6 && place(value) < 1 + 1e-6) result.push_back(value);
    }
  }
  return result;
}

// Cuts a decade's empty part where it begins or ends with one, at 2 or 5.
void SvgAxis::tighten(double low, double high) {
  for (const double factor : {5.0, 2.0}) {
    if (low_ + std::log10(factor) <= low) {
      low_ += std::log10(factor);
      break;
    }
  }
  for (const double factor : {2.0, 5.0}) {
    const double end = high_ - 1 + std::log10(factor);
    if (end >= high && end > low_) {
      high_ = end;
      break;
    }
  }
}

std::string axis_number(double value) {
  const double magnitude = std::fabs(value);
  if (magnitude >= 1e3 && magnitude < 1e6) return fixed_text(value, 0);
  if (magnitude >= 1e6 || (magnitude > 0 && magnitude < 1e-4)) return fmt::format("{:.2g}", value);
  return fmt::format("{:.4g}", value);
}

}  // namespace stonechat
