#include "engine/stop_matcher.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "base/error.h"

namespace stonechat {
namespace {

TEST(StopMatcher, HoldsBackWhatCouldBecomeAStop) {
  StopMatcher matcher({"STOP", "END"});
  EXPECT_EQ(matcher.push("abc S"), "abc ");
  EXPECT_EQ(matcher.push("T"), "");
  EXPECT_EQ(matcher.push("x"), "STx");
  EXPECT_EQ(matcher.push("yE"), "y");
  EXPECT_EQ(matcher.push("NDz"), "");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.push("more"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, FinishGivesTheRest) {
  StopMatcher matcher({"STOP"});
  EXPECT_EQ(matcher.push("ST"), "");
  EXPECT_EQ(matcher.finish(), "ST");
}

TEST(StopMatcher, TheFirstOfSeveralCounts) {
  StopMatcher matcher({"bc", "ab"});
  EXPECT_EQ(matcher.push("xabc"), "x");
}

TEST(StopMatcher, EmptyStopIsRefused) {
  EXPECT_THROW(StopMatcher({""}), Error);
}

RC_GTEST_PROP(StopMatcherProperty, PiecesDoNotMatter, ()) {
  const auto letters = rc::gen::container<std::string>(rc::gen::element('a', 'b', 'c'));
  const std::string text = *letters;
  const std::string stop = *rc::gen::nonEmpty(letters);
  StopMatcher matcher({stop});
  std::string shown;
  for (size_t at = 0; at < text.size();) {
    const auto size = *rc::gen::inRange<size_t>(1, 5);
    shown += matcher.push(std::string_view(text).substr(at, size));
    at += size;
  }
  shown += matcher.finish();
  RC_ASSERT(shown == text.substr(0, text.find(stop)));
  RC_ASSERT(matcher.matched() == (text.find(stop) != std::string::npos));
}

}  // namespace
}  // namespace stonechat
