#include "kernels/dispatch.h"

#include <gmock/gmock.h>

#include <cstring>

#include "base/error.h"
#include "kernels/test_support.h"

namespace stonechat {
namespace {

using testing::HasSubstr;

std::string message_of(const std::string& name) {
  try {
    kernels_up_to(name);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "no error";
}

TEST(Dispatch, EveryTableIsCompleteOnceLaidOver) {
  for (const std::string& name : supported_tables()) {
    const KernelTable table = kernels_up_to(name);
    EXPECT_EQ(table.name, name);
    for (const LinearKernels* linear : table.linear) {
      ASSERT_NE(linear, nullptr);
      EXPECT_GT(linear->tile_rows, 0U);
      EXPECT_GT(linear->tile_tokens, 0U);
    }
    EXPECT_NE(table.attention, nullptr);
    EXPECT_NE(table.vector, nullptr);
    ASSERT_NE(table.tensor_scale, nullptr);
    EXPECT_NE(table.tensor_scale->gemv_f32_f32_q8t, nullptr);
    EXPECT_NE(table.limits, nullptr);
  }
}

TEST(Dispatch, ScalarIsFirstAndAlwaysSupported) {
  ASSERT_FALSE(compiled_kernel_tables().empty());
  EXPECT_STREQ(compiled_kernel_tables()[0]->name, "scalar");
  EXPECT_TRUE(is_supported(*compiled_kernel_tables()[0]));
}

TEST(Dispatch, UnknownNameIsAnErrorThatListsTheNames) {
  EXPECT_THAT(message_of("sse9"), HasSubstr("unknown kernels 'sse9', expected one of scalar, "));
}

TEST(Dispatch, NameThatTheMachineLacksIsAnError) {
  for (const KernelTable* table : compiled_kernel_tables()) {
    if (is_supported(*table)) continue;
    EXPECT_THAT(message_of(table->name),
                HasSubstr("can't run the kernels '" + std::string(table->name) + "'"));
  }
}

TEST(Dispatch, LowerTablesAddNothingToWhatOneNeeds) {
  for (const KernelTable* table : compiled_kernel_tables()) {
    if (is_supported(*table)) {
      EXPECT_EQ(kernels_up_to(table->name).needs, table->needs) << table->name;
    }
  }
}

TEST(Dispatch, HigherTablesReplaceWhatTheyClaim) {
  const auto expect_there = [](const auto* claimed, const auto* group) {
    if (claimed != nullptr) {
      EXPECT_EQ(group, claimed);
    }
  };
  for (const KernelTable* table : compiled_kernel_tables()) {
    if (!is_supported(*table)) continue;
    const KernelTable whole = kernels_up_to(table->name);
    for (int format = 0; format < kWeightFormats; ++format)
      expect_there(table->linear[format], whole.linear[format]);
    expect_there(table->attention, whole.attention);
    expect_there(table->vector, whole.vector);
    expect_there(table->tensor_scale, whole.tensor_scale);
    expect_there(table->limits, whole.limits);
  }
}

}  // namespace
}  // namespace stonechat
