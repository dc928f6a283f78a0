// Figures as reports write them: thousands separated by commas, as many digits as mean something.
#pragma once

#include <cstdint>
#include <string>

namespace stonechat {

// "1,188.2"; -0 is 0.
std::string fixed_text(double value, int decimals);
// At least `digits` digits that count, never an exponent: 23.11, 1,188, 0.000730.
std::string significant_text(double value, int digits);
// Two digits of the deviation, and as many decimals of the mean: "1,188.2 ± 7.9", "0.000730 ± 0.000040". A
// deviation of 0 (a single value) is left out.
std::string with_deviation(double mean, double deviation);
// Bytes in 10^6: "525.1".
std::string megabytes_text(double bytes);
// What a factor changes, in percent with its sign: 1.743 is "+74.3 %".
std::string change_text(double factor);
// A share of 0 to 1: "98.61 %".
std::string percent_text(double share, int decimals);
// "1 h 7 min", "12 min 3 s", "48 s".
std::string duration_text(double seconds);

}  // namespace stonechat
