#include "eval/answer.h"

#include <algorithm>
#include <cmath>

namespace stonechat {
namespace {

// Code points of UTF-8; bytes that aren't UTF-8 don't matter here.
double characters(const std::string& text) {
  return static_cast<double>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

size_t largest(const std::vector<double>& values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

Estimate macro_average(std::span<const Accuracy> parts, Estimate Accuracy::*which) {
  double sum = 0;
  double variance = 0;
  for (const Accuracy& part : parts) {
    sum += (part.*which).mean;
    variance += (part.*which).standard_error * (part.*which).standard_error;
  }
  const auto count = static_cast<double>(parts.size());
  return {sum / count, std::sqrt(variance) / count};
}

}  // namespace

Answer answer_of(const Question& question, ChoiceScores scores) {
  std::vector<double> by_length = scores.log_likelihoods;
  for (size_t i = 0; i < by_length.size(); ++i) by_length[i] /= characters(question.choices[i]);
  Answer answer;
  answer.choice = largest(scores.log_likelihoods);
  answer.choice_norm = largest(by_length);
  answer.right = answer.choice == question.gold;
  answer.right_norm = answer.choice_norm == question.gold;
  answer.scores = std::move(scores);
  return answer;
}

Accuracy accuracy(std::span<const Answer> answers) {
  std::vector<double> right;
  std::vector<double> right_norm;
  for (const Answer& answer : answers) {
    right.push_back(answer.right ? 1 : 0);
    right_norm.push_back(answer.right_norm ? 1 : 0);
  }
  return {answers.size(), estimate(right), estimate(right_norm)};
}

Accuracy macro_average(std::span<const Accuracy> parts) {
  uint64_t questions = 0;
  for (const Accuracy& part : parts) questions += part.questions;
  return {questions, macro_average(parts, &Accuracy::acc), macro_average(parts, &Accuracy::acc_norm)};
}

}  // namespace stonechat
