#include "attention.h"

#include "floats.h"
#include "parallel.h"
#include "power_of_two.h"
#include "scratch.h"

// A lane is a head of a sample: neighbouring (sample, head) pairs lie side by side in a register, so that a softmax
// needs no horizontal operation, no number of rows leaves lanes empty, and sums have the order of the plain loop on
// every instruction set. Numbers of a group of kLanes pairs are packed as [rows][dims][kLanes]; dims is dim made even
// with zeros, so that inner loops take two of them at a time. Scores are in units of log 2: q is multiplied by
// log2(e) / sqrt(dim) when it is packed.

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kGroups = 4;  // groups that a thread takes at a time
constexpr int kQueries = kLanes == 16 ? 4 : 2;
constexpr float kLn2 = 0.693147180559945309f;

// Each step rounded, as everywhere in this kernel.
inline Floats power_of_two(const Floats& x) {
  return power_of_two(x, [](const Floats& a, const Floats& b, const Floats& c) { return a * b + c; });
}

// A number of dims that the compiler knows: it drops the loops over further d.
struct Two {
  constexpr operator int64_t() const { return 2; }
};

// Places of a group's numbers in memory and in scratch.
struct Shape {
  int64_t rows, heads, dim, dims;

  Shape(int64_t rows, int64_t heads, int64_t dim) : rows(rows), heads(heads), dim(dim), dims((dim + 1) / 2 * 2) {}
  int64_t packed() const { return rows * dims * kLanes; }
  int64_t groups(int64_t batch) const { return (batch * heads + kLanes - 1) / kLanes; }
  // Whether the two registers of a row of a group are two runs of memory: neighbouring heads of 2 numbers.
  bool paired() const { return dim == 2 && heads % (kLanes / 2) == 0; }
};

// Even and odd places of a followed by b, and back.
inline void split(const Floats& a, const Floats& b, Floats* even, Floats* odd) {
  Bits first, second;
  for (int lane = 0; lane < kLanes; ++lane) {
    first[lane] = 2 * lane;
    second[lane] = 2 * lane + 1;
  }
  *even = __builtin_shuffle(a, b, first);
  *odd = __builtin_shuffle(a, b, second);
}

inline void merge(const Floats& even, const Floats& odd, Floats* a, Floats* b) {
  Bits first, second;
  for (int lane = 0; lane < kLanes; ++lane) {
    first[lane] = lane / 2 + lane % 2 * kLanes;
    second[lane] = kLanes / 2 + lane / 2 + lane % 2 * kLanes;
  }
  *a = __builtin_shuffle(even, odd, first);
  *b = __builtin_shuffle(even, odd, second);
}

// Calls visit(lane, offset of the pair's first number in an array [batch, rows, width]) for the pairs of a group.
template <class Visit>
inline void for_lanes(const Shape& shape, int64_t batch, int64_t group, int64_t width, const Visit& visit) {
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    const int64_t pair = group * kLanes + lane;
    if (pair >= batch * shape.heads) return;
    visit(lane, pair / shape.heads * shape.rows * width + pair % shape.heads * shape.dim);
  }
}

// Packs a group out of an array [batch, rows, width], of which `from` is the first head's first number.
void pack(const Shape& shape, const float* from, int64_t batch, int64_t group, int64_t width, float scale, float* to) {
  const int64_t half = group * 2;  // of the runs of kLanes / 2 pairs
  const int64_t runs = shape.heads / (kLanes / 2);
  if (shape.paired() && half + 2 <= batch * runs) {
    const float* const a = from + half / runs * shape.rows * width + half % runs * kLanes;
    const float* const b = from + (half + 1) / runs * shape.rows * width + (half + 1) % runs * kLanes;
    for (int64_t row = 0; row < shape.rows; ++row) {
      Floats even, odd;
      split(load(a + row * width), load(b + row * width), &even, &odd);
      store(to + row * 2 * kLanes, scale * even);
      store(to + row * 2 * kLanes + kLanes, scale * odd);
    }
    return;
  }
  std::memset(to, 0, shape.packed() * sizeof(float));
  for_lanes(shape, batch, group, width, [&](int64_t lane, int64_t offset) {
    for (int64_t row = 0; row < shape.rows; ++row) {
      for (int64_t d = 0; d < shape.dim; ++d) {
        to[(row * shape.dims + d) * kLanes + lane] = scale * from[offset + row * width + d];
      }
    }
  });
}

