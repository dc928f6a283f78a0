#include <fmt/format.h>

#include "report/findings.h"
#include "report/number_text.h"
#include "report/paper.h"
#include "report/report_parts.h"
#include "report/variants.h"

namespace stonechat {
namespace {

using Figure = std::optional<double>;

// FP32 and Q8_0, here or in the paper, and what the second is of the first.
struct Columns {
  Figure fp32;
  Figure q8_0;

  Figure ratio() const { return fp32 && q8_0 && *fp32 > 0 ? Figure(*q8_0 / *fp32) : Figure(); }
};

Columns columns_of(const paper::Pair& pair) {
  return {pair.fp32, pair.q8_0};
}

std::string shown(const Figure& figure, int decimals) {
  return figure ? fixed_text(*figure, decimals) : "";
}
std::string ratio_text(const Figure& ratio) {
  return ratio ? change_text(*ratio) : "";
}

// The variants that stand beside the paper's two; either may be missing.
struct Pair {
  const ReportVariant* fp32;
  const ReportVariant* q8_0;

  template <typename ValueOf>
  Columns columns(ValueOf value_of) const {
    return {fp32 == nullptr ? Figure() : value_of(*fp32), q8_0 == nullptr ? Figure() : value_of(*q8_0)};
  }
};

class PaperTables {
 public:
  explicit PaperTables(const ReportResults& results)
      : results_(results), ours_{find_weights(results, "f32"), find_weights(results, "q8_0")} {}

  DocumentSection section() {
    DocumentSection section{"Beside the paper"};
    if (ours_.fp32 == nullptr && ours_.q8_0 == nullptr) {
      section.paragraphs.push_back(
          "Neither FP32 nor Q8_0 was measured, so nothing stands beside the paper's figures.");
      return section;
    }
    section.paragraphs.push_back(fmt::format(
        "The paper is \"{}\": {} on {}. Here {} ran on {} with {} {}. Where model or machine differ, ratios "
        "can be set beside each other, and speeds cannot. A cell is empty where there is no figure.",
        paper::kTitle, paper::kModel, paper::kMachine, results_.model.argument, results_.machine.cpu,
        results_.machine.threads, results_.machine.threads == 1 ? "thread" : "threads"));
    claims(section);
    weights(section);
    memory(section);
    speed(section);
    lengths(section);
    for (std::string& text : speed_explanations(results_)) section.notes.push_back(std::move(text));
    explain_memory(section);
    return section;
  }

 private:
  static DocumentTable pair_table(std::string title, std::string what, std::string note) {
    return {std::move(title),
            {std::move(what), "paper FP32", "paper Q8_0", "paper change", "here FP32", "here Q8_0",
             "here change"},
            {},
            std::move(note)};
  }
  static std::vector<std::string> pair_row(std::string name, const Columns& theirs, const Columns& ours,
                                           int decimals, Figure their_ratio = std::nullopt) {
    return {std::move(name),
            shown(theirs.fp32, decimals),
            shown(theirs.q8_0, decimals),
            ratio_text(their_ratio ? their_ratio : theirs.ratio()),
            shown(ours.fp32, decimals),
            shown(ours.q8_0, decimals),
            ratio_text(ours.ratio())};
  }

  Columns speeds(const ReportSpeed* test) const {
    if (test == nullptr) return {};
    return ours_.columns([&](const ReportVariant& variant) {
      const ReportSpeed* speed = find_speed(variant, test->test);
      return speed == nullptr ? Figure() : Figure(mean_speed(*speed));
    });
  }
  const ReportSpeed* ours(const ReportSpeed* (*find)(const ReportVariant&)) const {
    return find(ours_.q8_0 != nullptr ? *ours_.q8_0 : *ours_.fp32);
  }
  Columns process(uint64_t MemorySeries::*value) const {
    return ours_.columns([&](const ReportVariant& variant) {
      const MemorySeries* series = find_process_memory(variant);
      return series == nullptr ? Figure() : Figure(1e-6 * static_cast<double>(series->*value));
    });
  }

