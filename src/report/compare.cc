#include "report/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

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
  void add_bytes(const std::string& figure, std::optional<uint64_t> a, std::optional<uint64_t> b,
                 const char* mark = "measured once") {
    const auto one = static_cast<double>(a.value_or(0));
    const auto other = static_cast<double>(b.value_or(0));
    if (a && b)
      add(figure, megabytes_text(one), megabytes_text(other), relative(one, other), a == b ? "equal" : mark);
    else if (a || b)
      add_one(figure, megabytes_text(a ? one : other), a.has_value());
  }

  // `change` is b - a; nothing where these can't be compared.
  void add_estimate(const std::string& figure, const std::optional<Estimate>& a,
                    const std::optional<Estimate>& b, double unit, const std::optional<Interval>& change) {
    const auto text = [unit](const Estimate& of) {
      return with_deviation(unit * of.mean, unit * of.standard_error);
    };
    if (a && b)
      add(figure, text(*a), text(*b), relative(a->mean, b->mean),
          change ? verdict(*change, 0) : "not comparable");
    else if (a || b)
      add_one(figure, text(a ? *a : *b), a.has_value());
  }

  void add_note(const std::string& sentence) { table_.note += (table_.note.empty() ? "" : " ") + sentence; }

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
    const auto compare = [&](const char* figure, uint64_t MemorySeries::*value) {
      const auto of = [value](const MemorySeries* series) {
        return series != nullptr ? std::optional(series->*value) : std::nullopt;
      };
      add_bytes(fmt::format("memory of the process, {}, MB", figure), of(a), of(b));
    };
    compare("minimum", &MemorySeries::minimum);
    compare("median", &MemorySeries::median);
    compare("p95", &MemorySeries::p95);
    compare("peak", &MemorySeries::peak);
    std::map<std::string, std::pair<std::optional<uint64_t>, std::optional<uint64_t>>> parts;
    if (a_.memory) {
      for (const auto& [part, bytes] : a_.memory->parts) parts[part].first = bytes;
    }
    if (b_.memory) {
      for (const auto& [part, bytes] : b_.memory->parts) parts[part].second = bytes;
    }
    for (const auto& [part, bytes] : parts) {
      if (bytes.first.value_or(0) != 0 || bytes.second.value_or(0) != 0)
        add_bytes("memory for " + part + ", MB", bytes.first, bytes.second);
    }
  }

  void text() {
    const std::optional<ReportText>& a = a_.text;
    const std::optional<ReportText>& b = b_.text;
    const bool is_same_text = a && b && a->text == b->text && a->window == b->window &&
                              a->windows == b->windows && a->tokens == b->tokens;
    if (a && b && !is_same_text) {
      add_note(fmt::format("Texts differ: {}, {} windows of {} tokens; {}, {} windows of {} tokens.", a->text,
                           a->windows, a->window, b->text, b->windows, b->window));
    }
    const auto compare = [&](const char* figure, auto value, double unit) {
      const auto of = [value](const std::optional<ReportText>& text) {
        return text ? std::optional<Estimate>((*text).*value) : std::nullopt;
      };
      const std::optional<Estimate> one = of(a);
      const std::optional<Estimate> other = of(b);
      std::optional<Interval> change;
      if (is_same_text && one && other)
        change = welch_difference(*other, values_of_errors(*b), *one, values_of_errors(*a));
      add_estimate(figure, one, other, unit, change);
    };
    compare("perplexity", &ReportText::perplexity, 1);
    compare("mean KL divergence, nats", &ReportText::kl, 1);
    compare("same top token, %", &ReportText::same_top, 100);
    compare("shared top 5, %", &ReportText::top5_overlap, 100);
  }

  void tasks() {
    for (const ReportTask& a : a_.tasks) task(&a, find_task(b_, a.task, a.shots));
    for (const ReportTask& b : b_.tasks) {
      if (find_task(a_, b.task, b.shots) == nullptr) task(nullptr, &b);
    }
  }

  // One of them may be missing.
  void task(const ReportTask* a, const ReportTask* b) {
    const std::string title = title_of(a != nullptr ? *a : *b);
    const bool is_comparable = a != nullptr && b != nullptr && a->questions == b->questions;
    if (a != nullptr && b != nullptr && !is_comparable)
      add_note(fmt::format("Questions of {} differ: {} and {}.", title, a->questions, b->questions));
    const auto add_accuracy = [&](const char* figure, Estimate ReportTask::*value) {
      const auto of = [value](const ReportTask* task) {
        return task != nullptr ? std::optional(task->*value) : std::nullopt;
      };
      std::optional<Interval> change;
      if (is_comparable) change = difference(b->*value, a->*value);
      add_estimate(fmt::format("{}, {}, %", title, figure), of(a), of(b), 100, change);
    };
    add_accuracy("acc", &ReportTask::acc);
    add_accuracy("acc_norm", &ReportTask::acc_norm);
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
