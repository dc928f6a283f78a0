/* tbprof: a QEMU plugin that counts how often each translated block of a program runs, and records its code.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Build:  cc -O2 -shared -fPIC -o tbprof.so tbprof.c
 * Run:    qemu-aarch64 -plugin ./tbprof.so,out=profile.txt PROGRAM ARGUMENT...
 * Output: a line for each block that ran, "ADDRESS COUNT CODE", address and code in hexadecimal.
 *
 * A program may cut its run into sections by the instruction `hint #100`, which does nothing on a processor: at
 * each one the counts so far are written, a line "section" follows, and counting starts again. Only programs of
 * one thread may do so. A block is counted when it begins, so the rest of the block that has the mark still belongs
 * to the section before.
 *
 * The declarations below restate version 1 of the plugin interface (QEMU 4.2 to 8.2), so that no header of QEMU
 * is needed.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb*));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb*);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn*);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, enum qemu_plugin_op, void*, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn*, void (*)(unsigned, void*),
                                            enum qemu_plugin_cb_flags, void*);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void*), void*);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { kInstructionBytes = 4 };
static const unsigned char kMark[kInstructionBytes] = {0x9f, 0x2c, 0x03, 0xd5}; /* hint #100 */

struct block {
  uint64_t count; /* updated by translated code */
  uint64_t address;
  size_t bytes;
  unsigned char* code;
  struct block* next;
};

static struct block* blocks;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE* out;

static void write_counts(void) {
  pthread_mutex_lock(&lock);
  for (struct block* b = blocks; b; b = b->next) {
    if (!b->count) continue;
    fprintf(out, "%llx %llu ", (unsigned long long)b->address, (unsigned long long)b->count);
    for (size_t i = 0; i < b->bytes; i++) fprintf(out, "%02x", b->code[i]);
    fputc('\n', out);
    b->count = 0;
  }
  pthread_mutex_unlock(&lock);
}

static void on_mark(unsigned cpu, void* unused) {
  (void)cpu;
  (void)unused;
  write_counts();
  fputs("section\n", out);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  (void)id;
  const size_t instructions = qemu_plugin_tb_n_insns(tb);
  struct block* b = calloc(1, sizeof *b);
  if (!b) abort();
  b->bytes = kInstructionBytes * instructions;
  b->address = qemu_plugin_tb_vaddr(tb);
  b->code = malloc(b->bytes);
  if (!b->code) abort();
  for (size_t i = 0; i < instructions; i++) {
    struct qemu_plugin_insn* instruction = qemu_plugin_tb_get_insn(tb, i);
    unsigned char* code = b->code + kInstructionBytes * i;
    memcpy(code, qemu_plugin_insn_data(instruction), kInstructionBytes);
    if (!memcmp(code, kMark, kInstructionBytes)) {
      qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_mark, QEMU_PLUGIN_CB_NO_REGS, NULL);
    }
  }
  pthread_mutex_lock(&lock);
  b->next = blocks;
  blocks = b;
  pthread_mutex_unlock(&lock);
  qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &b->count, 1);
}

static void on_end(qemu_plugin_id_t id, void* unused) {
  (void)id;
  (void)unused;
  write_counts();
  fclose(out);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void* info, int argc,
                                                               char** argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    if (!strncmp(argv[i], "out=", 4)) out = fopen(argv[i] + 4, "w");
  }
  if (!out) {
    fputs("tbprof: expected out=FILE, a file that can be written\n", stderr);
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
  qemu_plugin_register_atexit_cb(id, on_end, NULL);
  return 0;
}
