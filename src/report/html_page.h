// The frame of pages with charts: head, style for light and dark, and heading. Nothing is fetched, nothing
// runs.
#pragma once

#include <string>

namespace stonechat {

// Up to the heading. The style knows the classes of svg_chart.h.
std::string page_begin(const std::string& title);
std::string page_end();

}  // namespace stonechat
