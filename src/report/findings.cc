#include "report/findings.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "report/number_text.h"
#include "report/paper.h"
#include "report/variants.h"

namespace stonechat {
namespace {

constexpr double kSingleNoise = 0.01;  // of figures measured once

// "1.99 to 2.06", "2.06" where both are written alike.
std::string range_text(double low, double high) {
  const std::string one = fixed_text(low, 2);
  const std::string other = fixed_text(high, 2);
  return one == other ? one : one + " to " + other;
}

class VariantFindings {
 public:
  VariantFindings(const ReportVariant& variant, const ReportVariant& reference)
      : variant_(variant), reference_(reference) {
    weights();
    memory();
    prompts_ = speeds("prompts are read", [](const ReportSpeed& speed) { return speed.generate == 0; });
    decode_ = speeds("answers are written", [](const ReportSpeed& speed) { return speed.generate != 0; });
    perplexity();
    tasks();
  }

  DocumentList list() const {
    DocumentList list{fmt::format("{} beside {}", variant_.name, reference_.name)};
    const auto add = [&](const char* what, const std::vector<std::string>& parts) {
      if (!parts.empty()) list.items.push_back(fmt::format("{}: {}.", what, fmt::join(parts, "; ")));
    };
    add("Gained", gained_.empty() ? std::vector<std::string>{"nothing beyond noise"} : gained_);
    add("Lost", !lost_.empty()  ? lost_
                : has_quality() ? std::vector<std::string>{"nothing beyond noise"}
                                : std::vector<std::string>{"not known, as quality was not measured"});
    add("Within noise", noise_);
    add("Measured once, so what is noise is not known", unknown_);
    if (const std::string text = predictions(); !text.empty()) list.items.push_back(text);
    return list;
  }

  // The same in two sentences.
  std::string summary() const {
    std::vector<std::string> parts;
    if (memory_factor_) {
      const bool is_less = *memory_factor_ < 1;
      parts.push_back(fmt::format("takes {} {} memory at its peak",
                                  percent_text(std::fabs(1 - *memory_factor_), 0),
                                  is_less ? "less" : "more"));
    }
    if (prompts_) parts.push_back("reads prompts " + prompts_->summary());
    if (decode_) parts.push_back("writes " + decode_->summary());
    std::string out;
    if (!parts.empty()) {
      const std::string last = std::move(parts.back());
      parts.pop_back();
      out = fmt::format("{} instead of {} {}{}{}. ", variant_.name, reference_.name, fmt::join(parts, ", "),
                        parts.empty() ? "" : " and ", last);
    }
    if (!worse_.empty()) return out + fmt::format("It is worse beyond noise in {}.", fmt::join(worse_, ", "));
    return out + (has_quality() ? "No loss of quality can be told from noise." : "Quality was not measured.");
  }

 private:
  struct Range {
    double low = INFINITY, high = 0;
    bool is_told = false;  // some of it is no noise

    void take(double value) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
    std::string text() const { return range_text(low, high) + " times as fast"; }
    std::string summary() const { return text() + (is_told ? "" : " (which may be noise)"); }
  };

  bool has_quality() const { return has_perplexity_ || has_tasks_; }

  // Bytes that were measured once: the fewer the better.
  void once(const std::string& what, uint64_t bytes, uint64_t over) {
    if (over == 0) return;
    const double factor = static_cast<double>(bytes) / static_cast<double>(over);
    if (std::fabs(factor - 1) < kSingleNoise) {
      noise_.push_back(fmt::format("{} ({})", what, change_text(factor)));
      return;
    }
    (factor < 1 ? gained_ : lost_)
        .push_back(fmt::format("{} {} MB instead of {} ({})", what,
                               megabytes_text(static_cast<double>(bytes)),
                               megabytes_text(static_cast<double>(over)), change_text(factor)));
  }

  void weights() {
    if (variant_.weights_bytes != reference_.weights_bytes)
      once("weights of", variant_.weights_bytes, reference_.weights_bytes);
  }

  void memory() {
    const MemorySeries* ours = find_process_memory(variant_);
    const MemorySeries* theirs = find_process_memory(reference_);
    if (ours == nullptr || theirs == nullptr) return;
    once("memory of the process at its minimum", ours->minimum, theirs->minimum);
    once("at its peak", ours->peak, theirs->peak);
    if (theirs->peak != 0)
      memory_factor_ = static_cast<double>(ours->peak) / static_cast<double>(theirs->peak);
  }

  // The tests that went one way are one finding, with the range of their ratios. Returns that of all.
  std::optional<Range> speeds(const std::string& what,
                              const std::function<bool(const ReportSpeed&)>& is_wanted) {
    struct Group {
      std::vector<std::string>* to;
      std::vector<std::string> lengths = {};
      Range range = {};
    };
    Group groups[] = {{&gained_}, {&lost_}, {&noise_}, {&unknown_}};
    std::optional<Range> all;
    for (const ReportSpeed& speed : variant_.speeds) {
      const ReportSpeed* over = find_speed(reference_, speed.test);
      if (over == nullptr || !is_wanted(speed)) continue;
      const SpeedRatio ratio = speed_ratio(speed, *over);
      Group& group = groups[!ratio.interval            ? 3
                            : ratio.interval->low > 1  ? 0
                            : ratio.interval->high < 1 ? 1
                                                       : 2];
      group.lengths.push_back(std::to_string(speed.generate == 0 ? speed.prompt : speed.generate));
      group.range.take(ratio.value);
      if (!all) all.emplace();
      all->take(ratio.value);
      all->is_told = all->is_told || (ratio.interval && !ratio.interval->holds(1));
    }
    for (const Group& group : groups) {
      if (group.lengths.empty()) continue;
      group.to->push_back(
          fmt::format("{} {} ({} tokens)", what, group.range.text(), fmt::join(group.lengths, ", ")));
    }
    return all;
  }

