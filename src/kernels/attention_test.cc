// Attention of every table: the scalar table against softmax in double, all others against the scalar one's
// bits.
#include <cmath>

#include "base/half.h"
#include "kernels/test_support.h"

namespace stonechat {
namespace {

struct Problem {
  uint32_t head_dim;
  uint32_t group_heads;
  uint32_t tokens;
  uint32_t first_position;
  std::vector<float> queries;                   // (tokens, group_heads, head_dim)
  std::vector<uint16_t> keys, values;           // as AttentionJob wants them
  std::vector<float> plain_keys, plain_values;  // (keys, head_dim)

  uint32_t key_count() const { return first_position + tokens; }
};

Problem make_problem(uint32_t head_dim, uint32_t group_heads, uint32_t tokens, uint32_t first_position,
                     float query_magnitude, Random& random) {
  Problem problem{head_dim, group_heads, tokens, first_position, {}, {}, {}, {}, {}};
  problem.queries = random.floats(size_t{tokens} * group_heads * head_dim, query_magnitude);
  const uint32_t padded = (problem.key_count() + 31) / 32 * 32;
  problem.keys.resize(size_t{padded} * head_dim);
  problem.values.resize(size_t{padded} * head_dim);
  for (uint32_t j = 0; j < padded; ++j) {
    for (uint32_t d = 0; d < head_dim; ++d) {
      // Keys beyond the visible ones hold large numbers: using them would show.
      const float magnitude = j < problem.key_count() ? 1.0F : 1000.0F;
      const uint16_t key = float_to_half(random.uniform(-magnitude, magnitude));
      const uint16_t value = float_to_half(random.uniform(-magnitude, magnitude));
      problem.keys[(size_t{j / 32} * head_dim + d) * 32 + j % 32] = key;
      problem.values[size_t{j} * head_dim + d] = value;
      problem.plain_keys.push_back(half_to_float(key));
      problem.plain_values.push_back(half_to_float(value));
    }
  }
  return problem;
}

std::vector<float> attend(const KernelTable& table, const Problem& problem, uint32_t tokens_per_call) {
  const size_t stride = size_t{problem.group_heads} * problem.head_dim;
  std::vector<float> out(problem.tokens * stride, NAN);
  AlignedBuffer scratch(table.attention->scratch_bytes(problem.head_dim));
  for (uint32_t token = 0; token < problem.tokens; token += tokens_per_call) {
    const AttentionJob job = {problem.queries.data(),
                              stride,
                              problem.group_heads,
                              problem.head_dim,
                              token,
                              std::min(problem.tokens, token + tokens_per_call),
                              problem.first_position,
                              problem.keys.data(),
                              problem.values.data(),
                              1.0F / std::sqrt(static_cast<float>(problem.head_dim)),
                              out.data(),
                              stride,
                              scratch.as<float>()};
    table.attention->attend(&job);
  }
  return out;
}

std::vector<double> exact_attention(const Problem& problem) {
  std::vector<double> out;
  for (uint32_t token = 0; token < problem.tokens; ++token) {
    for (uint32_t head = 0; head < problem.group_heads; ++head) {
      const float* query =
          problem.queries.data() + (size_t{token} * problem.group_heads + head) * problem.head_dim;
      const uint32_t visible = problem.first_position + token + 1;
      std::vector<double> weights(visible);
      double largest = -INFINITY;
      for (uint32_t j = 0; j < visible; ++j) {
        double dot = 0;
        for (uint32_t d = 0; d < problem.head_dim; ++d) {
          dot += double{query[d]} * problem.plain_keys[size_t{j} * problem.head_dim + d];
        }
        weights[j] = dot / std::sqrt(static_cast<double>(problem.head_dim));
        largest = std::max(largest, weights[j]);
      }
      double total = 0;
      for (double& weight : weights) total += weight = std::exp(weight - largest);
      for (uint32_t d = 0; d < problem.head_dim; ++d) {
        double sum = 0;
        for (uint32_t j = 0; j < visible; ++j) {
          sum += weights[j] * problem.plain_values[size_t{j} * problem.head_dim + d];
        }
        out.push_back(sum / total);
      }
    }
  }
  return out;
}

class AttentionTest : public testing::TestWithParam<std::string> {
 protected:
  const KernelTable table_ = kernels_up_to(GetParam());
};

TEST_P(AttentionTest, EqualsTheScalarTable) {
  const KernelTable scalar = kernels_up_to("scalar");
  Random random(11);
  for (const uint32_t head_dim : {32U, 64U, 96U, 128U}) {
    for (const uint32_t group_heads : {1U, 3U, 7U}) {
      for (const uint32_t first_position : {0U, 1U, 30U, 31U, 32U, 33U, 100U}) {
        for (const uint32_t tokens : {1U, 2U, 5U, 40U}) {
          SCOPED_TRACE(testing::Message() << "head_dim " << head_dim << ", heads " << group_heads
                                          << ", position " << first_position << ", tokens " << tokens);
          const Problem problem = make_problem(head_dim, group_heads, tokens, first_position, 4.0F, random);
          const std::vector<float> expected = attend(scalar, problem, tokens);
          for (const uint32_t tokens_per_call : {tokens, 3U}) {
            const std::vector<float> out = attend(table_, problem, tokens_per_call);
            for (size_t i = 0; i < out.size(); ++i)
              ASSERT_EQ(bits_of(out[i]), bits_of(expected[i])) << "element " << i;
          }
        }
      }
    }
  }
}

TEST_P(AttentionTest, IsSoftmaxOfScores) {
  Random random(12);
  for (const float magnitude : {0.0F, 1.0F, 30.0F}) {
    const Problem problem = make_problem(64, 7, 9, 70, magnitude, random);
    const std::vector<float> out = attend(table_, problem, problem.tokens);
    const std::vector<double> expected = exact_attention(problem);
    // A score is a sum of 64 products of at most `magnitude`, over 8: it rounds by up to 64 x 8 x magnitude x
    // 2^-24, which is the relative error of a weight; 79 weights and values below 1 are summed after that.
    const double tolerance = (2 * 64 * 8 * magnitude + 4 * 79) * 0x1p-24;
    for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], tolerance) << "element " << i;
  }
}

TEST_P(AttentionTest, HugeScoresStayFinite) {
  Random random(13);
  const Problem problem = make_problem(64, 2, 4, 40, 1e4F, random);
  for (const float value : attend(table_, problem, problem.tokens)) ASSERT_TRUE(std::isfinite(value));
}

INSTANTIATE_TEST_SUITE_P(Tables, AttentionTest, testing::ValuesIn(supported_tables()), table_test_name);

}  // namespace
}  // namespace stonechat
