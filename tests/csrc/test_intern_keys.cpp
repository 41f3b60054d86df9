#include "intern_keys.h"

#include <unordered_map>

#include "check.h"

using check::Block;

namespace {

// A table, and what the last call made of it.
struct Table {
  explicit Table(int64_t slots) : keys(slots), ids(slots) { std::memset(ids.data(), 0, slots * sizeof(int32_t)); }

  int64_t add(const Block<uint64_t>& values, int64_t used, Block<int32_t>& numbers, Block<int64_t>& first) {
    Block<uint64_t> before(values.size());
    return ON_ISA(intern_keys)(values.data(), values.size(), keys.data(), ids.data(), keys.size(), used, numbers.data(),
                               first.data(), before.data());
  }

  Block<uint64_t> keys;
  Block<int32_t> ids;
};

}  // namespace

int main() {
  return check::run_cases([](check::Random& random, int64_t) {
    const int64_t slots = int64_t{1} << random.between(0, 9);
    const int64_t choices = random.between(1, 2 * slots);
    const uint64_t spread = random.coin() ? 1 : random.bits() | 1;  // neighbours, or anything
    std::vector<Block<uint64_t>> parts;
    for (int64_t part = random.between(1, 4); part > 0; --part) {
      Block<uint64_t> keys(random.one_of({0, 1, 15, 16, 17, random.between(1, 600)}));
      for (int64_t i = 0; i < keys.size(); ++i) {
        keys[i] = random.between(0, 9) == 0 ? ~uint64_t{0} : static_cast<uint64_t>(random.between(0, choices)) * spread;
      }
      parts.push_back(std::move(keys));
    }
    for (int isa = 0; isa <= static_cast<int>(check::best_isa()); ++isa) {
      kernels::set_isa(static_cast<kernels::Isa>(isa));
      Table table(slots);
      std::unordered_map<uint64_t, int32_t> wanted;
      for (const auto& keys : parts) {
        Block<int32_t> numbers(keys.size());
        Block<int64_t> first(keys.size());
        const auto ids_before = check::copy(table.ids);
        const auto keys_before = check::copy(table.keys);
        const auto known = wanted;
        std::vector<int64_t> fresh;
        for (int64_t i = 0; i < keys.size(); ++i) {
          if (keys[i] == ~uint64_t{0}) continue;
          if (wanted.emplace(keys[i], static_cast<int32_t>(wanted.size() + 1)).second) fresh.push_back(i);
        }
        const int64_t found = table.add(keys, static_cast<int64_t>(known.size()), numbers, first);
        if (static_cast<int64_t>(wanted.size()) > slots) {
          CHECK(found == -1, "%ld keys fit into %ld slots", wanted.size(), slots);
          CHECK(table.ids.same_bits(ids_before) && table.keys.same_bits(keys_before), "a full table was changed");
          wanted = known;
          continue;
        }
        CHECK(found == static_cast<int64_t>(fresh.size()), "%ld new keys, not %ld", found, fresh.size());
        for (int64_t k = 0; k < found; ++k) CHECK(first[k] == fresh[k], "new key %ld at %ld, not %ld", k, first[k], fresh[k]);
        for (int64_t i = 0; i < keys.size(); ++i) {
          const int32_t id = keys[i] == ~uint64_t{0} ? 0 : wanted.at(keys[i]);
          CHECK(numbers[i] == id, "key %ld is number %d, not %d", i, numbers[i], id);
        }
      }
    }
  });
}