  // By a ratio of which more than 1 is better, or worse.
  void quality(const std::string& name, const std::string& text, const Interval& ratio, bool more_is_better) {
    if (ratio.holds(1)) {
      noise_.push_back(text);
    } else if ((ratio.low > 1) == more_is_better) {
      gained_.push_back(text);
    } else {
      lost_.push_back(text);
      worse_.push_back(name);
    }
  }

  void perplexity() {
    if (!variant_.text || !reference_.text) return;
    has_perplexity_ = true;
    const Interval ratio = perplexity_ratio(*variant_.text, *reference_.text);
    quality("perplexity",
            fmt::format("perplexity {} instead of {} ({}, 95 %: {} to {})",
                        significant_text(variant_.text->perplexity.mean, 5),
                        significant_text(reference_.text->perplexity.mean, 5), change_text(ratio.value),
                        change_text(ratio.low), change_text(ratio.high)),
            ratio, false);
  }

  void tasks() {
    for (const ReportTask& task : variant_.tasks) {
      if (!task.kept) continue;
      has_tasks_ = true;
      quality(task.task,
              fmt::format("{}, {} of the accuracy (95 %: {} to {})", title_of(task),
                          percent_text(task.kept->value, 2), percent_text(task.kept->low, 1),
                          percent_text(task.kept->high, 1)),
              {task.kept->value, task.kept->low, task.kept->high}, true);
    }
  }

  std::string predictions() const {
    if (!variant_.text || !variant_.text->kl) return "";
    const ReportText& text = *variant_.text;
    std::string out = fmt::format("Its predictions are {} nats a token from those of {} (mean KL divergence)",
                                  with_deviation(text.kl->mean, text.kl->standard_error), reference_.name);
    if (text.same_top)
      out += fmt::format("; the likeliest token is the same in {} of places",
                         percent_text(text.same_top->mean, 2));
    return out + ".";
  }

  const ReportVariant& variant_;
  const ReportVariant& reference_;
  std::vector<std::string> gained_, lost_, noise_, unknown_;
  std::vector<std::string> worse_;  // names of what quality was lost in
  std::optional<Range> prompts_, decode_;
  std::optional<double> memory_factor_;
  bool has_perplexity_ = false;
  bool has_tasks_ = false;
};

// Whether the limit is one: a small model's weights stay in the processor's caches, which read faster.
bool is_limited(const ReportSpeed& speed) {
  return speed.limit_share && *speed.limit_share <= 1.1 && !limit_title(speed.limit).empty();
}

// "f32 reaches 98 % of what reading memory here allows"; empty where that says nothing.
std::string share_text(const ReportVariant& variant, const ReportSpeed& speed) {
  if (!is_limited(speed)) return "";
  const std::string limit = limit_title(speed.limit);
  return fmt::format("{} reaches {} of what {} here allows", variant.name,
                     percent_text(*speed.limit_share, 0), limit);
}

std::string explanation(const ReportVariant& fp32, const ReportVariant& q8, const ReportSpeed& speed,
                        const ReportSpeed& over, const paper::Pair& theirs) {
  const double ratio = speed_ratio(speed, over).value;
  if (ratio >= theirs.ratio()) return "";
  std::string out = fmt::format("{}: the gain of {} is less than the paper's {}.", title_of(speed),
                                change_text(ratio), change_text(theirs.ratio()));
  out[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(out[0])));
  for (const std::string& share : {share_text(fp32, over), share_text(q8, speed)}) {
    if (!share.empty()) out += " " + share + ".";
  }
  if (is_limited(over) && over.limit == "read" && q8.weights_bytes > 0) {
    const double most = static_cast<double>(fp32.weights_bytes) / static_cast<double>(q8.weights_bytes);
    out += fmt::format(
        " A token reads all weights once; {} has {} times fewer bytes of them, and more than that cannot "
        "be gained over an {} that reads at full speed.",
        q8.name, fixed_text(most, 2), fp32.name);
    if (theirs.ratio() > most)
      out += fmt::format(" The paper's {} times says that its FP32 was far from that.",
                         fixed_text(theirs.ratio(), 2));
  }
  return out;
}

}  // namespace

DocumentSection findings_section(const ReportResults& results) {
  DocumentSection section{"What was gained and lost"};
  const ReportVariant& reference = reference_of(results);
  for (const ReportVariant& variant : results.variants) {
    if (&variant == &reference) continue;
    const VariantFindings findings(variant, reference);
    section.paragraphs.push_back(findings.summary());
    section.lists.push_back(findings.list());
  }
  if (section.lists.empty())
    section.paragraphs.push_back(
        fmt::format("Only {} was measured, so there is nothing to set it beside.", reference.name));
  return section;
}

std::vector<std::string> speed_explanations(const ReportResults& results) {
  const ReportVariant* fp32 = find_weights(results, "f32");
  const ReportVariant* q8 = find_weights(results, "q8_0");
  std::vector<std::string> out;
  if (fp32 == nullptr || q8 == nullptr) return out;
  for (const auto& [speed, pair] : {std::pair(paper_prompt(*q8), paper::kPromptSpeed),
                                    std::pair(paper_decode(*q8), paper::kDecodeSpeed)}) {
    if (speed == nullptr) continue;
    const ReportSpeed* over = find_speed(*fp32, speed->test);
    if (over == nullptr) continue;
    if (std::string text = explanation(*fp32, *q8, *speed, *over, pair); !text.empty())
      out.push_back(std::move(text));
  }
  return out;
}

std::string kept_verdict(const Interval& kept, double least) {
  return kept.low >= least ? "kept" : kept.high < least ? "not kept" : "cannot be told";
}

}  // namespace stonechat
