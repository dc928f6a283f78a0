// `stonechat bench -o md`.
#pragma once

#include <memory>

#include "bench_report.h"

namespace stonechat {

std::unique_ptr<BenchReport> make_markdown_report();

}  // namespace stonechat
