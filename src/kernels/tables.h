// The tables of kernels compiled into this program, one a file. Includes nothing that could instantiate
// inline code.
#pragma once

#include "kernels/kernel_table.h"

namespace stonechat {

extern const KernelTable kScalarKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvxVnniKernels;
extern const KernelTable kAvx512VnniKernels;
extern const KernelTable kAmxKernels;
extern const KernelTable kNeonKernels;
extern const KernelTable kNeonDotprodKernels;
extern const KernelTable kNeonI8mmKernels;

}  // namespace stonechat
