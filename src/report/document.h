// Text, tables and plots of a report, before they are Markdown or a page. All text is plain: those who write
// it out escape it.
#pragma once

#include <string>
#include <vector>

#include "report/svg_groups.h"

namespace stonechat {

struct DocumentTable {
  std::string title = "";  // may be empty
  std::vector<std::string> head = {};
  std::vector<std::vector<std::string>> rows = {};  // as wide as head; "" where there is no figure
  std::string note = "";                            // below it; may be empty
};

struct DocumentList {
  std::string title;
  std::vector<std::string> items = {};
};

struct DocumentSection {
  std::string title;
  std::vector<std::string> paragraphs = {};
  std::vector<std::string> commands = {};  // lines as one types them
  std::vector<DocumentTable> tables = {};
  std::vector<DocumentList> lists = {};
  std::vector<GroupChart> charts = {};  // of pages only
  std::vector<std::string> notes = {};  // after tables and charts
};

struct Document {
  std::string title;
  std::string lead;                 // one line below the title
  std::vector<std::string> legend;  // labels of the charts' series, from number 1
  std::vector<DocumentSection> sections;
};

std::string markdown_of(const Document& document);
// A page that stands for itself: inline SVG, no script, nothing fetched.
std::string html_of(const Document& document);

// Plain text as it may stand in a line or table cell of Markdown.
std::string markdown_text(std::string_view text);

}  // namespace stonechat
