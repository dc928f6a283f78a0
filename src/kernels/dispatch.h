// Which kernels run on this machine.
#pragma once

#include <span>
#include <string>

#include "kernels/kernel_table.h"

namespace stonechat {

// The tables compiled into this program, lowest first; `scalar` is always there.
std::span<const KernelTable* const> compiled_kernel_tables();

// True when this machine has what the table needs.
bool is_supported(const KernelTable& table);

// The table `name` laid over those lower ones that need nothing else, so that no group is empty and none asks
// more of a processor than `name` does. Error{kUsage} listing the names when it is unknown, or naming the
// processor when that can't run it. `asked_by` begins the sentence.
KernelTable kernels_up_to(const std::string& name, const char* asked_by = "STONECHAT_ISA");

// kernels_up_to the best supported table, or the one that the environment's STONECHAT_ISA names. Resolved
// once.
const KernelTable& kernels();

}  // namespace stonechat
