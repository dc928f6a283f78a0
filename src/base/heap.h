// The heap as a whole.
#pragma once

namespace stonechat {

// Gives free pages of the heap back to the system, which allocators otherwise keep for later. Worth its
// milliseconds after much was freed that won't come again. Nothing happens where the C library has no such
// call.
void release_free_heap() noexcept;

}  // namespace stonechat
