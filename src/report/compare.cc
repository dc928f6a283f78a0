#include "report/compare.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/number_text.h"
#include "report/variants.h"

namespace stonechat {
namespace {

constexpr const char* kMarked = "beyond noise";
constexpr const char* kNoise = "noise";
constexpr const char* kHowToRead =
    "\u00b1 is the standard deviation of a round for speeds and a standard error for the others. A change is "
    "beyond noise where its interval of 95 % leaves out no change: for speeds by Welch's test on logarithms, "
    "for texts by Welch's test on windows, for tasks by 1.96 standard errors, the last two as if text and "
    "questions were drawn anew, which hides small changes. Memory is measured once and has no interval.";

std::string verdict(const Interval& interval, double nothing) {
  return interval.holds(nothing) ? kNoise : kMarked;
}

// Change of b over a, where a is something to be divided by.
std::string relative(double a, double b) {
  return a != 0 ? change_text(b / a) : "";
}

class VariantComparison {
 public:
  VariantComparison(const ReportVariant& a, const ReportVariant& b, const std::string& a_name,
                    const std::string& b_name)
      : a_(a), b_(b) {
    table_.head = {"figure", a_name, b_name, "change", "beyond noise?"};
  }

  DocumentSection section(std::string title) {
    add_bytes("weights, MB", a_.weights_bytes, b_.weights_bytes, kMarked);
    speeds();
    memory();
    text();
    tasks();
    return {std::move(title), {}, {}, {table_}};
  }

 private:
  void add(std::string figure, std::string a, std::string b, std::string change, std::string mark) {
    table_.rows.push_back(
        {std::move(figure), std::move(a), std::move(b), std::move(change), std::move(mark)});
  }
  // Of one side only.
  void add_one(const std::string& figure, const std::string& text, bool is_a) {
    add(figure, is_a ? text : "", is_a ? "" : text, "", is_a ? "only in the first" : "only in the second");
  }

  // Without an interval; `mark` where they differ.
  void add_bytes(const std::string& figure, uint64_t a, uint64_t b, const char* mark = "measured once") {
    const auto one = static_cast<double>(a);
    const auto other = static_cast<double>(b);
    add(figure, megabytes_text(one), megabytes_text(other), relative(one, other), a == b ? "equal" : mark);
  }

  // `change` is b - a; nothing where these can't be compared.
  void add_estimate(const std::string& figure, const Estimate& a, const Estimate& b, double unit,
                    const std::optional<Interval>& change) {
    const auto text = [unit](const Estimate& of) {
      return with_deviation(unit * of.mean, unit * of.standard_error);
    };
    add(figure, text(a), text(b), relative(a.mean, b.mean), change ? verdict(*change, 0) : "not comparable");
  }

  void speeds() {
    const auto text = [](const ReportSpeed& speed) {
      return with_deviation(mean_speed(speed), standard_deviation(speed.samples));
    };
    const auto figure = [](const ReportSpeed& speed) { return title_of(speed) + ", tokens/s"; };
    for (const ReportSpeed& a : a_.speeds) {
      const ReportSpeed* b = find_speed(b_, a.test);
      if (b == nullptr) {
        add_one(figure(a), text(a), true);
        continue;
      }
      const auto ratio = welch_ratio(b->samples, a.samples);
      add(figure(a), text(a), text(*b), change_text(ratio ? ratio->value : mean_speed(*b) / mean_speed(a)),
          ratio ? verdict(*ratio, 1) : "too few rounds");
    }
    for (const ReportSpeed& b : b_.speeds) {
      if (find_speed(a_, b.test) == nullptr) add_one(figure(b), text(b), false);
    }
  }

  void memory() {
    const MemorySeries* a = find_process_memory(a_);
    const MemorySeries* b = find_process_memory(b_);
    if (a == nullptr || b == nullptr) return;
    add_bytes("memory of the process, minimum, MB", a->minimum, b->minimum);
    add_bytes("memory of the process, median, MB", a->median, b->median);
    add_bytes("memory of the process, p95, MB", a->p95, b->p95);
    add_bytes("memory of the process, peak, MB", a->peak, b->peak);
    for (const auto& [part, bytes] : a_.memory->parts) {
      const auto other = b_.memory->parts.find(part);
      if (other != b_.memory->parts.end() && (bytes != 0 || other->second != 0))
        add_bytes("memory for " + part + ", MB", bytes, other->second);
    }
  }

  void text() {
    if (!a_.text || !b_.text) return;
    const ReportText& a = *a_.text;
    const ReportText& b = *b_.text;
    const bool is_same_text =
        a.text == b.text && a.window == b.window && a.windows == b.windows && a.tokens == b.tokens;
    if (!is_same_text) {
      table_.note = fmt::format("Texts differ: {}, {} windows of {} tokens; {}, {} windows of {} tokens.",
                                a.text, a.windows, a.window, b.text, b.windows, b.window);
    }
    const auto compare = [&](const char* figure, const std::optional<Estimate>& one,
                             const std::optional<Estimate>& other, double unit) {
      if (one && other) {
        const Interval change = welch_difference(*other, values_of_errors(b), *one, values_of_errors(a));
        add_estimate(figure, *one, *other, unit, is_same_text ? std::optional(change) : std::nullopt);
      } else if (one || other) {
        const Estimate& only = one ? *one : *other;
        add_one(figure, with_deviation(unit * only.mean, unit * only.standard_error), one.has_value());
      }
    };
    compare("perplexity", a.perplexity, b.perplexity, 1);
    compare("mean KL divergence, nats", a.kl, b.kl, 1);
    compare("same top token, %", a.same_top, b.same_top, 100);
    compare("shared top 5, %", a.top5_overlap, b.top5_overlap, 100);
  }

