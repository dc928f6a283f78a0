// Which tensors of a model become which type.
#pragma once

#include <string>

#include "quant/rewrite.h"
#include "quant/type_plan.h"

namespace stonechat {

// Every matrix as F32, F16 or BF16; vectors (norms, biases) as F32. With `tie_embeddings` a separate
// output.weight is dropped when it and token_embd.weight are the same values at two precisions, and the more
// precise ones stay. Error{kBadFile} when it differs by more than rounding. `notice` becomes a sentence that
// says what was done, also that there is no output.weight; without `tie_embeddings` it stays as it is.
RewritePlan convert_plan(const gguf::ModelSource& file, gguf::TensorType type, bool tie_embeddings,
                         ThreadPool& pool, std::string& notice);

// Every matrix in the type that `types` says; vectors as F32. Error{kBadFile} for a matrix whose columns
// aren't a multiple of its type's block; Error{kUsage} for a matrix without a type, and for a pattern that
// fits none.
RewritePlan quantize_plan(const gguf::ModelSource& file, const TypePlan& types);

}  // namespace stonechat
