// Makes the error that its argument names; a sanitizer has to report it.
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "parallel.h"

int main(int count, char** arguments) {
  const char* const error = count > 1 ? arguments[1] : "";
  int64_t shared = 0;
  int sum = INT_MAX;
  int* const one = static_cast<int*>(std::calloc(1, sizeof(int)));
  if (std::strcmp(error, "read_past_the_end") == 0) sum = one[count - 1];
  if (std::strcmp(error, "overflow") == 0) sum += count;
  if (std::strcmp(error, "race") == 0) {
    kernels::parallel_rows(64, 1, 4, [&](int64_t begin, int64_t, int) { shared += begin; });
  }
  std::printf("not reported: %s %d %lld\n", error, sum + one[0], static_cast<long long>(shared));
  std::free(one);
}
