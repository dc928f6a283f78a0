// What a variant gained and lost beside the reference, in words made from the figures.
//
// A difference is noise where the interval of 95 % of the ratio holds 1. Sizes and memory are measured once:
// differences of less than 1 % count as noise.
#pragma once

#include <string>
#include <vector>

#include "report/document.h"
#include "report/results.h"

namespace stonechat {

// For each variant that isn't the reference two sentences, and a list of what is behind them.
DocumentSection findings_section(const ReportResults& results);

// Why a gain of speed is smaller than the paper's, as far as the measured limits say. Empty where ours isn't
// smaller or isn't there.
std::vector<std::string> speed_explanations(const ReportResults& results);

// "kept", "not kept" or "cannot be told": an interval of a ratio beside what should be kept at least.
std::string kept_verdict(const Interval& kept, double least);

}  // namespace stonechat
