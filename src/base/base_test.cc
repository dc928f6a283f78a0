// Errors, checked arithmetic, halves, files, hashes, memory and child processes.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/aligned_buffer.h"
#include "base/atomic_file.h"
#include "base/checked.h"
#include "base/child_process.h"
#include "base/cpu_features.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "base/half.h"
#include "base/input_file.h"
#include "base/sha256.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

using testing::HasSubstr;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string content_of(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

size_t files_in(const std::string& directory) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

TEST(Printable, SpellsControlCharacters) {
  EXPECT_EQ(printable("tensor \x1b[31mred\x07\x7f"), "tensor \\x1b[31mred\\x07\\x7f");
  EXPECT_EQ(printable("a\nb\tc \u00e9 \u65e5"), "a\nb\tc \u00e9 \u65e5");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\xc2\\x9b"
            "31m");
}

TEST(Checked, Overflow) {
  uint64_t result = 1;
  EXPECT_TRUE(checked_add(UINT64_MAX - 1, 1, result));
  EXPECT_EQ(result, UINT64_MAX);
  EXPECT_FALSE(checked_add(UINT64_MAX, 1, result));
  EXPECT_TRUE(checked_multiply(uint64_t{1} << 32, (uint64_t{1} << 32) - 1, result));
  EXPECT_FALSE(checked_multiply(uint64_t{1} << 32, uint64_t{1} << 32, result));
  EXPECT_TRUE(checked_align(33, 32, result));
  EXPECT_EQ(result, 64U);
  EXPECT_TRUE(checked_align(64, 32, result));
  EXPECT_EQ(result, 64U);
  EXPECT_FALSE(checked_align(UINT64_MAX - 3, 32, result));
}

TEST(Half, EveryHalfComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = half_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(value))));
    } else {
      ASSERT_EQ(float_to_half(value), half);
    }
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(half_to_float(0x3c00), 1.0F);
  EXPECT_EQ(half_to_float(0x0001), 0x1p-24F);
  EXPECT_EQ(float_to_half(1.0F + 0x1p-11F), 0x3c00);             // a tie goes to the even neighbour
  EXPECT_EQ(float_to_half(1.0F + 0x1p-11F + 0x1p-20F), 0x3c01);  // a little more goes up
  EXPECT_EQ(float_to_half(1.0F + 3 * 0x1p-11F), 0x3c02);
  EXPECT_EQ(float_to_half(65519.0F), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0F), 0x7c00);
  EXPECT_EQ(float_to_half(-INFINITY), 0xfc00);
  EXPECT_EQ(float_to_half(0x1p-25F), 0x0000);
  EXPECT_EQ(float_to_half(0x1.8p-25F), 0x0001);
  EXPECT_EQ(float_to_bfloat(1.0F + 0x1p-8F), 0x3f80);
  EXPECT_EQ(float_to_bfloat(1.0F + 3 * 0x1p-8F), 0x3f82);
  EXPECT_TRUE(std::isnan(bfloat_to_float(float_to_bfloat(NAN))));
}

