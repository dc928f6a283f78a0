// Attention of every table: the scalar table against softmax in double, all others against the scalar one's
// bits.
#include <cmath>
#include <span>

#include "base/half.h"
#include "kernels/test_support.h"

namespace stonechat {
namespace {

struct Problem {
  uint32_t head_dim;
  uint32_t group_heads;
  uint32_t tokens;
  uint32_t first_position;
  CacheFormat key_format;
  CacheFormat value_format;
  std::vector<float> queries;                   // (tokens, group_heads, head_dim)
  std::vector<std::byte> keys, values;          // as CachedHead wants them
  std::vector<float> key_scales, value_scales;  // of codes
  std::vector<float> shifts;                    // (256 keys each, head_dim)
  std::vector<float> plain_keys, plain_values;  // (keys, head_dim), what is cached means; keys with shifts

  uint32_t key_count() const { return first_position + tokens; }
};

// Where a key or a value lies: element d at first + d / group * step + d % group.
struct Place {
  size_t first, group, step;
};

Place key_place(CacheFormat format, size_t head_dim, size_t j) {
  const size_t group = format == kCacheQ8 ? 4 : format == kCacheQ16 ? 2 : 1;
  return {j / 32 * 32 * head_dim + j % 32 * group, group, 32 * group};
}

Place value_place(CacheFormat format, size_t head_dim, size_t j) {
  const size_t group = format == kCacheQ8 ? 4 : format == kCacheQ16 ? 2 : 1;
  return {j / group * group * head_dim + j % group, 1, group};
}

// Puts `row`, of head_dim, into a cache of any format; it becomes what the cache then means.
void put(CacheFormat format, std::vector<std::byte>& data, std::vector<float>& scales, const Place& lies,
         std::span<float> row) {
  if (has_codes(format)) {
    double squares = 0;
    float largest = 0;
    for (const float value : row) {
      squares += double{value} * value;
      largest = std::max(largest, std::fabs(value));
    }
    const bool is_norm = format == kCacheQ16 && lies.group > 1;
    const float most = format == kCacheQ8 ? 127 : kWordCodes;
    scales.push_back(is_norm ? static_cast<float>(std::sqrt(squares)) / kWordCodes : largest / most);
    for (size_t d = 0; d < row.size(); ++d) {
      const auto code = static_cast<int16_t>(std::lround(row[d] / scales.back()));
      const size_t index = lies.first + d / lies.group * lies.step + d % lies.group;
      if (format == kCacheQ8) {
        data[index] = static_cast<std::byte>(code);
      } else {
        std::memcpy(&data[index * 2], &code, 2);
      }
      row[d] = static_cast<float>(code) * scales.back();
    }
    return;
  }
  for (size_t d = 0; d < row.size(); ++d) {
    const size_t index = lies.first + d * lies.step;
    if (format == kCacheF32) {
      std::memcpy(&data[index * 4], &row[d], 4);
    } else {
      const uint16_t half = float_to_half(row[d]);
      std::memcpy(&data[index * 2], &half, 2);
      row[d] = half_to_float(half);
    }
  }
}

Problem make_problem(uint32_t head_dim, uint32_t group_heads, uint32_t tokens, uint32_t first_position,
                     float query_magnitude, Random& random, CacheFormat key_format = kCacheF16,
                     CacheFormat value_format = kCacheF16, float shift_magnitude = 0) {
  Problem problem{};
  problem.head_dim = head_dim;
  problem.group_heads = group_heads;
  problem.tokens = tokens;
  problem.first_position = first_position;
  problem.key_format = key_format;
  problem.value_format = value_format;
  problem.queries = random.floats(size_t{tokens} * group_heads * head_dim, query_magnitude);
  const uint32_t padded = (problem.key_count() + 63) / 64 * 64;
  problem.keys.resize(size_t{padded} * head_dim * 4);
  problem.values.resize(size_t{padded} * head_dim * 4);
  if (shift_magnitude > 0) {
    problem.shifts = random.floats(size_t{padded / kKeyShift + 1} * head_dim, shift_magnitude);
    std::fill_n(problem.shifts.begin(), head_dim, 0.0F);
  }
  for (uint32_t j = 0; j < padded; ++j) {
    // Keys beyond the visible ones hold large numbers: using them would show.
    const float magnitude = j < problem.key_count() ? 1.0F : 1000.0F;
    std::vector<float> key = random.floats(head_dim, magnitude);
    std::vector<float> value = random.floats(head_dim, magnitude);
    put(key_format, problem.keys, problem.key_scales, key_place(key_format, head_dim, j), key);
    put(value_format, problem.values, problem.value_scales, value_place(value_format, head_dim, j), value);
    for (uint32_t d = 0; d < head_dim && !problem.shifts.empty(); ++d)
      key[d] += problem.shifts[size_t{j / kKeyShift} * head_dim + d];
    problem.plain_keys.insert(problem.plain_keys.end(), key.begin(), key.end());
    problem.plain_values.insert(problem.plain_values.end(), value.begin(), value.end());
  }
  return problem;
}

std::vector<float> attend(const KernelTable& table, const Problem& problem, uint32_t tokens_per_call) {
  const size_t stride = size_t{problem.group_heads} * problem.head_dim;
  std::vector<float> out(problem.tokens * stride, NAN);
  AlignedBuffer scratch(table.attention->scratch_bytes(problem.head_dim));
  for (uint32_t token = 0; token < problem.tokens; token += tokens_per_call) {
    const AttentionJob job = {
        .queries = problem.queries.data(),
        .query_stride = stride,
        .group_heads = problem.group_heads,
        .head_dim = problem.head_dim,
        .first_token = token,
        .end_token = std::min(problem.tokens, token + tokens_per_call),
        .first_position = problem.first_position,
        .keys = {problem.key_format, problem.keys.data(), problem.key_scales.data()},
        .values = {problem.value_format, problem.values.data(), problem.value_scales.data()},
        .shifts = problem.shifts.empty() ? nullptr : problem.shifts.data(),
        .scale = 1.0F / std::sqrt(static_cast<float>(problem.head_dim)),
        .out = out.data(),
        .out_stride = stride,
        .scratch = scratch.as<float>(),
    };
    call_cleanly(table.attention->attend, &job);
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

constexpr CacheFormat kCacheFormats[] = {kCacheF32, kCacheF16, kCacheQ16, kCacheQ8};

void expect_equal_bits(std::span<const float> out, std::span<const float> expected) {
  for (size_t i = 0; i < out.size(); ++i) ASSERT_EQ(bits_of(out[i]), bits_of(expected[i])) << "element " << i;
}

TEST_P(AttentionTest, EqualsTheScalarTable) {
  const KernelTable scalar = kernels_up_to("scalar");
  Random random(11);
  int combination = 0;  // of formats: each shape takes the next one
  for (const uint32_t head_dim : {32U, 64U, 96U, 256U}) {
    for (const uint32_t group_heads : {1U, 3U, 7U}) {
      for (const uint32_t first_position : {0U, 1U, 31U, 32U, 33U, 62U, 100U}) {
        for (const uint32_t tokens : {1U, 2U, 5U, 40U}) {
          const CacheFormat keys = kCacheFormats[combination % 4];
          const CacheFormat values = kCacheFormats[combination / 4 % 4];
          ++combination;
          SCOPED_TRACE(testing::Message() << "head_dim " << head_dim << ", heads " << group_heads
                                          << ", position " << first_position << ", tokens " << tokens
                                          << ", formats " << keys << " and " << values);
          const Problem problem =
              make_problem(head_dim, group_heads, tokens, first_position, 4.0F, random, keys, values);
          const std::vector<float> expected = attend(scalar, problem, tokens);
          for (const uint32_t tokens_per_call : {tokens, 3U})
            expect_equal_bits(attend(table_, problem, tokens_per_call), expected);
        }
      }
    }
  }
}

TEST_P(AttentionTest, EqualsTheScalarTableWithShifts) {
  const KernelTable scalar = kernels_up_to("scalar");
  Random random(14);
  for (const CacheFormat keys : kCacheFormats) {
    for (const CacheFormat values : kCacheFormats) {
      SCOPED_TRACE(testing::Message() << "formats " << keys << " and " << values);
      const Problem problem = make_problem(64, 7, 9, 508, 4.0F, random, keys, values, 3.0F);
      expect_equal_bits(attend(table_, problem, 9), attend(scalar, problem, 9));
    }
  }
}

TEST_P(AttentionTest, IsSoftmaxOfScores) {
  Random random(12);
  for (const CacheFormat keys : kCacheFormats) {
    for (const CacheFormat values : kCacheFormats) {
      for (const float magnitude : {0.0F, 1.0F, 30.0F}) {
        SCOPED_TRACE(testing::Message()
                     << "formats " << keys << " and " << values << ", queries up to " << magnitude);
        const Problem problem = make_problem(64, 7, 9, 300, magnitude, random, keys, values, 2.0F);
        const std::vector<float> out = attend(table_, problem, problem.tokens);
        const std::vector<double> expected = exact_attention(problem);
        // A score is a sum of 64 products of at most 3 x magnitude, over 8: it rounds by up to 64 x 24 x
        // magnitude x 2^-24, which is the relative error of a weight; 309 weights and values below 1 are
        // summed after that. Codes of queries are off by half a step, magnitude / 32512, in each of 64
        // products; those of weights by 1 / 32512 of the largest of 64 weights. Of codes of 16 bits half a
        // step is 8 x magnitude / 65024; those of weights are off by 1 / 65024 of the largest or of half of
        // the sum of 64, so these by 32 / 65024 of what all weights come to, more where scales differ.
        double tolerance = (2 * 64 * 24 * magnitude + 4 * 309) * 0x1p-24;
        if (keys == kCacheQ8) tolerance += 2 * 64 / 8.0 * magnitude / 32512;
        if (keys == kCacheQ16) tolerance += 2 * 64 * 3 / 8.0 * 8 * magnitude / 65024;
        if (values == kCacheQ8) tolerance += 309 / 32512.0;
        if (values == kCacheQ16) tolerance += 2 * 64 / 65024.0;
        for (size_t i = 0; i < out.size(); ++i)
          ASSERT_NEAR(out[i], expected[i], tolerance) << "element " << i;
      }
    }
  }
}

// The largest sums of products of 16-bit codes that there can be: queries that are their keys, values and
// weights that are all the same.
TEST_P(AttentionTest, SumsOfWordsFit) {
  Random random(15);
  for (const uint32_t head_dim : {32U, 64U, 256U}) {
    Problem problem = make_problem(head_dim, 1, 64, 0, 1.0F, random, kCacheQ16, kCacheQ16);
    std::fill(problem.queries.begin(), problem.queries.end(), 0.75F);
    for (uint32_t j = 0; j < 64; ++j) {
      std::vector<float> key(head_dim, 0.75F);
      std::vector<float> value(head_dim, -0.5F);
      problem.key_scales.resize(j);
      problem.value_scales.resize(j);
      put(kCacheQ16, problem.keys, problem.key_scales, key_place(kCacheQ16, head_dim, j), key);
      put(kCacheQ16, problem.values, problem.value_scales, value_place(kCacheQ16, head_dim, j), value);
    }
    // Up to 64 equal weights round alike, each by up to half a step: 1 / 65024 of half of what they come to.
    for (const float out : attend(table_, problem, 64)) ASSERT_NEAR(out, -0.5F, 0.5F * 32 / 65024);
    // One key that is the opposite weighs exp(-2 * 0.75^2 * sqrt(head_dim)) of the others.
    std::vector<float> key(head_dim, -0.75F);
    std::vector<float> value(head_dim, 100.0F);
    problem.key_scales.resize(63);
    problem.value_scales.resize(63);
    put(kCacheQ16, problem.keys, problem.key_scales, key_place(kCacheQ16, head_dim, 63), key);
    put(kCacheQ16, problem.values, problem.value_scales, value_place(kCacheQ16, head_dim, 63), value);
    const double weight = std::exp(-2 * 0.5625 * std::sqrt(static_cast<double>(head_dim)));
    const double expected = (100 * weight - 0.5 * 63) / (63 + weight);
    // Half a step of a weight is 1 / 65024 of half of their sum times the largest scale, which is of 100.
    EXPECT_NEAR(attend(table_, problem, 64).back(), expected, 2 * 100 * 32 / 65024.0);
  }
}

TEST_P(AttentionTest, HugeScoresStayFinite) {
  Random random(13);
  for (const CacheFormat format : kCacheFormats) {
    const Problem problem = make_problem(64, 2, 4, 40, 1e4F, random, format, format);
    for (const float value : attend(table_, problem, problem.tokens)) ASSERT_TRUE(std::isfinite(value));
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, AttentionTest, testing::ValuesIn(supported_tables()), table_test_name);

}  // namespace
}  // namespace stonechat