// The inverse of pack.
void unpack(const Shape& shape, const float* from, int64_t batch, int64_t group, int64_t width, float* to) {
  const int64_t half = group * 2;
  const int64_t runs = shape.heads / (kLanes / 2);
  if (shape.paired() && half + 2 <= batch * runs) {
    float* const a = to + half / runs * shape.rows * width + half % runs * kLanes;
    float* const b = to + (half + 1) / runs * shape.rows * width + (half + 1) % runs * kLanes;
    for (int64_t row = 0; row < shape.rows; ++row) {
      Floats left, right;
      merge(load(from + row * 2 * kLanes), load(from + row * 2 * kLanes + kLanes), &left, &right);
      store(a + row * width, left);
      store(b + row * width, right);
    }
    return;
  }
  for_lanes(shape, batch, group, width, [&](int64_t lane, int64_t offset) {
    for (int64_t row = 0; row < shape.rows; ++row) {
      for (int64_t d = 0; d < shape.dim; ++d) {
        to[offset + row * width + d] = from[(row * shape.dims + d) * kLanes + lane];
      }
    }
  });
}

// sum over d of a[r, d] * b[d] for the two d in registers and, from memory, for those that follow: a and b are at d = 0.
template <int Queries, class Dims>
inline void dot(const Floats (&a)[Queries][2], const float* a_rows, const float* b, Dims dims, Floats (&sum)[Queries]) {
  const Floats b0 = load(b), b1 = load(b + kLanes);
  for (int r = 0; r < Queries; ++r) sum[r] = a[r][0] * b0 + a[r][1] * b1;
  for (int64_t d = 2; d < dims; ++d) {
    const Floats value = load(b + d * kLanes);
    for (int r = 0; r < Queries; ++r) sum[r] += load(a_rows + (r * dims + d) * kLanes) * value;
  }
}

// The two d that follow `from`, of `Queries` rows.
template <int Queries, class Dims>
inline void load_rows(const float* from, Dims dims, Floats (&values)[Queries][2]) {
  for (int r = 0; r < Queries; ++r) {
    for (int d = 0; d < 2; ++d) values[r][d] = load(from + (r * dims + d) * kLanes);
  }
}

// scores[j, r] = q[r] . k[j]; their maximum over j.
template <int Queries, class Dims>
inline void score(const float* q, const float* k, int64_t rows, Dims dims, float* scores, Floats (&most)[Queries]) {
  Floats query[Queries][2];
  load_rows(q, dims, query);
  dot(query, q, k, dims, most);
  for (int64_t j = 0; j < rows; ++j) {
    Floats product[Queries];
    dot(query, q, k + j * dims * kLanes, dims, product);
    for (int r = 0; r < Queries; ++r) {
      store(scores + (j * Queries + r) * kLanes, product[r]);
      most[r] = larger(most[r], product[r]);
    }
  }
}

// `Queries` rows of q become rows of the output.
template <int Queries, class Dims>
inline void attend(float* q, const float* k, const float* v, int64_t rows, Dims dims, float* scores) {
  Floats most[Queries];
  score<Queries>(q, k, rows, dims, scores, most);
  Floats sum[Queries] = {};
  Floats out[Queries][2] = {};
  for (int64_t j = 0; j < rows; ++j) {
    const Floats value[2] = {load(v + j * dims * kLanes), load(v + (j * dims + 1) * kLanes)};
    for (int r = 0; r < Queries; ++r) {
      float* const place = scores + (j * Queries + r) * kLanes;
      const Floats weight = power_of_two(load(place) - most[r]);
      if (dims > 2) store(place, weight);
      sum[r] += weight;
      for (int d = 0; d < 2; ++d) out[r][d] += weight * value[d];
    }
  }
  for (int r = 0; r < Queries; ++r) {
    for (int d = 0; d < 2; ++d) store(q + (r * dims + d) * kLanes, out[r][d] / sum[r]);
  }
  for (int64_t d = 2; d < dims; ++d) {
    Floats more[Queries] = {};
    for (int64_t j = 0; j < rows; ++j) {
      const Floats value = load(v + (j * dims + d) * kLanes);
      for (int r = 0; r < Queries; ++r) more[r] += load(scores + (j * Queries + r) * kLanes) * value;
    }
    for (int r = 0; r < Queries; ++r) store(q + (r * dims + d) * kLanes, more[r] / sum[r]);
  }
}

