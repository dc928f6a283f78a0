#include "report/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stonechat {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kHostile = "<script>x</script> | `a` *b* [c](d) \"e\" & _f_\n# g \x1b[31m";

Document sample_document() {
  Document document;
  document.title = "Title";
  document.lead = "Lead.";
  document.legend = {"one", "two"};
  document.sections = {
      {.title = "First",
       .paragraphs = {"Some text of 3 %."},
       .commands = {"stonechat report x"},
       .tables = {{"Table", {"name", "figure"}, {{"q8_0", "1,188.2"}, {"f32", ""}}, "Note."}},
       .lists = {{"List", {"one", "two"}}},
       .notes = {"After."}}};
  return document;
}

TEST(Document, Markdown) {
  EXPECT_EQ(markdown_of(sample_document()),
            "# Title\n\nLead.\n\n"
            "## First\n\nSome text of 3 %.\n\n    stonechat report x\n\n"
            "**List**\n\n- one\n- two\n\n"
            "**Table**\n\n| name | figure |\n| --- | ---: |\n| q8_0 | 1,188.2 |\n| f32 |  |\n\nNote.\n\n"
            "After.\n");
}

TEST(Document, Html) {
  const std::string page = html_of(sample_document());
  EXPECT_THAT(page, HasSubstr("<h1>Title</h1>"));
  EXPECT_THAT(page, HasSubstr("<h2>First</h2>"));
  EXPECT_THAT(page, HasSubstr("<tr><th class=\"name\">name</th><th>figure</th></tr>"));
  EXPECT_THAT(page, HasSubstr("<tr><td class=\"name\">q8_0</td><td>1,188.2</td></tr>"));
  EXPECT_THAT(page, HasSubstr("<li>one</li>\n<li>two</li>"));
  EXPECT_THAT(page, HasSubstr("<p>Some text of 3&#160;%.</p>"));
  EXPECT_THAT(page, HasSubstr("<pre>stonechat report x</pre>"));
  EXPECT_THAT(page, Not(HasSubstr("class=\"charts\"")));
}

TEST(Document, MarkdownSpellsItsMarks) {
  EXPECT_EQ(markdown_text("q8_0 + q8_0 cache"), "q8_0 + q8_0 cache");
  EXPECT_EQ(markdown_text("-83.0 % (95 %: 1 to 2)"), "-83.0 % (95 %: 1 to 2)");
  EXPECT_EQ(markdown_text("_a_ a_ _b"), "\\_a\\_ a\\_ \\_b");
  EXPECT_EQ(markdown_text("# a"), "\\# a");
  EXPECT_EQ(markdown_text(kHostile),
            "&lt;script>x&lt;/script> \\| \\`a\\` \\*b\\* \\[c\\](d) \"e\" &amp; \\_f\\_ # g \\\\x1b\\[31m");
}

TEST(Document, NothingOfATextIsMarkup) {
  Document document = sample_document();
  document.title = document.lead = kHostile;
  document.legend = {kHostile};
  GroupChart chart{
      .title = kHostile, .x_label = kHostile, .y_label = kHostile, .unit = kHostile, .groups = {kHostile}};
  chart.series = {{kHostile, {{1, 0.5, 2}}, 1}};
  chart.limit = ChartLimit{1, kHostile};
  document.sections = {{.title = kHostile,
                        .paragraphs = {kHostile},
                        .commands = {kHostile},
                        .tables = {{kHostile, {kHostile}, {{kHostile}}, kHostile}},
                        .lists = {{kHostile, {kHostile}}},
                        .charts = {chart},
                        .notes = {kHostile}}};
  const std::string page = html_of(document);
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("\x1b")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;x&lt;/script&gt;"));
  const std::string markdown = markdown_of(document);
  EXPECT_THAT(markdown, Not(HasSubstr("\n# g")));
  EXPECT_THAT(markdown, Not(HasSubstr("\x1b")));
}

GroupChart sample_chart() {
  GroupChart chart{.title = "Speed",
                   .x_label = "tokens",
                   .y_label = "tokens/s",
                   .unit = " tokens/s",
                   .groups = {"256", "512"}};
  chart.series = {{"f32", {{500, 490, 510}, {}}, 1}, {"q8_0", {{1000, 990, 1010}, {1200}}, 2}};
  return chart;
}

size_t count(const std::string& text, const std::string& word) {
  size_t found = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

TEST(GroupCharts, HaveAMarkForEachValue) {
  const std::string svg = svg_groups(sample_chart());
  EXPECT_EQ(count(svg, "<rect"), 3U);
  EXPECT_EQ(count(svg, "class=\"error\""), 2U);
  EXPECT_THAT(svg, HasSubstr("<title>q8_0, 256: 1,000 (990.0 to 1,010) tokens/s</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>q8_0, 512: 1,200 tokens/s</title>"));
  EXPECT_THAT(svg, Not(HasSubstr("<title>f32, 512")));
  EXPECT_THAT(svg, HasSubstr(">1,500</text>"));  // a tick
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(GroupCharts, OfPoints) {
  GroupChart chart = sample_chart();
  chart.bars = false;
  chart.limit = ChartLimit{900, "limit"};
  std::string svg = svg_groups(chart);
  EXPECT_EQ(count(svg, "<circle"), 3U);
  EXPECT_EQ(count(svg, "<rect"), 0U);
  EXPECT_THAT(svg, HasSubstr("<title>limit</title>"));
  EXPECT_THAT(svg, Not(HasSubstr(">0</text>")));  // the axis begins near the values
  chart.logarithmic = true;
  chart.series[0].values[0] = {0, -1, 1};  // has no place on the axis
  svg = svg_groups(chart);
  EXPECT_EQ(count(svg, "<circle"), 2U);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(GroupCharts, OddValuesAreDrawnToo) {
  for (const double value : {0.0, -3.0, 1e18, 1e-300}) {
    for (const bool bars : {true, false}) {
      GroupChart chart = sample_chart();
      chart.bars = bars;
      for (GroupSeries& series : chart.series) series.values = {{value, value, value}, {value}};
      const std::string svg = svg_groups(chart);
      EXPECT_THAT(svg, Not(HasSubstr("nan"))) << value;
      EXPECT_THAT(svg, Not(HasSubstr("inf"))) << value;
    }
  }
}

}  // namespace
}  // namespace stonechat
