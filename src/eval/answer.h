// Which choice a model takes for the right one, and how often it is.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/choice_scorer.h"
#include "eval/statistics.h"
#include "eval/task.h"

namespace stonechat {

struct Answer {
  ChoiceScores scores;
  size_t choice = 0;       // of the largest log-likelihood; of equals the first
  size_t choice_norm = 0;  // the same with each divided by its choice's length in code points
  bool right = false;
  bool right_norm = false;
};

Answer answer_of(const Question& question, ChoiceScores scores);

struct Accuracy {
  uint64_t questions = 0;
  Estimate acc;
  Estimate acc_norm;
};

// Answers must not be empty.
Accuracy accuracy(std::span<const Answer> answers);
// The mean of parts that count alike, however many questions they have; not empty.
Accuracy macro_average(std::span<const Accuracy> parts);

}  // namespace stonechat
