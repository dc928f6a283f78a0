// Products with integer codes by VPDPBUSD.
#include "kernels/avx512_parts.h"
#include "kernels/avx512_vnni_dot.h"
#include "kernels/simd_linear_codes.h"

namespace stonechat::avx512 {

constinit const LinearKernels kQ8_0Linear = SimdLinearCodes<VnniDot, FormatQ8_0>::kernels();
constinit const LinearKernels kQ8RowLinear = SimdLinearCodes<VnniDot, FormatQ8Row>::kernels();
constinit const LinearKernels kQ4_0Linear = SimdLinearCodes<VnniDot, FormatQ4_0>::kernels();

}  // namespace stonechat::avx512
