#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <new>
#include <thread>

#include "tests/support/file_support.h"
#include "tests/support/thread_ranks.h"
#include "tools/segmentation/shared_batch.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

std::vector<ImageFile> put_files(const Folder& folder, const std::vector<size_t>& sizes) {
  std::vector<ImageFile> images;
  for (const size_t size : sizes) {
    const std::string stem = "image " + std::to_string(images.size());
    images.push_back({stem, write_bytes(folder / (stem + ".tif"), std::string(size, 'x'))});
  }
  return images;
}

std::vector<std::string> stems_of(const std::vector<ImageFile>& images) {
  std::vector<std::string> stems;
  for (const ImageFile& image : images)
    stems.push_back(image.stem);
  return stems;
}

}  // namespace

TEST_CASE("ranks: texts of any length are gathered") {
  for (const int count : {1, 3})
    ThreadRanks(count).run([&](Ranks& ranks) {
      const std::vector<std::string> texts = ranks.gather_texts(std::string(size_t(10 * ranks.rank()), 'a'));
      REQUIRE(texts.size() == size_t(count));
      for (int r = 0; r < count; ++r)
        CHECK(texts[size_t(r)] == std::string(size_t(10 * r), 'a'));
      CHECK(ranks.gather_texts("") == std::vector<std::string>(size_t(count)));
    });
}

TEST_CASE("ranks: each task is done once; if one fails, all throw its error and can go on") {
  for (const int count : {1, 2, 5}) {
    std::vector<std::atomic<int>> done(40);
    std::atomic<int> failed = 0;
    ThreadRanks(count).run([&](Ranks& ranks) {
      share_tasks(&ranks, 40, [&](int64_t k) { ++done[size_t(k)]; });
      for (const int culprit : {count - 1, 0}) {
        std::atomic<int> after = 0;
        const std::string why = refusal([&] {
          share_tasks(&ranks, 1000, [&](int64_t) {
            if (ranks.rank() == culprit) refuse("the disk is full");
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            ++after;
          });
        });
        CHECK(why == (culprit == 0 ? "the disk is full"
                                   : "the disk is full (" + std::string("rank ") + std::to_string(culprit) + ")"));
        CHECK(after < 500);
        ++failed;
      }
      if (count > 1) {
        const std::string why = refusal([&] {
          do_on_all(&ranks, [&] {
            if (ranks.rank() > 0) throw std::bad_alloc();
          });
        });
        CHECK(why == "not enough memory (rank 1)");
      }
      share_tasks(&ranks, 0, [&](int64_t) { FAIL("there is no task"); });
      share_tasks(&ranks, 40, [&](int64_t k) { ++done[size_t(k)]; });
    });
    CHECK(failed == 2 * count);
    for (const std::atomic<int>& times : done)
      CHECK(times == 2);
  }
}

TEST_CASE("segment: ranks share the images of rank 0, the largest files first") {
  const Folder folder;
  std::vector<ImageFile> images = put_files(folder, {5, 20, 5, 7});
  fs::create_directories(folder / "store.zarr");
  images.push_back({"store", folder / "store.zarr"});
  ThreadRanks(3).run([&](Ranks& ranks) {
    const std::vector<ImageFile> shared =
        tools::share_images(ranks, ranks.rank() == 0 ? images : std::vector<ImageFile>());
    CHECK(stems_of(shared) == std::vector<std::string>{"store", "image 1", "image 3", "image 0", "image 2"});
    CHECK(shared[1].path == images[1].path);
    CHECK(tools::share_images(ranks, {}).empty());
  });
}

TEST_CASE("segment: what happened on all ranks is joined in the order of the images") {
  const Folder folder;
  const std::vector<ImageFile> images = put_files(folder, {1, 9, 2, 8, 3, 7, 4, 6, 5});
  std::mutex mutex;
  std::vector<std::string> taken;
  tools::Outcome all;
  ThreadRanks(3).run([&](Ranks& ranks) {
    tools::Outcome outcome;
    if (ranks.rank() == 0) outcome.failed = {"missing.tif"};
    const std::vector<ImageFile> shared =
        tools::share_images(ranks, ranks.rank() == 0 ? images : std::vector<ImageFile>());
    ranks.share(int64_t(shared.size()), [&](int64_t k) {
      const ImageFile& image = shared[size_t(k)];
      outcome.seconds.network += 1, outcome.converted += 2;
      outcome.remarks.push_back({{"image", image.path.string()}, {"remark", "first"}});
      outcome.remarks.push_back({{"image", image.path.string()}, {"remark", "second"}});
      outcome.scales.push_back({{"image", image.path.string()}, {"scale", 0.5}});
      if (image.stem < "image 2")
        outcome.failed.push_back(image.path.string());
      else
        ++outcome.done;
      const std::lock_guard lock(mutex);
      taken.push_back(image.stem);
    });
    tools::join_outcomes(ranks, images, outcome);
    if (ranks.rank() == 0) all = outcome;
  });
  std::sort(taken.begin(), taken.end());
  CHECK(taken == stems_of(images));
  CHECK(all.done == 7);
  CHECK(all.converted == 18);
  CHECK(all.seconds.network == 9);
  CHECK(all.seconds.read == 0);
  CHECK(all.failed == std::vector<std::string>{"missing.tif", images[0].path.string(), images[1].path.string()});
  REQUIRE(all.remarks.size() == 18);
  REQUIRE(all.scales.size() == 9);
  for (size_t k = 0; k < images.size(); ++k) {
    CHECK(all.scales[k]["image"] == images[k].path.string());
    CHECK(all.remarks[2 * k]["image"] == images[k].path.string());
    CHECK(all.remarks[2 * k]["remark"] == "first");
    CHECK(all.remarks[2 * k + 1]["remark"] == "second");
  }
}

TEST_CASE("segment: a rank with another model is named") {
  const std::string why = refusal([] {
    ThreadRanks(3).run([](Ranks& ranks) {
      tools::Work work;
      work.model_fingerprint = ranks.rank() == 2 ? "b" : "a";
      tools::check_ranks(ranks, work);
    });
  });
  CHECK(why == "rank 2 has another version of Basin or another model than rank 0; give all ranks the same files");
}
