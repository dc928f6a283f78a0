#include <fmt/format.h>

#include "base/cpu_features.h"
#include "commands.h"
#include "kernels/dispatch.h"

namespace stonechat {

std::string version_text() {
  std::string text = fmt::format("stonechat {}\ncompiler  {}\nprocessor {}\nkernels   {} (of",
                                 STONECHAT_VERSION, STONECHAT_COMPILER, cpu_name(), kernels().name);
  for (const KernelTable* table : compiled_kernel_tables()) {
    text += fmt::format(" {}{}", table->name, is_supported(*table) ? "" : "[not on this processor]");
  }
  return text + ")";
}

}  // namespace stonechat
