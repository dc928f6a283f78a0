// Parts of memory and their measurement.
#include "base/process_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/aligned_buffer.h"
#include "base/checked.h"
#include "base/heap.h"
#include "base/input_file.h"
#include "base/mapped_file.h"
#include "base/page.h"
#include "tests/support/temporary_directory.h"

namespace stonechat {
namespace {

constexpr const char* kRollup =
    "55ce7f616000-7ffd633a7000 ---p 00000000 00:00 0                          [rollup]\n"
    "Rss:                1744 kB\n"
    "Pss:                 305 kB\n"
    "Pss_Anon:            112 kB\n"
    "Anonymous:           112 kB\n"
    "AnonHugePages:         7 kB\n";

TEST(SmapsRollup, Parses) {
  const auto memory = parse_smaps_rollup(kRollup);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->rss, 1744U * 1024);
  EXPECT_EQ(memory->pss, 305U * 1024);
  EXPECT_EQ(memory->anonymous, 112U * 1024);
  EXPECT_EQ(memory->file(), (1744U - 112) * 1024);
}

TEST(SmapsRollup, RefusesWhatIsNoSuchText) {
  for (const char* text : {"", "\n\n", "Rss: 1 kB\nPss: 1 kB\n", "Rss: 1 kB\nPss: 1 kB\nAnonymous: x kB\n",
                           "Rss: 1 kB\nPss: 1 kB\nAnonymous: 1 MB\n",
                           "Rss: 1 kB\nPss: 1 kB\nAnonymous:", "Rss\nPss\nAnonymous\n",
                           "Rss: 1 kB\nPss: 1 kB\nAnonymous: 18446744073709551615 kB\n",
                           "Rss: 1 kB\nPss: 1 kB\nAnonymous: 99999999999999999999999 kB\n",
                           "Rss: -1 kB\nPss: 1 kB\nAnonymous: 1 kB\n"}) {
    EXPECT_FALSE(parse_smaps_rollup(text)) << text;
  }
}

TEST(Statm, Parses) {
  const auto memory = parse_statm("4000 1000 300 10 0 900 0\n", 4096);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->rss, 1000U * 4096);
  EXPECT_EQ(memory->anonymous, 700U * 4096);
  EXPECT_FALSE(memory->pss);
  for (const char* text : {"", "1", "1 2", "a b c", "1 2 3", "1 18446744073709551615 1", "-1 -1 -1"})
    EXPECT_FALSE(parse_statm(text, 4096)) << text;
}

