// The lookups of a batch, grouped by row: parts that threads take independently, each sorted by id.
#pragma once

#include <cstring>

#include "embedding_bag.h"
#include "scratch.h"

namespace kernels::KERNEL_ISA {
namespace {

// A piece of work: the lookups of one table whose ids are in low..high-1. Tables with a large share of the lookups are
// cut into several, at ids that split their lookups evenly, so that no thread is left alone with one table. The cuts
// depend on the ids only, not on the number of threads.
struct Part {
  int64_t table;
  uint64_t low;
  uint64_t high;
  bool whole;  // it is all of the table
};

constexpr int64_t kShares = 8;         // a table with more than 1 / kShares of all lookups is cut ...
constexpr int64_t kSmallShare = 4096;  // ... unless it has fewer than this
constexpr int64_t kSamples = 128;      // ids that are looked at to find the cuts

inline int64_t most_parts(const Lookups& lookups) { return lookups.tables + kShares; }

inline int64_t id_at(const Lookups& lookups, int64_t table, int64_t position) {
  return lookups.offsets == nullptr ? lookups.ids[position * lookups.tables + table]
                                    : lookups.ids[lookups.offsets[table * lookups.batch] + position];
}

// Writes at most most_parts() parts, ascending by table and id, and returns how many. Without lookups there are none.
inline int64_t plan_parts(const Lookups& lookups, Part* parts) {
  const int64_t fair = lookups.total() / kShares;
  const int64_t share = fair > kSmallShare ? fair : kSmallShare;
  int64_t planned = 0;
  for (int64_t t = 0; t < lookups.tables; ++t) {
    const int64_t count = lookups.count(t);
    if (count == 0) continue;
    const int64_t pieces = count / share;
    if (pieces < 2) {
      parts[planned++] = {t, 0, uint64_t{1} << 32, true};
      continue;
    }
    uint64_t sample[kSamples];
    for (int64_t i = 0; i < kSamples; ++i) {
      const uint64_t id = static_cast<uint64_t>(id_at(lookups, t, i * count / kSamples));
      int64_t place = i;
      for (; place > 0 && sample[place - 1] > id; --place) sample[place] = sample[place - 1];
      sample[place] = id;
    }
    uint64_t low = 0;
    for (int64_t piece = 1; piece <= pieces; ++piece) {
      const uint64_t high = piece == pieces ? uint64_t{1} << 32 : sample[piece * kSamples / pieces];
      if (high > low) parts[planned++] = {t, low, high, false};
      low = high;
    }
  }
  return planned;
}

// A lookup while it is sorted: in the upper half its id less the part's low, in the lower half its sample; where lookups
// have weights its position among the table's.
using Entry = uint64_t;
constexpr uint64_t key_of(Entry entry) { return entry >> 32; }
constexpr uint32_t payload_of(Entry entry) { return static_cast<uint32_t>(entry); }

struct Listed {
  int64_t count;  // entries written
  int64_t below;  // lookups of the table with ids below the part's
  uint64_t bits;  // all keys, or-ed
};

template <bool kWhole, bool kPositions>
inline Listed list_entries(const Lookups& lookups, const Part& part, Entry* entries) {
  Listed listed{0, 0, 0};
  const uint64_t low = part.low, width = part.high - part.low;
  int64_t position = 0;
  for (int64_t b = 0; b < lookups.batch; ++b) {
    const int64_t bag = part.table * lookups.batch + b;
    const int64_t begin = lookups.offsets == nullptr ? b * lookups.tables + part.table : lookups.offsets[bag];
    const int64_t end = lookups.offsets == nullptr ? begin + 1 : lookups.offsets[bag + 1];
    const int64_t* const ids = lookups.ids + begin;
    const int64_t size = end - begin;
    if (kWhole) {
      Entry* const to = entries + position;
      for (int64_t i = 0; i < size; ++i) {
        const uint64_t id = static_cast<uint64_t>(ids[i]);
        listed.bits |= id;
        to[i] = id << 32 | static_cast<Entry>(kPositions ? position + i : b);
      }
    } else {
      for (int64_t i = 0; i < size; ++i) {
        const uint64_t id = static_cast<uint64_t>(ids[i]);
        const uint64_t key = id - low;
        const bool inside = key < width;
        entries[listed.count] = key << 32 | static_cast<Entry>(kPositions ? position + i : b);
        listed.bits |= inside ? key : 0;
        listed.count += inside;
        listed.below += id < low;
      }
    }
    position += size;
  }
  if (kWhole) listed.count = position;
  return listed;
}

inline Listed list_part(const Lookups& lookups, const Part& part, Entry* entries) {
  if (lookups.weights == nullptr) {
    return part.whole ? list_entries<true, false>(lookups, part, entries)
                      : list_entries<false, false>(lookups, part, entries);
  }
  return part.whole ? list_entries<true, true>(lookups, part, entries)
                    : list_entries<false, true>(lookups, part, entries);
}

constexpr int kMaxDigit = 11;
constexpr int kMaxPasses = 4;

// Sorts by key; equal keys keep their order. Returns the array (one of the two) that holds the result. A radix sort from
// the lowest digit, in as many passes as are cheapest for the number of entries and the bits in use.
inline Entry* sort_by_key(Entry* entries, Entry* spare, int64_t count, uint64_t used) {
  int bits = 0;
  while ((used >> bits) != 0) ++bits;
  if (bits == 0) return entries;
  int passes = 0, digit = 0;
  int64_t least = INT64_MAX;
  for (int p = (bits + kMaxDigit - 1) / kMaxDigit; p <= kMaxPasses && p <= bits; ++p) {
    const int size = (bits + p - 1) / p;
    const int64_t cost = p * (count * 4 + (int64_t{1} << size));  // measured: an entry costs four times a bucket
    if (cost < least) least = cost, passes = p, digit = size;
  }
  uint32_t places[kMaxPasses][1 << kMaxDigit];
  const Entry mask = (Entry{1} << digit) - 1;
  for (int p = 0; p < passes; ++p) std::memset(places[p], 0, sizeof(uint32_t) << digit);
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t key = key_of(entries[i]);
    for (int p = 0; p < passes; ++p) ++places[p][(key >> (p * digit)) & mask];
  }
  for (int p = 0; p < passes; ++p) {
    const int shift = 32 + p * digit;
    uint32_t* const place = places[p];
    uint32_t sum = 0;
    for (Entry value = 0; value <= mask; ++value) {
      const uint32_t here = place[value];
      place[value] = sum;
      sum += here;
    }
    for (int64_t i = 0; i < count; ++i) spare[place[(entries[i] >> shift) & mask]++] = entries[i];
    Entry* const sorted = spare;
    spare = entries;
    entries = sorted;
  }
  return entries;
}

// Sorted lookups and where each row's begin: row r's are entries[starts[r]] ... entries[starts[r + 1] - 1].
struct Runs {
  const Entry* entries;
  const uint32_t* starts;
  int64_t rows;
  int64_t below;
  uint64_t low;

  int64_t id(int64_t row) const { return static_cast<int64_t>(key_of(entries[starts[row]]) + low); }
};

// Lists and sorts the lookups of a part; `entries` and `spare` have room for one more than all lookups of its table.
inline Runs sort_part(const Lookups& lookups, const Part& part, Entry* entries, Entry* spare) {
  const Listed listed = list_part(lookups, part, entries);
  const Entry* const sorted = sort_by_key(entries, spare, listed.count, listed.bits);
  uint32_t* const starts = reinterpret_cast<uint32_t*>(sorted == entries ? spare : entries);
  int64_t rows = listed.count > 0;
  starts[0] = 0;
  for (int64_t i = 1; i < listed.count; ++i) {
    starts[rows] = static_cast<uint32_t>(i);
    rows += key_of(sorted[i]) != key_of(sorted[i - 1]);
  }
  starts[rows] = static_cast<uint32_t>(listed.count);
  return {sorted, starts, rows, listed.below, part.low};
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