// What the backward pass of a group works on, packed; grad_k and grad_v are added to.
struct Group {
  float* q;
  float* k;
  float* v;
  float* grad;
  float* grad_k;
  float* grad_v;
  float* weights;    // [rows][kQueries][kLanes]: scores, then their exponentials
  float* gradients;  // the same of the weights' gradients
};

// For dims d and d + 1 of `Queries` rows: adds to the gradients of k and v, and puts that of q in its place.
template <int Queries, class Dims>
inline void spread(const Group& group, float* q, const float* grad, int64_t rows, Dims dims, int64_t d, float scale,
                   const Floats (&inverse)[Queries], const Floats (&mean)[Queries]) {
  Floats query[Queries][2], out[Queries][2], sum[Queries][2] = {};
  load_rows(q + d * kLanes, dims, query);
  load_rows(grad + d * kLanes, dims, out);
  for (int r = 0; r < Queries; ++r) {
    for (int e = 0; e < 2; ++e) {
      query[r][e] *= inverse[r] * kLn2;
      out[r][e] *= inverse[r];
    }
  }
  for (int64_t j = 0; j < rows; ++j) {
    const int64_t place = (j * dims + d) * kLanes;
    const Floats key[2] = {load(group.k + place), load(group.k + place + kLanes)};
    Floats to_k[2] = {load(group.grad_k + place), load(group.grad_k + place + kLanes)};
    Floats to_v[2] = {load(group.grad_v + place), load(group.grad_v + place + kLanes)};
    for (int r = 0; r < Queries; ++r) {
      const Floats weight = load(group.weights + (j * Queries + r) * kLanes);
      const Floats slope = weight * (load(group.gradients + (j * Queries + r) * kLanes) - mean[r]);
      for (int e = 0; e < 2; ++e) {
        sum[r][e] += slope * key[e];
        to_k[e] += slope * query[r][e];
        to_v[e] += weight * out[r][e];
      }
    }
    for (int e = 0; e < 2; ++e) {
      store(group.grad_k + place + e * kLanes, to_k[e]);
      store(group.grad_v + place + e * kLanes, to_v[e]);
    }
  }
  for (int r = 0; r < Queries; ++r) {
    for (int e = 0; e < 2; ++e) store(q + (r * dims + d + e) * kLanes, sum[r][e] * (inverse[r] * scale));
  }
}

// The part of `Queries` rows of q in the gradients; with weights w = 2^(score - most), their sum s and the gradient g
// of the output: of a probability g . v[j], of a score (w / s) (g . v[j] - sum over j of (w / s) (g . v[j])).
template <int Queries, class Dims>
inline void differentiate(const Group& group, float* q, const float* grad, int64_t rows, Dims dims, float scale) {
  Floats most[Queries];
  score<Queries>(q, group.k, rows, dims, group.weights, most);
  Floats sum[Queries] = {}, mean[Queries] = {}, inverse[Queries], out[Queries][2];
  load_rows(grad, dims, out);
  for (int64_t j = 0; j < rows; ++j) {
    Floats product[Queries];
    dot(out, grad, group.v + j * dims * kLanes, dims, product);
    for (int r = 0; r < Queries; ++r) {
      const int64_t place = (j * Queries + r) * kLanes;
      const Floats weight = power_of_two(load(group.weights + place) - most[r]);
      sum[r] += weight;
      mean[r] += weight * product[r];
      store(group.weights + place, weight);
      store(group.gradients + place, product[r]);
    }
  }
  for (int r = 0; r < Queries; ++r) {
    inverse[r] = 1.0f / sum[r];
    mean[r] *= inverse[r];
  }
  for (int64_t d = 0; d < dims; d += 2) spread<Queries>(group, q, grad, rows, dims, d, scale, inverse, mean);
}

}  // namespace

