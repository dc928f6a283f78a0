// The ways in which `stonechat stats` shows a calibration.
#pragma once

#include <string>

#include "quant/calibration_file.h"

namespace stonechat {

// Tables for a terminal.
std::string stats_text(const CalibrationStats& stats);
// One JSON object with everything that the file has (docs/calibration.md).
std::string stats_json(const CalibrationStats& stats);
// A page that stands for itself: inline SVG, no script, nothing fetched.
std::string stats_html(const CalibrationStats& stats);

}  // namespace stonechat