TEST(Smaps, ParsesMappingsWithPagesInMemory) {
  const auto mappings = parse_smaps(
      "1000-3000 r-xp 00000000 fe:00 123   /usr/bin/a name: 7 kB\n"
      "Rss:  8 kB\nPss:  4 kB\nPss_Dirty: 1 kB\n"
      "5000-6000 rw-p 00000000 00:00 0\nPss: 0 kB\n"
      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\nPss: 12 kB\n");
  ASSERT_EQ(mappings.size(), 2U);
  EXPECT_EQ(mappings[0].begin, 0x1000U);
  EXPECT_EQ(mappings[0].end, 0x3000U);
  EXPECT_EQ(mappings[0].rss, 8192U);
  EXPECT_EQ(mappings[0].pss, 4096U);
  EXPECT_EQ(mappings[1].begin, 0xffffffffff600000U);
  EXPECT_EQ(mappings[1].rss, 0U);
}

TEST(Smaps, CodeIsAbsentThatItsMappingHasNotInMemory) {
  const Mapping mappings[] = {{0x10000, 0x50000, 0x4000, 0x8000}, {0x50000, 0x60000, 0x1000, 0x20000}};
  EXPECT_EQ(absent_code_bytes(mappings, 0x10000), 0x38000U);
  EXPECT_EQ(absent_code_bytes(mappings, 0x4ffff), 0x38000U);
  EXPECT_EQ(absent_code_bytes(mappings, 0x50000), 0U);  // more than there is can't be
  EXPECT_EQ(absent_code_bytes(mappings, 0x60000), 0U);
  EXPECT_EQ(absent_code_bytes({}, 0x10000), 0U);
  EXPECT_LT(absent_code_bytes(), uint64_t{64} << 20);
}

TEST(Smaps, PassesOverWhatIsNoSuchLine) {
  EXPECT_TRUE(parse_smaps("").empty());
  EXPECT_TRUE(parse_smaps("Pss: 4 kB\n").empty());
  EXPECT_TRUE(parse_smaps("3000-1000 r--p\nPss: 4 kB\n1000-\nPss: 4 kB\nzz-11 r--p\nPss: 4 kB\n").empty());
  EXPECT_TRUE(parse_smaps("1-ffffffffffffffffff r--p\nPss: 4 kB\n").empty());
}

uint64_t size_in_pages(uintptr_t begin, uintptr_t end) {
  return (end - begin) / 4096;
}

TEST(SplitByPart, AWholeMappingGoesToItsRange) {
  const Mapping mappings[] = {{0x10000, 0x20000, 700}, {0x20000, 0x30000, 50}, {0x90000, 0xa0000, 3}};
  const MemoryRange ranges[] = {{0x10000, 0x30000, MemoryPart::kWeights},
                                {0x50000, 0x51000, MemoryPart::kLogits}};
  const MemoryByPart parts = split_by_part(mappings, ranges, [](uintptr_t, uintptr_t) -> uint64_t {
    ADD_FAILURE() << "nothing to count";
    return 0;
  });
  EXPECT_EQ(parts[MemoryPart::kWeights], 750U);
  EXPECT_EQ(parts[MemoryPart::kLogits], 0U);
  EXPECT_EQ(parts[MemoryPart::kOther], 3U);
  EXPECT_EQ(parts.total(), 753U);
  EXPECT_EQ(parts.runtime(), 3U);
}

TEST(SplitByPart, RangesShareAMappingByTheirPages) {
  const Mapping mappings[] = {{0x10000, 0x20000, 16 * 4096}};
  const MemoryRange ranges[] = {{0x8000, 0x14000, MemoryPart::kKvCache},
                                {0x14000, 0x16000, MemoryPart::kLogits},
                                {0x18000, 0x19000, MemoryPart::kKvCache}};
  const MemoryByPart parts = split_by_part(mappings, ranges, size_in_pages);
  EXPECT_EQ(parts[MemoryPart::kKvCache], 5U * 4096);
  EXPECT_EQ(parts[MemoryPart::kLogits], 2U * 4096);
  EXPECT_EQ(parts[MemoryPart::kOther], 9U * 4096);
}

TEST(SplitByPart, UncountablePagesBelongToNoPart) {
  const Mapping mappings[] = {{0x10000, 0x20000, 5}};
  const MemoryRange ranges[] = {{0x10000, 0x14000, MemoryPart::kLogits}};
  const MemoryByPart parts =
      split_by_part(mappings, ranges, [](uintptr_t, uintptr_t) { return uint64_t{0}; });
  EXPECT_EQ(parts[MemoryPart::kOther], 5U);
}

uint64_t charged(const void* data) {
  for (const MemoryRange& range : charged_ranges()) {
    if (range.begin == reinterpret_cast<uintptr_t>(data)) return range.end - range.begin;
  }
  return 0;
}

TEST(MemoryParts, BuffersAreChargedWhileTheyLive) {
  const void* where = nullptr;
  {
    AlignedBuffer buffer(MemoryPart::kLogits);
    buffer.reserve(10'000);
    where = buffer.data();
    const AlignedBuffer moved = std::move(buffer);
    EXPECT_EQ(charged(where), round_up(10'000, page_bytes()));
  }
  EXPECT_EQ(charged(where), 0U);
}

TEST(MemoryParts, LargePiecesOfTheHeapAreCharged) {
  const void* where = nullptr;
  {
    PartVector<float, MemoryPart::kTokenizer> small(10);
    EXPECT_EQ(charged(small.data()), 0U);
    PartVector<float, MemoryPart::kTokenizer> large(kLargePiece / sizeof(float));
    where = large.data();
    EXPECT_EQ(charged(where), kLargePiece);
    const PartBytes bytes = allocate_bytes(kLargePiece, MemoryPart::kPacking);
    EXPECT_EQ(charged(bytes.get()), kLargePiece);
  }
  EXPECT_EQ(charged(where), 0U);
}

TEST(MemoryParts, NamesAreThoseOfReports) {
  std::vector<std::string> names;
  for (const MemoryPart part : memory_parts()) names.emplace_back(name(part));
  EXPECT_THAT(names, testing::ElementsAre("weights", "kv_cache", "activations", "logits", "tokenizer",
                                          "packing", "other"));
}

TEST(MeasureMemoryParts, CountsPagesThatWereWrittenOnly) {
  const auto before = measure_memory_parts();
  if (!before) GTEST_SKIP() << "the system does not tell";
  constexpr size_t kBytes = size_t{32} << 20;
  AlignedBuffer written(kBytes, MemoryPart::kWeights);
  AlignedBuffer half_written(kBytes, MemoryPart::kKvCache, AlignedBuffer::Pages::kSmall);
  AlignedBuffer read(kBytes, MemoryPart::kLogits, AlignedBuffer::Pages::kSmall);
  std::memset(written.data(), 1, kBytes);
  std::memset(half_written.data(), 1, kBytes / 2);
  for (size_t i = 0; i < kBytes; i += 4096) ASSERT_EQ(read.data()[i], std::byte{0});
  const MemoryByPart after = measure_memory_parts().value();
  const auto more = [&](MemoryPart part) {
    return static_cast<double>(after[part]) - static_cast<double>((*before)[part]);
  };
  EXPECT_NEAR(more(MemoryPart::kWeights), kBytes, 0.02 * kBytes);
  EXPECT_NEAR(more(MemoryPart::kKvCache), kBytes / 2, 0.02 * kBytes);
  EXPECT_NEAR(more(MemoryPart::kLogits), 0, 0.02 * kBytes);
  // Another file of the system, another walk: the whole process.
  EXPECT_NEAR(static_cast<double>(after.total()),
              static_cast<double>(ProcessMemoryReader().read().pss.value()),
              0.05 * static_cast<double>(after.total()));
}

TEST(MeasureMemoryParts, MappedFilesCountWhereTheyAreRead) {
  if (!measure_memory_parts()) GTEST_SKIP() << "the system does not tell";
  const TemporaryDirectory directory;
  constexpr size_t kBytes = (size_t{8} << 20) + 5;
  std::FILE* out = std::fopen(directory.file("file").c_str(), "wb");
  const std::vector<char> content(kBytes, 'x');
  ASSERT_EQ(std::fwrite(content.data(), 1, kBytes, out), kBytes);
  std::fclose(out);
  const InputFile file(directory.file("file"));
  const MappedFile mapped(file, MemoryPart::kWeights);
  mapped.populate(0, kBytes);
  uint64_t sum = 0;
  for (size_t i = 0; i < kBytes; i += 4096) sum += static_cast<uint64_t>(mapped.data()[i]);
  EXPECT_GT(sum, 0U);
  EXPECT_NEAR(static_cast<double>((*measure_memory_parts())[MemoryPart::kWeights]), kBytes, 0.02 * kBytes);
}

TEST(ProcessMemory, TheProgramItselfIsThere) {
  const ProcessMemory memory = ProcessMemoryReader().read();
  EXPECT_GT(memory.rss, 1U << 18);
  EXPECT_GE(peak_resident_bytes() + (1 << 20), memory.rss);
  if (memory.pss) {
    EXPECT_LE(*memory.pss, memory.rss);
    EXPECT_GT(*memory.file(), 0U);
  }
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(Heap, FreePagesAreGivenBack) {
  const ProcessMemoryReader reader;
  constexpr size_t kPieces = 2000;
  constexpr size_t kBytes = 16000;  // from the heap itself, not mapped alone
  std::vector<std::vector<char>> pieces;
  for (size_t i = 0; i < kPieces; ++i) pieces.emplace_back(kBytes, 'x');
  std::vector<char> last(kBytes, 'x');  // above the others: the heap's end can't be lowered
  const uint64_t before = reader.read().rss;
  pieces.clear();
  release_free_heap();
  EXPECT_LE(reader.read().rss + kPieces * kBytes * 8 / 10, before);
  EXPECT_EQ(last.back(), 'x');
}
#endif

}  // namespace
}  // namespace stonechat
