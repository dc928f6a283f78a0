// The simd_* templates for AVX-512: products with float weights, attention, row-wise steps.
#include "kernels/avx512_parts.h"
#include "kernels/avx512_wide_dots.h"
#include "kernels/simd_attention.h"
#include "kernels/simd_linear_float.h"
#include "kernels/simd_vector.h"

namespace stonechat::avx512 {

constinit const LinearKernels kF32Linear = SimdLinearFloat<Simd, FormatF32<Simd>>::kernels();
constinit const LinearKernels kF16Linear = SimdLinearFloat<Simd, FormatF16<Simd>>::kernels();
constinit const LinearKernels kBf16Linear = SimdLinearFloat<Simd, FormatBf16<Simd>>::kernels();
constinit const AttentionKernels kAttention = SimdAttention<WideDots>::kernels();
constinit const VectorKernels kVector = SimdVector<Simd>::kernels();

}  // namespace stonechat::avx512
