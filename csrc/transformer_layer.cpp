#include "transformer_layer.h"

#include "parallel.h"
#include "power_of_two.h"
#include "row_floats.h"
#include "scratch.h"

// A lane is a row of a sample: neighbouring rows lie side by side in a register, so that linear maps, LayerNorms and
// softmax need no horizontal operation, and a sample stays in the first-level cache from its projections to its result.
// Arrays of a sample are [coordinates][stride], stride being the rows and zeros up to whole registers. Scores are in
// units of log 2: the rows of the weights that make queries are multiplied by log2(e) / sqrt(dim) beforehand.

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kSamples = 8;  // that a thread takes at a time
constexpr int kVectors = 2;      // of rows that are worked on together
constexpr int kOutputs = 4;      // of a linear map that are worked on together
constexpr float kSafe = 50.0f;   // scores up to it need no maximum taken from them: no sum of their powers overflows
constexpr float kSafeValue = 0x1p76f;  // and none of them times values, whose sum is no larger than this

// multiply_add as a value.
struct Fused {
  Floats operator()(const Floats& a, const Floats& b, const Floats& c) const { return multiply_add(a, b, c); }
};

// Calls work(Known<registers>, first row) for all rows up to `stride`.
template <class Work>
inline void for_rows(int64_t stride, const Work& work) {
  int64_t i = 0;
  for (; i + kVectors * kLanes <= stride; i += kVectors * kLanes) work(Known<kVectors>{}, i);
  if (i < stride) work(Known<1>{}, i);
}

// result(o, i, values of output o at row i on) for each output of a linear map of x [inputs][stride].
template <class Result>
inline void linear(const float* weight, const float* bias, int64_t outputs, int64_t inputs, const float* x,
                   int64_t stride, const Result& result) {
  for (int64_t o = 0; o < outputs; o += kOutputs) {
    with_known<kOutputs>(outputs - o, [&](auto count) {
      for_rows(stride, [&](auto vectors, int64_t i) {
        Floats sum[count.value][vectors.value];
        for (int r = 0; r < count.value; ++r) {
          for (int v = 0; v < vectors.value; ++v) sum[r][v] = fill(bias[o + r]);
        }
        for (int64_t d = 0; d < inputs; ++d) {
          Floats value[vectors.value];
          for (int v = 0; v < vectors.value; ++v) value[v] = load(x + d * stride + i + v * kLanes);
          for (int r = 0; r < count.value; ++r) {
            const Floats factor = fill(weight[(o + r) * inputs + d]);
            for (int v = 0; v < vectors.value; ++v) sum[r][v] = multiply_add(factor, value[v], sum[r][v]);
          }
        }
        for (int r = 0; r < count.value; ++r) {
          for (int v = 0; v < vectors.value; ++v) result(o + r, i + v * kLanes, sum[r][v]);
        }
      });
    });
  }
}

// LayerNorm of every row of x [width][stride], in place.
inline void normalise(float* x, int64_t width, int64_t stride, const float* weight, const float* bias, float eps) {
  const Floats count = fill(static_cast<float>(width));
  for (int64_t i = 0; i < stride; i += kLanes) {
    Floats sum = {}, squares = {};
    for (int64_t d = 0; d < width; ++d) sum += load(x + d * stride + i);
    const Floats mean = sum / count;
    for (int64_t d = 0; d < width; ++d) {
      const Floats difference = load(x + d * stride + i) - mean;
      squares = multiply_add(difference, difference, squares);
    }
    const Floats scale = 1.0f / square_root(squares / count + eps);
    for (int64_t d = 0; d < width; ++d) {
      float* const place = x + d * stride + i;
      store(place, multiply_add((load(place) - mean) * scale, fill(weight[d]), fill(bias[d])));
    }
  }
}

// Whether no score of a head of two numbers can be beyond kSafe, by the largest numbers of its queries and keys, and no
// sum of its values weighted by powers of such scores is infinite; false where a number is infinite or none.
inline bool is_safe(const float* q, const float* k, const float* v, int64_t rows, int64_t stride) {
  float bound = 0.0f;
  bool small = true;
  for (int64_t d = 0; d < 2; ++d) {
    float most[3];
    for (int part = 0; part < 3; ++part) {
      const float* const from = (part == 0 ? q : part == 1 ? k : v) + d * stride;
      Floats largest = {}, strange = {};
      for (int64_t i = 0; i < rows; i += kLanes) {
        const Floats value = load_first(from + i, rows - i < kLanes ? rows - i : kLanes);
        largest = larger(largest, larger(value, -value));
        strange += value - value;
      }
      most[part] = sum_lanes(strange);  // 0, or NaN where a number is infinite or none: no comparison replaces it
      for (int lane = 0; lane < kLanes; ++lane) {
        if (largest[lane] > most[part]) most[part] = largest[lane];
      }
    }
    bound += most[0] * most[1];
    small = small && most[2] * static_cast<float>(rows) <= kSafeValue;
  }
  return small && bound <= kSafe;
}

// Queries of `Vectors` registers of rows over all keys, heads of two numbers, scores that are safe.
template <int Vectors>
inline void attend_safe(const float* q, const float* k, const float* v, int64_t rows, int64_t stride, float* out) {
  Floats query[Vectors][2], sum[Vectors] = {}, mixed[Vectors][2] = {};
  for (int r = 0; r < Vectors; ++r) {
    for (int d = 0; d < 2; ++d) query[r][d] = load(q + d * stride + r * kLanes);
  }
  for (int64_t j = 0; j < rows; ++j) {
    const Floats key[2] = {fill(k[j]), fill(k[stride + j])}, value[2] = {fill(v[j]), fill(v[stride + j])};
    for (int r = 0; r < Vectors; ++r) {
      const Floats score = multiply_add(query[r][1], key[1], query[r][0] * key[0]);
      const Floats weight = near_power_of_two(score, Fused{});
      sum[r] += weight;
      for (int d = 0; d < 2; ++d) mixed[r][d] = multiply_add(weight, value[d], mixed[r][d]);
    }
  }
  for (int r = 0; r < Vectors; ++r) {
    for (int d = 0; d < 2; ++d) store(out + d * stride + r * kLanes, mixed[r][d] / sum[r]);
  }
}

