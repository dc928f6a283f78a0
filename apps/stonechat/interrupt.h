// Ctrl-C as a question that long work asks from time to time, instead of a sudden end.
#pragma once

namespace stonechat {

inline constexpr int kExitInterrupted = 130;

// From now on SIGINT sets a flag. A second SIGINT before the flag was cleared ends the program at once.
void catch_interrupts();
// SIGTERM and SIGHUP too: for a program that has others to end.
void catch_terminations();
bool interrupted();
void clear_interrupt();

}  // namespace stonechat
