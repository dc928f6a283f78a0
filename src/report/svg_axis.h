// The axis of a plot: which values it shows, where each lies, and its marks.
#pragma once

#include <string>
#include <vector>

namespace stonechat {

class SvgAxis {
 public:
  // From `low` to `high`, widened to round numbers. A logarithmic axis needs low > 0; of another `from_zero`
  // says that it begins at 0, or below where `low` does.
  SvgAxis(double low, double high, bool logarithmic, bool from_zero = true);

  // Of `values`, those that can't be shown aside.
  static SvgAxis of(const std::vector<double>& values, bool logarithmic, bool from_zero = true);

  // 0 at the low end, 1 at the high one.
  double place(double value) const;
  // Whether a value can be shown at all: finite, and above 0 on a logarithmic axis.
  bool holds(double value) const;
  std::vector<double> ticks() const;

 private:
  void tighten(double low, double high);

  bool logarithmic_;
  double low_ = 0;  // of a logarithmic axis: powers of ten
  double high_ = 1;
  double step_ = 1;
};

// As a tick or a title shows it: four digits at most, with an exponent where it is very large or small.
std::string axis_number(double value);

}  // namespace stonechat
