#include "kernels/dispatch.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/cpu_features.h"
#include "base/error.h"
#include "kernels/tables.h"

namespace stonechat {
namespace {

constexpr std::array kTables = {
    &kScalarKernels,
#if defined(__x86_64__)
    &kAvx2Kernels,   &kAvxVnniKernels, &kAvx512VnniKernels, &kAmxKernels,
#elif defined(__aarch64__)
    &kNeonKernels,
    &kNeonDotprodKernels,
    &kNeonI8mmKernels,
#endif
};

void lay_over(KernelTable& table, const KernelTable& upper) {
  table.name = upper.name;
  table.needs = upper.needs;
  for (int format = 0; format < kWeightFormats; ++format) {
    if (upper.linear[format] != nullptr) table.linear[format] = upper.linear[format];
  }
  if (upper.attention != nullptr) table.attention = upper.attention;
  if (upper.vector != nullptr) table.vector = upper.vector;
  if (upper.tensor_scale != nullptr) table.tensor_scale = upper.tensor_scale;
  if (upper.limits != nullptr) table.limits = upper.limits;
}

std::string table_names() {
  std::string names;
  for (const KernelTable* table : kTables) names += (names.empty() ? "" : ", ") + std::string(table->name);
  return names;
}

KernelTable choose() {
  if (const char* forced = std::getenv("STONECHAT_ISA"); forced != nullptr && *forced != '\0') {
    return kernels_up_to(forced);
  }
  const KernelTable* best = kTables[0];
  for (const KernelTable* table : kTables) {
    if (is_supported(*table)) best = table;
  }
  return kernels_up_to(best->name);
}

}  // namespace

std::span<const KernelTable* const> compiled_kernel_tables() {
  return kTables;
}

bool is_supported(const KernelTable& table) {
  return (cpu_features() & table.needs) == table.needs;
}

KernelTable kernels_up_to(const std::string& name, const char* asked_by) {
  const auto named = std::ranges::find(kTables, name, &KernelTable::name);
  if (named == kTables.end())
    fail(ErrorKind::kUsage, "{}: unknown kernels '{}', expected one of {}", asked_by, name, table_names());
  const KernelTable& top = **named;
  if (!is_supported(top))
    fail(ErrorKind::kUsage, "{}: this processor ({}) can't run the kernels '{}'", asked_by, cpu_name(), name);
  KernelTable result = {};
  // A table that needs what `top` doesn't is for other processors, though this one may have it too.
  for (const KernelTable* table : std::span(kTables.begin(), named + 1)) {
    if ((table->needs & top.needs) == table->needs) lay_over(result, *table);
  }
  return result;
}

const KernelTable& kernels() {
  static const KernelTable chosen = choose();
  return chosen;
}

}  // namespace stonechat