  void claims(DocumentSection& section) const {
    DocumentTable table{"What the paper claims of Q8_0 beside FP32",
                        {"claim", "paper", "here", "here, 95 %"}};
    const auto add_speed = [&](const std::string& name, double claim, const ReportSpeed* test) {
      std::vector<std::string> row = {name, change_text(claim), "", ""};
      if (test != nullptr) row[0] += fmt::format(" (here: {})", title_of(*test));
      if (test != nullptr && ours_.fp32 != nullptr && ours_.q8_0 != nullptr) {
        const ReportSpeed* speed = find_speed(*ours_.q8_0, test->test);
        const ReportSpeed* over = find_speed(*ours_.fp32, test->test);
        if (speed != nullptr && over != nullptr) {
          const SpeedRatio ratio = speed_ratio(*speed, *over);
          row[2] = change_text(ratio.value);
          if (ratio.interval)
            row[3] =
                fmt::format("{} to {}", change_text(ratio.interval->low), change_text(ratio.interval->high));
        }
      }
      table.rows.push_back(std::move(row));
    };
    add_speed("prompt speed", paper::kPromptClaim, ours(paper_prompt));
    add_speed("decode speed", paper::kDecodeClaim, ours(paper_decode));
    table.rows.push_back({"minimum memory", change_text(paper::kMinimumMemoryClaim),
                          ratio_text(process(&MemorySeries::minimum).ratio()), ""});
    for (const char* name : paper::kAccuracyTasks) add_accuracy(table, name);
    section.tables.push_back(std::move(table));
  }

  void add_accuracy(DocumentTable& table, const std::string& name) const {
    const std::string claim = fmt::format("at least {}", percent_text(paper::kAccuracyClaim, 1));
    bool has_some = false;
    if (ours_.q8_0 != nullptr) {
      for (const ReportTask& task : ours_.q8_0->tasks) {
        if (task.task != name || !task.kept) continue;
        has_some = true;
        table.rows.push_back(
            {fmt::format("accuracy kept, {}", title_of(task)), claim,
             fmt::format("{}: {}", percent_text(task.kept->value, 2),
                         kept_verdict(*task.kept, paper::kAccuracyClaim)),
             fmt::format("{} to {}", percent_text(task.kept->low, 2), percent_text(task.kept->high, 2))});
      }
    }
    if (!has_some) table.rows.push_back({fmt::format("accuracy kept, {}", name), claim, "", ""});
  }

  void weights(DocumentSection& section) const {
    DocumentTable table = pair_table("Table I: what memory is for, MB", "part",
                                     "Runtime buffers are all parts but weights and KV cache. Of the paper's "
                                     "table we know the weights only.");
    const auto part = [&](bool (*is_wanted)(const std::string&)) {
      return ours_.columns([&](const ReportVariant& variant) {
        if (!variant.memory || variant.memory->parts.empty()) return Figure();
        double sum = 0;
        for (const auto& [name, bytes] : variant.memory->parts)
          sum += is_wanted(name) ? static_cast<double>(bytes) : 0;
        return Figure(1e-6 * sum);
      });
    };
    const Columns tensors = ours_.columns([](const ReportVariant& variant) {
      return Figure(1e-6 * static_cast<double>(variant.weights_bytes));
    });
    table.rows.push_back(pair_row("weights", columns_of(paper::kWeightsMegabytes), tensors, 1));
    table.rows.push_back(
        pair_row("KV cache", {}, part([](const std::string& name) { return name == "kv_cache"; }), 1));
    table.rows.push_back(
        pair_row("runtime buffers", {},
                 part([](const std::string& name) { return name != "weights" && name != "kv_cache"; }), 1));
    section.tables.push_back(std::move(table));
  }