TEST(Sha256, PublishedExamples) {
  // FIPS 180-4 examples; the last is a million times "a".
  const auto digest = [](const std::string& text) {
    Sha256 hash;
    hash.update(bytes_of(text));
    return hash.hex_digest();
  };
  EXPECT_EQ(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(digest(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesGiveTheSame) {
  const std::string text(1000, 'x');
  Sha256 whole;
  whole.update(bytes_of(text));
  const std::string expected = whole.hex_digest();
  for (const size_t piece : {1U, 7U, 63U, 64U, 65U, 129U}) {
    Sha256 hash;
    for (size_t at = 0; at < text.size(); at += piece) hash.update(bytes_of(text.substr(at, piece)));
    EXPECT_EQ(hash.hex_digest(), expected) << piece;
  }
}

TEST(InputFile, ReadsAndNamesWhatIsMissing) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("data");
  std::ofstream(path) << "0123456789";
  const InputFile file(path);
  EXPECT_EQ(file.bytes(), 10U);
  std::string text(4, ' ');
  file.read(3, std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(text, "3456");
  EXPECT_THAT(message_of([&] { file.read(8, std::as_writable_bytes(std::span(text))); }),
              HasSubstr("ends at byte 10"));
  EXPECT_THAT(message_of([&] { InputFile(directory.path()); }), HasSubstr("not a regular file"));
  EXPECT_THAT(message_of([&] { InputFile(directory.file("none")); }), HasSubstr("none: cannot open"));
  std::filesystem::create_hard_link(path, directory.file("twin"));
  EXPECT_TRUE(file.is_same_file_as(directory.file("twin")));
  EXPECT_FALSE(file.is_same_file_as(directory.file("none")));
}

TEST(AtomicFile, AppearsOnCommitOnly) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out");
  {
    AtomicFile file(path);
    file.write(bytes_of("lost"));
  }
  EXPECT_EQ(files_in(directory.path()), 0U);
  AtomicFile file(path);
  file.write(bytes_of("hello "));
  file.write(bytes_of("there"));
  file.write_at(0, bytes_of("H"));
  EXPECT_EQ(file.position(), 11U);
  EXPECT_FALSE(std::filesystem::exists(path));
  file.commit();
  EXPECT_EQ(content_of(path), "Hello there");
  EXPECT_EQ(files_in(directory.path()), 1U);
}

TEST(AtomicFile, ReplacesAndKeepsPermissions) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("out");
  std::ofstream(path) << "old";
  std::filesystem::permissions(path, std::filesystem::perms(0640));
  std::filesystem::create_symlink(path, directory.file("link"));
  {
    AtomicFile file(directory.file("link"));
    file.write(bytes_of("new"));
    EXPECT_EQ(content_of(path), "old");
    file.commit();
  }
  EXPECT_EQ(content_of(path), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(directory.file("link")));
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0640));
  EXPECT_EQ(files_in(directory.path()), 2U);
}

TEST(AtomicFile, RemovesTemporariesWithoutAWriter) {
  const TemporaryDirectory directory;
  const std::string abandoned = directory.file(".out.1.00000001.part");
  const std::string written = directory.file(".out.1.00000002.part");
  const std::string of_another = directory.file(".out.x.1.00000001.part");
  for (const std::string& name : {abandoned, written, of_another}) std::ofstream(name) << "half";
  const int writer = ::open(written.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(::flock(writer, LOCK_EX), 0);
  { AtomicFile file(directory.file("out")); }
  ::close(writer);
  EXPECT_FALSE(std::filesystem::exists(abandoned));
  EXPECT_TRUE(std::filesystem::exists(written));
  EXPECT_TRUE(std::filesystem::exists(of_another));
}

TEST(AtomicFile, RefusesBeforeAnyWork) {
  const TemporaryDirectory directory;
  EXPECT_THAT(message_of([&] { AtomicFile file(directory.path()); }), HasSubstr("is a directory"));
  EXPECT_THAT(message_of([&] { AtomicFile file(directory.file("no/out")); }),
              HasSubstr("no/out: cannot write"));
  EXPECT_THAT(message_of([&] { AtomicFile file(directory.file("out"), uint64_t{1} << 60); }),
              HasSubstr("MiB free"));
  EXPECT_THAT(message_of([] { AtomicFile file("/dev/null"); }), HasSubstr("not a regular file"));
  EXPECT_EQ(files_in(directory.path()), 0U);
}

TEST(AlignedBuffer, IsAlignedZeroAndMovable) {
  for (const size_t bytes : {1U, 100U, 4096U, 3U << 20}) {
    AlignedBuffer buffer(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0U);
    for (size_t i = 0; i < bytes; i += 97) ASSERT_EQ(buffer.data()[i], std::byte{0});
    buffer.data()[bytes - 1] = std::byte{5};
    const AlignedBuffer moved = std::move(buffer);
    EXPECT_EQ(moved.data()[bytes - 1], std::byte{5});
  }
  EXPECT_EQ(AlignedBuffer().bytes(), 0U);
  EXPECT_THAT(message_of([] { AlignedBuffer buffer(SIZE_MAX); }), HasSubstr("cannot get"));
  AlignedBuffer grows;
  grows.reserve(10);
  const auto* before = grows.data();
  grows.reserve(5);
  EXPECT_EQ(grows.data(), before);
}

TEST(CpuName, KnowsTheCoresOfArm) {
  const TemporaryDirectory directory;
  const auto name_of = [&](const std::string& text) {
    std::ofstream(directory.file("cpuinfo")) << text;
    return cpu_name(directory.file("cpuinfo"));
  };
  const auto arm = [&](const char* implementer, const char* part) {
    return name_of(fmt::format("processor\t: 0\nCPU implementer\t: {}\nCPU architecture: 8\nCPU part\t: {}\n",
                               implementer, part));
  };
  EXPECT_EQ(arm("0x41", "0xd49"), "Neoverse-N2");
  EXPECT_EQ(arm("0x41", "0xfff"), "0xfff");
  EXPECT_EQ(arm("0x61", "0xd49"), "0xd49");
  EXPECT_EQ(name_of("processor\t: 0\nmodel name\t: AMD EPYC 9755\n"), "AMD EPYC 9755");
  EXPECT_EQ(name_of(""), "unknown CPU");
}

TEST(ChildProcess, OutputAndExitCode) {
  const ChildResult result = run_child({"sh", "-c", "echo out; echo err >&2; exit 3"}, {});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.output, HasSubstr("out"));
  EXPECT_THAT(result.output, HasSubstr("err"));
  EXPECT_EQ(run_child({"sh", "-c", "kill -9 $$"}, {}).exit_code, 137);
  EXPECT_THAT(message_of([] { run_child({"no-such-program-here"}, {}); }), HasSubstr("cannot start"));
  EXPECT_THAT(message_of([] { run_child({"sleep", "60"}, [] { return true; }); }), HasSubstr("interrupted"));
}

