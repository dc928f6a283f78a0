#include "interrupt.h"

#include <unistd.h>

#include <csignal>

namespace stonechat {
namespace {

volatile std::sig_atomic_t interrupt_count = 0;

void on_interrupt(int) {
  interrupt_count = interrupt_count + 1;
  if (interrupt_count >= 2) ::_exit(kExitInterrupted);
}

void catch_signal(int signal) {
  struct sigaction action {};
  action.sa_handler = on_interrupt;  // without SA_RESTART, so that a waiting read returns
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

void catch_interrupts() {
  catch_signal(SIGINT);
}

void catch_terminations() {
  catch_signal(SIGTERM);
  catch_signal(SIGHUP);
}

bool interrupted() {
  return interrupt_count > 0;
}

void clear_interrupt() {
  interrupt_count = 0;
}

}  // namespace stonechat