  void memory(DocumentSection& section) const {
    DocumentTable table = pair_table("Table II: memory of the process, MB", "figure",
                                     "The paper gives the process 3.5 GB and 594 MB without saying, as far "
                                     "as we know, which of the four these are; "
                                     "their change is what it claims of the minimum. Here it is PSS, or RSS "
                                     "where the system doesn't say PSS.");
    table.rows.push_back(pair_row("whole process", columns_of(paper::kProcessMegabytes), {}, 1));
    table.rows.push_back(
        pair_row("minimum", {}, process(&MemorySeries::minimum), 1, paper::kMinimumMemoryClaim));
    table.rows.push_back(pair_row("median", {}, process(&MemorySeries::median), 1));
    table.rows.push_back(pair_row("p95", {}, process(&MemorySeries::p95), 1));
    table.rows.push_back(pair_row("peak", {}, process(&MemorySeries::peak), 1));
    section.tables.push_back(std::move(table));
  }

  // Why less memory is saved than in the paper, where that is so.
  void explain_memory(DocumentSection& section) const {
    const Columns ours = process(&MemorySeries::minimum);
    const Figure ratio = ours.ratio();
    if (!ratio || *ratio <= paper::kMinimumMemoryClaim) return;
    std::string text = fmt::format("Minimum memory: the change of {} is less than the paper's {}.",
                                   change_text(*ratio), change_text(paper::kMinimumMemoryClaim));
    const double beside = *ours.fp32 - 1e-6 * static_cast<double>(ours_.fp32->weights_bytes);
    const double theirs = paper::kProcessMegabytes.fp32 - paper::kWeightsMegabytes.fp32;
    if (beside < theirs) {
      text += fmt::format(
          " With FP32 the process takes {} MB besides its weights, where the paper's takes {}: that is not "
          "there to "
          "be saved. With Q8_0 it takes {} MB in all, the paper's {}.",
          fixed_text(beside, 0), fixed_text(theirs, 0), fixed_text(*ours.q8_0, 0),
          fixed_text(paper::kProcessMegabytes.q8_0, 0));
    }
    section.notes.push_back(std::move(text));
  }

  void speed(DocumentSection& section) const {
    DocumentTable table = pair_table("Table III: speed, tokens/s", "test", "");
    const ReportSpeed* prompt = ours(paper_prompt);
    std::string name = fmt::format("prompt of {}", paper::kPrompt);
    if (prompt != nullptr && prompt->prompt != paper::kPrompt)
      name += fmt::format(" (here of {})", prompt->prompt);
    table.rows.push_back(pair_row(std::move(name), columns_of(paper::kPromptSpeed), speeds(prompt), 2));
    const ReportSpeed* decode = ours(paper_decode);
    table.rows.push_back(
        pair_row(decode == nullptr ? "decode" : fmt::format("decode (here of {})", decode->generate),
                 columns_of(paper::kDecodeSpeed), speeds(decode), 2));
    section.tables.push_back(std::move(table));
  }

  void lengths(DocumentSection& section) const {
    DocumentTable table{"The paper's figure: Q8_0 by length, tokens/s",
                        {"test", "paper", "here", "here / paper"}};
    for (const paper::Speed& theirs : paper::kSpeeds) {
      ReportSpeed test;
      test.prompt = theirs.prompt;
      test.generate = theirs.generate;
      std::vector<std::string> row = {title_of(test), fixed_text(theirs.tokens_per_second, 2), "", ""};
      if (ours_.q8_0 != nullptr) {
        for (const ReportSpeed& speed : ours_.q8_0->speeds) {
          if (speed.prompt != theirs.prompt || speed.generate != theirs.generate) continue;
          row[2] = with_deviation(mean_speed(speed), standard_deviation(speed.samples));
          row[3] = fixed_text(mean_speed(speed) / theirs.tokens_per_second, 2);
        }
      }
      table.rows.push_back(std::move(row));
    }
    section.tables.push_back(std::move(table));
  }

  const ReportResults& results_;
  Pair ours_;
};

}  // namespace

DocumentSection paper_section(const ReportResults& results) {
  return PaperTables(results).section();
}

}  // namespace stonechat