// The same for heads of `dim` numbers and any scores; `scores` has room for rows * Vectors registers.
template <int Vectors>
inline void attend(const float* q, const float* k, const float* v, int64_t rows, int64_t dim, int64_t stride,
                   float* scores, float* out) {
  Floats most[Vectors], sum[Vectors] = {};
  for (int64_t j = 0; j < rows; ++j) {
    for (int r = 0; r < Vectors; ++r) {
      Floats score = {};
      for (int64_t d = 0; d < dim; ++d) {
        score = multiply_add(load(q + d * stride + r * kLanes), fill(k[d * stride + j]), score);
      }
      most[r] = j == 0 ? score : larger(most[r], score);
      store(scores + (j * Vectors + r) * kLanes, score);
    }
  }
  for (int64_t j = 0; j < rows; ++j) {
    for (int r = 0; r < Vectors; ++r) {
      float* const place = scores + (j * Vectors + r) * kLanes;
      const Floats weight = power_of_two(load(place) - most[r], Fused{});
      sum[r] += weight;
      store(place, weight);
    }
  }
  for (int64_t d = 0; d < dim; ++d) {
    Floats mixed[Vectors] = {};
    for (int64_t j = 0; j < rows; ++j) {
      const Floats value = fill(v[d * stride + j]);
      for (int r = 0; r < Vectors; ++r) {
        mixed[r] = multiply_add(load(scores + (j * Vectors + r) * kLanes), value, mixed[r]);
      }
    }
    for (int r = 0; r < Vectors; ++r) store(out + d * stride + r * kLanes, mixed[r] / sum[r]);
  }
}

// One head; q, k, v and out: [dim][stride].
inline void attend_head(const float* q, const float* k, const float* v, int64_t rows, int64_t dim, int64_t stride,
                        float* scores, float* out) {
  const bool safe = dim == 2 && is_safe(q, k, v, rows, stride);
  for_rows(stride, [&](auto vectors, int64_t i) {
    if (safe) attend_safe<vectors.value>(q + i, k, v, rows, stride, out + i);
    else attend<vectors.value>(q + i, k, v, rows, dim, stride, scores, out + i);
  });
}

}  // namespace

void transformer_layer(const float* x, const TransformerWeights& weights, int64_t batch, int64_t rows, float* out,
                       int threads) {
  if (rows == 0) return;
  const TransformerWeights& w = weights;
  const int64_t width = w.width, dim = width / w.heads, stride = round_up(rows);
  const int64_t size = width * stride;
  const Scratch<float> scaled(1, 3 * width * (width + 1));
  float* const qkv_weight = scaled.of(0);
  float* const qkv_bias = qkv_weight + 3 * width * width;
  const float scale = kLog2e / __builtin_sqrtf(static_cast<float>(dim));
  for (int64_t o = 0; o < 3 * width; ++o) {
    const float factor = o < width ? scale : 1.0f;
    for (int64_t d = 0; d < width; ++d) qkv_weight[o * width + d] = factor * w.qkv[o * width + d];
    qkv_bias[o] = factor * w.qkv_bias[o];
  }
  const Scratch<float> numbers(threads, 5 * size + (w.hidden > width ? w.hidden - width : 0) * stride);
  const Scratch<float> scores(threads, rows * kVectors * kLanes);
  parallel_rows(batch, kSamples, threads, [&](int64_t begin, int64_t end, int worker) {
    float* const state = numbers.of(worker);  // the input, then with what was added to it, normalised
    float* const qkv = state + size;
    float* const mixed = qkv + 3 * size;  // or what is between the last two linear maps
    const auto add = [&](int64_t o, int64_t i, const Floats& value) {
      float* const place = state + o * stride + i;
      store(place, load(place) + value);
    };
    for (int64_t b = begin; b < end; ++b) {
      for (int64_t d = 0; d < width; ++d) {
        std::memset(state + (d + 1) * stride - kLanes, 0, kLanes * sizeof(float));
        std::memcpy(state + d * stride, x + (b * width + d) * rows, rows * sizeof(float));
      }
      linear(qkv_weight, qkv_bias, 3 * width, width, state, stride,
             [&](int64_t o, int64_t i, const Floats& value) { store(qkv + o * stride + i, value); });
      for (int64_t d = 0; d < width; d += dim) {
        const float* const head = qkv + d * stride;
        attend_head(head, head + size, head + 2 * size, rows, dim, stride, scores.of(worker), mixed + d * stride);
      }
      linear(w.out, w.out_bias, width, width, mixed, stride, add);
      normalise(state, width, stride, w.norm1, w.norm1_bias, w.eps);
      linear(w.fc1, w.fc1_bias, w.hidden, width, state, stride, [&](int64_t o, int64_t i, const Floats& value) {
        store(mixed + o * stride + i, 0.0f > value ? Floats{} : value);
      });
      linear(w.fc2, w.fc2_bias, width, w.hidden, mixed, stride, add);
      normalise(state, width, stride, w.norm2, w.norm2_bias, w.eps);
      for (int64_t d = 0; d < width; ++d) {
        std::memcpy(out + (b * width + d) * rows, state + d * stride, rows * sizeof(float));
      }
    }
  });
}

}  // namespace kernels::KERNEL_ISA