void attention(const float* qkv, int64_t batch, int64_t rows, int64_t heads, int64_t dim, float* out, int threads) {
  const Shape shape(rows, heads, dim);
  const int64_t width = heads * dim;
  const float scale = kLog2e / __builtin_sqrtf(static_cast<float>(dim));
  const Scratch<float> numbers(threads, 3 * shape.packed());
  const Scratch<float> scores(threads, kQueries * rows * kLanes);
  parallel_rows(shape.groups(batch), kGroups, threads, [&](int64_t begin, int64_t end, int worker) {
    float* const q = numbers.of(worker);
    float* const k = q + shape.packed();
    float* const v = k + shape.packed();
    for (int64_t group = begin; group < end; ++group) {
      pack(shape, qkv, batch, group, 3 * width, scale, q);
      pack(shape, qkv + width, batch, group, 3 * width, 1.0f, k);
      pack(shape, qkv + 2 * width, batch, group, 3 * width, 1.0f, v);
      const auto work = [&](auto dims) {
        int64_t i = 0;
        for (; i + kQueries <= rows; i += kQueries) {
          attend<kQueries>(q + i * dims * kLanes, k, v, rows, dims, scores.of(worker));
        }
        for (; i < rows; ++i) attend<1>(q + i * dims * kLanes, k, v, rows, dims, scores.of(worker));
      };
      if (shape.dims == 2) work(Two{});
      else work(shape.dims);
      unpack(shape, q, batch, group, width, out);
    }
  });
}

void attention_backward(const float* qkv, const float* grad, int64_t batch, int64_t rows, int64_t heads, int64_t dim,
                        float* grad_qkv, int threads) {
  const Shape shape(rows, heads, dim);
  const int64_t width = heads * dim;
  const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(dim));
  const Scratch<float> numbers(threads, 6 * shape.packed());
  const Scratch<float> scores(threads, 2 * kQueries * rows * kLanes);
  parallel_rows(shape.groups(batch), kGroups, threads, [&](int64_t begin, int64_t end, int worker) {
    const int64_t size = shape.packed();
    float* const q = numbers.of(worker);
    float* const weights = scores.of(worker);
    const Group part{q, q + size, q + 2 * size, q + 3 * size, q + 4 * size, q + 5 * size, weights,
                     weights + kQueries * rows * kLanes};
    for (int64_t group = begin; group < end; ++group) {
      pack(shape, qkv, batch, group, 3 * width, kLog2e * scale, q);
      pack(shape, qkv + width, batch, group, 3 * width, 1.0f, part.k);
      pack(shape, qkv + 2 * width, batch, group, 3 * width, 1.0f, part.v);
      pack(shape, grad, batch, group, width, 1.0f, part.grad);
      std::memset(part.grad_k, 0, 2 * size * sizeof(float));
      const auto work = [&](auto dims) {
        const int64_t row = dims * kLanes;
        int64_t i = 0;
        for (; i + kQueries <= rows; i += kQueries) {
          differentiate<kQueries>(part, q + i * row, part.grad + i * row, rows, dims, scale);
        }
        for (; i < rows; ++i) differentiate<1>(part, q + i * row, part.grad + i * row, rows, dims, scale);
      };
      if (shape.dims == 2) work(Two{});
      else work(shape.dims);
      unpack(shape, q, batch, group, 3 * width, grad_qkv);
      unpack(shape, part.grad_k, batch, group, 3 * width, grad_qkv + width);
      unpack(shape, part.grad_v, batch, group, 3 * width, grad_qkv + 2 * width);
    }
  });
}

}  // namespace kernels::KERNEL_ISA
