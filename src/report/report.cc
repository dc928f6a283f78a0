#include "report/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/findings.h"
#include "report/number_text.h"
#include "report/report_parts.h"
#include "report/variants.h"

namespace stonechat {
namespace {

bool is_empty(const DocumentSection& section) {
  return section.paragraphs.empty() && section.tables.empty() && section.charts.empty();
}

DocumentSection machine_section(const ReportResults& results) {
  const ReportMachine& machine = results.machine;
  const ReportModel& model = results.model;
  DocumentTable table{"", {"what", "value"}};
  const auto add = [&](const char* what, const std::string& value) {
    if (!value.empty()) table.rows.push_back({what, value});
  };
  const auto add_limit = [&](const char* what, const std::optional<double>& value, const char* unit) {
    if (value) add(what, fixed_text(*value, 1) + unit);
  };
  add("model", model.argument);
  add("architecture and size", model.description);
  if (model.parameters != 0)
    add("parameters", fixed_text(1e-6 * static_cast<double>(model.parameters), 2) + " M");
  add("SHA-256 of the file", model.sha256);
  add("processor", machine.cpu);
  add("threads", std::to_string(machine.threads));
  if (machine.memory_bytes != 0)
    add("memory", fixed_text(1e-9 * static_cast<double>(machine.memory_bytes), 1) + " GB");
  add("system", machine.system);
  add("Stonechat", machine.version);
  add("compiler", machine.compiler);
  add("kernels", machine.kernels);
  add_limit("limit of integer arithmetic", machine.integer_gmacs, " Gmac/s");
  add_limit("limit of floating-point arithmetic", machine.float_gmacs, " Gmac/s");
  add_limit("limit of reading memory", machine.read_gbs, " GB/s");

  DocumentTable variants{"Variants", {"variant", "weights", "cache", "weights, MB", "bits a weight"}};
  for (const ReportVariant& variant : results.variants) {
    const double bits =
        8 * static_cast<double>(variant.weights_bytes) / static_cast<double>(model.parameters);
    variants.rows.push_back({variant.name + (variant.is_reference ? " (reference)" : ""), variant.weights,
                             variant.cache, megabytes_text(static_cast<double>(variant.weights_bytes)),
                             model.parameters == 0 ? "" : fixed_text(bits, 2)});
  }
  return {"Machine and model", {}, {}, {table, variants}};
}

DocumentSection method_section(const ReportResults& results) {
  DocumentSection section{"How it was measured"};
  if (!results.command.empty()) section.commands.push_back(results.command);
  size_t least = SIZE_MAX;
  size_t most = 0;
  for (const ReportVariant& variant : results.variants) {
    for (const ReportSpeed& speed : variant.speeds) {
      least = std::min(least, speed.samples.size());
      most = std::max(most, speed.samples.size());
    }
  }
  std::string text =
      fmt::format("Begun {} (UTC); measuring took {}", results.started, duration_text(results.seconds));
  for (const auto& [part, seconds] : results.part_seconds)
    text += fmt::format("{} {} {}", &part == &results.part_seconds.begin()->first ? ", of it" : ",", part,
                        duration_text(seconds));
  text += ".";
  if (most > 0) {
    text += fmt::format(" Speeds are from {} {}, in each of which all variants took turns.",
                        least == most ? std::to_string(most) : fmt::format("{} to {}", least, most),
                        most == 1 ? "round" : "rounds");
  }
  if (results.quick)
    text += " It was a quick run: fewer rounds, less text and fewer questions than a full one.";
  section.paragraphs = {
      text,
      "Intervals are of 95 %: of speeds by Student's distribution from the logarithms of each round's "
      "ratio; of perplexity by Student's distribution from the windows; of accuracy by 1.96 standard errors; "
      "of kept accuracy the score interval for paired proportions (Bonett and Price, 2006). Divergence and "
      "kept accuracy are from the same tokens and the same questions on both sides, so that what text and "
      "questions have in common cancels out."};
  return section;
}

DocumentSection missing_section(const ReportResults& results) {
  DocumentSection section{"What is missing"};
  if (results.missing.empty()) {
    section.paragraphs.push_back("Nothing was left out.");
    return section;
  }
  DocumentTable table{"", {"part", "why"}};
  for (const auto& [part, why] : results.missing) table.rows.push_back({part, why});
  section.tables.push_back(std::move(table));
  return section;
}

}  // namespace

Document report_document(const ReportResults& results) {
  Document document;
  document.title = fmt::format("What quantizing {} costs", results.model.argument);
  document.lead =
      fmt::format("{} on {}, {}{}. Measured by Stonechat {}.", results.model.description, results.machine.cpu,
                  results.started, results.quick ? ", a quick run" : "", results.machine.version);
  for (const ReportVariant& variant : results.variants) document.legend.push_back(variant.name);
  document.sections = {findings_section(results), machine_section(results), paper_section(results),
                       speed_section(results),    memory_section(results),  text_section(results),
                       task_section(results),     method_section(results),  missing_section(results)};
  std::erase_if(document.sections, is_empty);
  return document;
}

std::string markdown_report(const ReportResults& results) {
  return markdown_of(report_document(results));
}

std::string html_report(const ReportResults& results) {
  return html_of(report_document(results));
}

}  // namespace stonechat
