#include <doctest/doctest.h>

#include "data/objects/stitch.h"
#include "tests/support/file_support.h"

using namespace basin;
using namespace basin::test;

namespace {

using Numbers = std::vector<int32_t>;

Labels row(std::vector<int64_t> ids) {
  const int width = int(ids.size());
  return labels_of(1, width, std::move(ids));
}

}  // namespace

TEST_CASE("stitch: objects that overlap enough keep their id, others get new ids") {
  Stitcher s(0.5);
  CHECK(s.add(row({1, 1, 1, 0, 2, 2, 0, 0})) == Numbers{1, 2});
  // IoU of the first: 2 / 4; of the second 1 / 3. The third is new.
  CHECK(s.add(row({0, 1, 1, 1, 0, 2, 2, 3})) == Numbers{1, 3, 4});
  CHECK(s.highest() == 4);
  // Only neighbouring planes are compared: number 2 does not come back.
  CHECK(s.add(row({0, 1, 1, 1, 2, 2, 0, 0})) == Numbers{1, 5});
  CHECK(s.add(row({0, 0, 0, 0, 0, 0, 0, 0})) == Numbers{});
  CHECK(s.add(row({0, 1, 1, 1, 2, 2, 0, 0})) == Numbers{6, 7});
  // The threshold itself is enough; just above it is not.
  Stitcher above(0.5000001);
  above.add(row({1, 1, 1, 0}));
  CHECK(above.add(row({0, 1, 1, 1})) == Numbers{2});
}

TEST_CASE("stitch: objects are matched one to one in order of decreasing overlap, ties by the lower id") {
  // Both parts of a divided object overlap it: 3 / 6 and 2 / 6.
  Stitcher divided(0.1);
  divided.add(row({1, 1, 1, 1, 1, 1}));
  CHECK(divided.add(row({1, 1, 2, 2, 2, 0})) == Numbers{2, 1});
  // Where they overlap equally, the first part keeps the number.
  Stitcher halves(0.1);
  halves.add(row({1, 1, 1, 1}));
  CHECK(halves.add(row({1, 1, 2, 2})) == Numbers{1, 2});
  // An object on two earlier ones, equally: the lower number, not the lower position.
  Stitcher joined(0.1);
  joined.add(row({0, 0, 1, 1, 0, 0}));
  CHECK(joined.add(row({1, 1, 2, 2, 0, 0})) == Numbers{2, 1});
  CHECK(joined.add(row({1, 1, 1, 1, 0, 0})) == Numbers{1});
  // The best partner is taken: the next best one counts. IoU: (1,1) 4/5, (1,2) 1/7, (2,2) 2/4.
  Stitcher second(0.1);
  second.add(row({1, 1, 1, 1, 1, 2, 2, 2}));
  CHECK(second.add(row({1, 1, 1, 1, 2, 2, 2, 0})) == Numbers{1, 2});
  // Two objects for one earlier one: the weaker takes another that it overlaps less. IoU: (1,1) 3/4, (1,2) 1/4, (2,2)
  // 1/4.
  Stitcher other(0.2);
  other.add(row({1, 1, 1, 1, 2, 2, 2, 2}));
  CHECK(other.add(row({1, 1, 1, 2, 2, 0, 0, 0})) == Numbers{1, 2});
}

TEST_CASE("stitch: planes of different sizes are refused, and ids may exceed the number of objects in a plane") {
  Stitcher s(1);
  CHECK(s.add(row({1, 2, 3})) == Numbers{1, 2, 3});
  CHECK(s.add(row({1, 1, 2})) == Numbers{4, 3});
  CHECK_THROWS_AS(s.add(row({1, 1})), Error);
}
