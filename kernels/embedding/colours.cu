#include "kernels/embedding/colours.h"

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

struct LargestChannel {
  View<const float, 3> maps;
  View<int32_t, 2> colours;

  BASIN_HD void operator()(int64_t y, int64_t x) const {
    const int64_t pixels = int64_t(maps.dim[1]) * maps.dim[2], i = y * maps.dim[2] + x;
    float largest = maps.data[i];
    int32_t channel = 0;
    for (int k = 1; k < maps.dim[0]; ++k) {
      const float v = maps.data[k * pixels + i];
      channel = v > largest ? k : channel;
      largest = v > largest ? v : largest;
    }
    colours.data[i] = channel + 1;
  }
};

/// Counts the pixels of one colour in one row: i = row * K + channel.
struct CountInRow {
  View<const int32_t, 2> colours;
  int channels;
  BackgroundRule rule;
  int32_t* count;  // [H, K]

  BASIN_HD void operator()(int64_t i) const {
    const int y = int(quotient(i, channels)), colour = int(i - int64_t(y) * channels) + 1, width = colours.dim[1];
    const int32_t* row = &colours(y, 0);
    int32_t n = 0;
    if (rule == BackgroundRule::most_frequent || y == 0 || y + 1 == colours.dim[0])
      for (int x = 0; x < width; ++x)
        n += row[x] == colour;
    else
      n = (row[0] == colour) + (width > 1 && row[width - 1] == colour);
    count[i] = n;
  }
};

struct MostFrequent {
  const int32_t* count;
  int rows, channels;
  int32_t* background;

  BASIN_HD void operator()(int64_t) const {
    int64_t most = -1;
    for (int k = 0; k < channels; ++k) {
      int64_t n = 0;
      for (int y = 0; y < rows; ++y)
        n += count[int64_t(y) * channels + k];
      if (n <= most) continue;
      most = n;
      *background = k + 1;
    }
  }
};

struct RemoveBackground {
  const int32_t* background;
  int32_t* colours;
  BASIN_HD void operator()(int64_t, int64_t i) const { colours[i] = colours[i] == *background ? 0 : colours[i]; }
};

}  // namespace

void object_colours(const Exec& exec, View<const float, 3> maps, BackgroundRule rule, View<int32_t, 2> colours) {
  const int channels = maps.dim[0], height = maps.dim[1], width = maps.dim[2];
  BASIN_CHECK(channels > 0 && colours.dim[0] == height && colours.dim[1] == width, "maps ", maps, ", colours ",
              colours);
  if (colours.size() == 0) return;
  Temp<int32_t> count(exec, int64_t(height) * channels), background(exec, 1);
  for_each_row(exec, height, width, LargestChannel{maps, colours});
  for_each(exec, count.size(), CountInRow{colours, channels, rule, count.data()}, 16);
  for_each(exec, 1, MostFrequent{count.data(), height, channels, background.data()});
  for_each_flat(exec, colours.size(), RemoveBackground{background.data(), colours.data});
}

}  // namespace basin::kernels