  void tasks() {
    for (const ReportTask& a : a_.tasks) {
      const ReportTask* b = find_task(b_, a.task, a.shots);
      if (b == nullptr) {
        add_one(title_of(a) + ", acc, %", with_deviation(100 * a.acc.mean, 100 * a.acc.standard_error), true);
        continue;
      }
      add_estimate(title_of(a) + ", acc, %", a.acc, b->acc, 100, difference(b->acc, a.acc));
      add_estimate(title_of(a) + ", acc_norm, %", a.acc_norm, b->acc_norm, 100,
                   difference(b->acc_norm, a.acc_norm));
    }
    for (const ReportTask& b : b_.tasks) {
      if (find_task(a_, b.task, b.shots) == nullptr)
        add_one(title_of(b) + ", acc, %", with_deviation(100 * b.acc.mean, 100 * b.acc.standard_error),
                false);
    }
  }

  const ReportVariant& a_;
  const ReportVariant& b_;
  DocumentTable table_;
};

DocumentSection differences(const ReportResults& a, const ReportResults& b, const std::string& a_name,
                            const std::string& b_name) {
  DocumentTable table{"", {"what", a_name, b_name}};
  const auto add = [&](const char* what, const std::string& one, const std::string& other) {
    if (one != other) table.rows.push_back({what, one, other});
  };
  add("model", a.model.argument, b.model.argument);
  add("SHA-256 of the model", a.model.sha256, b.model.sha256);
  add("processor", a.machine.cpu, b.machine.cpu);
  add("threads", std::to_string(a.machine.threads), std::to_string(b.machine.threads));
  add("memory, GB", fixed_text(1e-9 * static_cast<double>(a.machine.memory_bytes), 1),
      fixed_text(1e-9 * static_cast<double>(b.machine.memory_bytes), 1));
  add("system", a.machine.system, b.machine.system);
  add("Stonechat", a.machine.version, b.machine.version);
  add("compiler", a.machine.compiler, b.machine.compiler);
  add("kernels", a.machine.kernels, b.machine.kernels);
  add("kind of run", a.quick ? "quick" : "full", b.quick ? "quick" : "full");

  DocumentSection section{"What differs besides the figures"};
  const bool is_other_model = a.model.sha256 != b.model.sha256;
  const bool is_other_machine = a.machine.cpu != b.machine.cpu || a.machine.threads != b.machine.threads;
  if (is_other_model)
    section.paragraphs.push_back("The models differ: no figure of one says how the other changed.");
  if (is_other_machine)
    section.paragraphs.push_back("The machines differ: so do speeds, whatever the program does.");
  if (table.rows.empty()) {
    section.paragraphs.push_back("Nothing: the same model, machine and program.");
  } else {
    section.tables.push_back(std::move(table));
  }
  return section;
}

// The marked rows of the sections' tables in words.
DocumentSection marked_changes(const std::vector<DocumentSection>& sections) {
  DocumentSection marked{"What changed beyond noise"};
  for (const DocumentSection& section : sections) {
    std::string text;
    for (const DocumentTable& table : section.tables) {
      for (const auto& row : table.rows) {
        if (row.back() == kMarked) text += fmt::format("{}{} ({})", text.empty() ? "" : "; ", row[0], row[3]);
      }
    }
    if (!text.empty()) marked.paragraphs.push_back(fmt::format("{}: {}.", section.title, text));
  }
  if (marked.paragraphs.empty()) marked.paragraphs.push_back("Nothing.");
  return marked;
}

const ReportVariant* find_variant(const ReportResults& results, const std::string& name) {
  const auto found = std::find_if(results.variants.begin(), results.variants.end(),
                                  [&](const ReportVariant& variant) { return variant.name == name; });
  return found == results.variants.end() ? nullptr : &*found;
}

}  // namespace

Document compare_document(const ReportResults& a, const ReportResults& b, const std::string& a_name,
                          const std::string& b_name) {
  Document document;
  document.title = fmt::format("{} and {}", a_name, b_name);
  document.lead = fmt::format("{}: {}, {}. {}: {}, {}.", a_name, a.model.argument, a.started, b_name,
                              b.model.argument, b.started);
  std::vector<DocumentSection> variants;
  DocumentTable alone{"", {"variant", "only in"}};
  for (const ReportVariant& variant : a.variants) {
    if (const ReportVariant* other = find_variant(b, variant.name))
      variants.push_back(VariantComparison(variant, *other, a_name, b_name).section(variant.name));
    else
      alone.rows.push_back({variant.name, a_name});
  }
  for (const ReportVariant& variant : b.variants) {
    if (find_variant(a, variant.name) == nullptr) alone.rows.push_back({variant.name, b_name});
  }
  document.sections = {differences(a, b, a_name, b_name), marked_changes(variants)};
  document.sections.insert(document.sections.end(), variants.begin(), variants.end());
  if (!alone.rows.empty()) document.sections.push_back({"Variants of one side", {}, {}, {alone}});
  document.sections.push_back({"How to read this", {kHowToRead}});
  return document;
}

std::string compare_results(const ReportResults& a, const ReportResults& b, const std::string& a_name,
                            const std::string& b_name) {
  return markdown_of(compare_document(a, b, a_name, b_name));
}

}  // namespace stonechat