TEST(ChildProcess, KeepsStreamsApart) {
  const ChildStreams result = run_child_apart(
      {"sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; seq 100000 >&2; echo last words >&2; exit 3"},
      {});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, std::string(1'000'000, 'x'));
  EXPECT_EQ(result.errors.size(), 64U << 10);
  EXPECT_THAT(result.errors, testing::EndsWith("100000\nlast words\n"));
  EXPECT_EQ(run_child_apart({"true"}, {}).output, "");
  EXPECT_EQ(run_child_apart({"sh", "-c", "exec >&-; echo still here >&2"}, {}).errors, "still here\n");
  EXPECT_THAT(message_of([] { run_child_apart({"yes"}, {}, 10'000); }),
              HasSubstr("yes: wrote more than 10000 bytes"));
  EXPECT_THAT(message_of([] { run_child_apart({"no-such-program-here"}, {}); }), HasSubstr("cannot start"));
  EXPECT_THAT(message_of([] {
                run_child_apart({"sleep", "60"}, [] { return true; });
              }),
              HasSubstr("interrupted"));
}

TEST(ChildProcess, StopsProgramsThatAreSilentOrStubborn) {
  using Clock = std::chrono::steady_clock;
  for (const char* script : {"exec sleep 20 >/dev/null 2>&1", "trap '' TERM; exec sleep 20",
                             "trap '' TERM; exec sleep 20 >&- 2>&-"}) {
    const auto start = Clock::now();
    EXPECT_THAT(
        message_of([&] {
          run_child({"sh", "-c", script}, [&] { return Clock::now() - start > std::chrono::seconds(1); });
        }),
        HasSubstr("interrupted"))
        << script;
    EXPECT_LT(Clock::now() - start, std::chrono::seconds(15)) << script;
  }
}

TEST(FileLock, KeepsOthersOut) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("a/b/lock");
  bool waited = false;
  {
    const FileLock lock(path, {}, {});
    EXPECT_THAT(message_of([&] {
                  const FileLock second(
                      path, [&] { waited = true; }, [&] { return waited; });
                }),
                HasSubstr("interrupted"));
  }
  EXPECT_TRUE(waited);
  const FileLock again(path, [] { FAIL() << "nobody has it"; }, {});
}

}  // namespace
}  // namespace stonechat
