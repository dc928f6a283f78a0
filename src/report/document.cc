#include "report/document.h"

#include <fmt/format.h>

#include "base/error.h"
#include "report/html_page.h"

namespace stonechat {
namespace {

// Columns of names are left-aligned, those of figures right: a column has figures when its cells begin with
// a digit or a sign.
bool is_figures(const DocumentTable& table, size_t column) {
  bool some = false;
  for (const auto& row : table.rows) {
    if (row[column].empty()) continue;
    if (row[column].find_first_of("0123456789+-") != 0) return false;
    some = true;
  }
  return some && column > 0;
}

std::string markdown_row(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += " " + markdown_text(cell) + " |";
  return line + "\n";
}

std::string markdown_table(const DocumentTable& table) {
  std::string out = table.title.empty() ? "" : fmt::format("**{}**\n\n", markdown_text(table.title));
  out += markdown_row(table.head) + "|";
  for (size_t column = 0; column < table.head.size(); ++column)
    out += is_figures(table, column) ? " ---: |" : " --- |";
  out += "\n";
  for (const auto& row : table.rows) out += markdown_row(row);
  if (!table.note.empty()) out += "\n" + markdown_text(table.note) + "\n";
  return out + "\n";
}

// A figure and its percent sign stay on one line.
std::string page_text(const std::string& text) {
  std::string out = html_text(text);
  for (size_t at = out.find(" %"); at != std::string::npos; at = out.find(" %", at))
    out.replace(at, 1, "&#160;");
  return out;
}

std::string html_row(const DocumentTable& table, const std::vector<std::string>& cells, const char* element) {
  std::string line = "<tr>";
  for (size_t column = 0; column < cells.size(); ++column) {
    line += fmt::format("<{0}{1}>{2}</{0}>", element, is_figures(table, column) ? "" : " class=\"name\"",
                        html_text(cells[column]));
  }
  return line + "</tr>\n";
}

std::string html_table(const DocumentTable& table) {
  std::string out = table.title.empty() ? "" : fmt::format("<h3>{}</h3>\n", html_text(table.title));
  bool has_figures = false;
  for (size_t column = 0; column < table.head.size(); ++column)
    has_figures = has_figures || is_figures(table, column);
  // Words wrap; figures don't, so their box scrolls, for which it has a place in the order of the keyboard.
  out += fmt::format(
      "<div class=\"scroll\" tabindex=\"0\" role=\"group\" "
      "aria-label=\"{}\"><table{}>\n<thead>{}</thead>\n<tbody>\n",
      html_text(table.title.empty() ? "Table" : table.title), has_figures ? "" : " class=\"words\"",
      html_row(table, table.head, "th"));
  for (const auto& row : table.rows) out += html_row(table, row, "td");
  out += "</tbody></table></div>\n";
  if (!table.note.empty()) out += fmt::format("<p class=\"soft\">{}</p>\n", page_text(table.note));
  return out;
}

}  // namespace

std::string markdown_text(std::string_view text) {
  const std::string plain = printable(text);
  const auto is_word = [&](size_t at) {
    return at < plain.size() && (std::isalnum(static_cast<unsigned char>(plain[at])) != 0 ||
                                 (static_cast<unsigned char>(plain[at]) & 0x80U) != 0);
  };
  std::string out;
  for (size_t i = 0; i < plain.size(); ++i) {
    const char c = plain[i];
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '\n' || c == '\t') {
      out += ' ';
    } else {
      // An underscore within a word is only itself. The marks of lists and headings count at the beginning.
      const bool is_mark = std::string_view("\\`*[]|~!").find(c) != std::string_view::npos ||
                           (c == '_' && !(i > 0 && is_word(i - 1) && is_word(i + 1))) ||
                           (i == 0 && std::string_view("#>").find(c) != std::string_view::npos);
      if (is_mark) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string markdown_of(const Document& document) {
  std::string out =
      fmt::format("# {}\n\n{}\n\n", markdown_text(document.title), markdown_text(document.lead));
  for (const DocumentSection& section : document.sections) {
    out += fmt::format("## {}\n\n", markdown_text(section.title));
    for (const std::string& paragraph : section.paragraphs) out += markdown_text(paragraph) + "\n\n";
    for (const std::string& command : section.commands) {
      std::string line = printable(command);
      for (char& c : line) c = c == '\n' ? ' ' : c;
      out += "    " + line + "\n";
    }
    if (!section.commands.empty()) out += "\n";
    for (const DocumentList& list : section.lists) {
      out += fmt::format("**{}**\n\n", markdown_text(list.title));
      for (const std::string& item : list.items) out += "- " + markdown_text(item) + "\n";
      out += "\n";
    }
    for (const DocumentTable& table : section.tables) out += markdown_table(table);
    for (const std::string& note : section.notes) out += markdown_text(note) + "\n\n";
  }
  out.pop_back();  // one of the two line ends
  return out;
}

std::string html_of(const Document& document) {
  std::string out = page_begin(document.title);
  out += fmt::format("<p class=\"soft\">{}</p>\n", html_text(document.lead));
  for (const DocumentSection& section : document.sections) {
    out += fmt::format("<section>\n<h2>{}</h2>\n", html_text(section.title));
    for (const std::string& paragraph : section.paragraphs)
      out += fmt::format("<p>{}</p>\n", page_text(paragraph));
    for (const std::string& command : section.commands)
      out += fmt::format("<pre>{}</pre>\n", html_text(command));
    for (const DocumentList& list : section.lists) {
      out += fmt::format("<h3>{}</h3>\n<ul>\n", html_text(list.title));
      for (const std::string& item : list.items) out += fmt::format("<li>{}</li>\n", page_text(item));
      out += "</ul>\n";
    }
    if (!section.charts.empty()) {
      out += svg_numbered_legend(document.legend) + "<div class=\"charts\">\n";
      for (const GroupChart& chart : section.charts) out += svg_groups(chart);
      out += "</div>\n";
    }
    for (const DocumentTable& table : section.tables) out += html_table(table);
    for (const std::string& note : section.notes) out += fmt::format("<p>{}</p>\n", page_text(note));
    out += "</section>\n";
  }
  return out + page_end();
}

}  // namespace stonechat
