// A file that appears under its name complete, or not at all.
//
// The content goes to a temporary in the same directory; commit() syncs it, renames it onto `path` and syncs
// the directory. A full disk, an exception, a signal or kill -9 before that leaves the old file, or none.
// Where the filesystem can, the temporary has no name (O_TMPFILE) until commit() replaces an old file, so
// that nothing is left behind whatever happens. Otherwise it is `.NAME.PID.RANDOM.part`, removed by the
// destructor, on SIGHUP, SIGINT and SIGTERM (unless the program handles these itself), and else by the next
// AtomicFile of the same name.
//
// An existing file keeps its permission bits; a symbolic link is followed. Not thread safe, but write_at() of
// disjoint ranges may run concurrently. Errors: ErrorKind::kIo naming `path`; the constructor fails before
// any work when the target is a directory or another non-file, is not writable, or has no room for
// `expected_bytes`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace stonechat {

class AtomicFile {
 public:
  // `expected_bytes` (0: unknown) must be free in the filesystem beside the old file.
  explicit AtomicFile(std::string path, uint64_t expected_bytes = 0);
  // Removes the temporary unless committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& path() const { return path_; }
  // Where the next write() goes: the sum of the sizes given to write() so far.
  uint64_t position() const { return position_; }

  void write(std::span<const std::byte> bytes);
  // Does not move position().
  void write_at(uint64_t offset, std::span<const std::byte> bytes);

  // Makes the file visible. Call once, last.
  void commit();

 private:
  void open_temporary();
  void open_named_temporary();
  void give_name();

  std::string path_;       // as the caller wrote it, for messages
  std::string target_;     // behind symbolic links
  std::string temporary_;  // empty while the temporary has no name
  int descriptor_ = -1;
  int signal_slot_ = -1;  // where a signal handler finds temporary_
  uint64_t position_ = 0;
};

// A file with this text: all of it, or what was there before.
void write_text_file(const std::string& path, std::string_view text);

// A directory and those above it, where they are missing. Error{kIo}.
void make_directories(const std::string& path);

// Syncs a file that was written otherwise, renames it within its directory and syncs that: whatever happens,
// `to` is the whole file or what was there before.
void rename_synced(const std::string& from, const std::string& to);

}  // namespace stonechat
