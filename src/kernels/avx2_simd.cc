// The simd_* templates for AVX2: products with float weights, attention, row-wise steps.
#include "kernels/avx2_parts.h"
#include "kernels/simd_attention.h"
#include "kernels/simd_linear_float.h"
#include "kernels/simd_vector.h"

namespace stonechat::avx2 {

constinit const LinearKernels kF32Linear = SimdLinearFloat<Simd, FormatF32<Simd>>::kernels();
constinit const LinearKernels kF16Linear = SimdLinearFloat<Simd, FormatF16<Simd>>::kernels();
constinit const LinearKernels kBf16Linear = SimdLinearFloat<Simd, FormatBf16<Simd>>::kernels();
constinit const AttentionKernels kAttention = {SimdAttention<Simd>::scratch_bytes,
                                               SimdAttention<Simd>::attend};
constinit const VectorKernels kVector = {SimdVector<Simd>::rms_norm, SimdVector<Simd>::rope,
                                         SimdVector<Simd>::silu_multiply, SimdVector<Simd>::to_half};

}  // namespace stonechat::avx2
