// Limits of the scalar table: what the compiler makes of plain loops, as in scalar.cc.
#pragma once

#include "kernels/kernel_table.h"

namespace stonechat {

extern const LimitKernels kScalarLimits;

}  // namespace stonechat
