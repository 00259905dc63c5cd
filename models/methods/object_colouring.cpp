#include "models/methods/object_colouring.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "kernels/embedding/adjacency.h"
#include "kernels/runtime/scratch.h"

namespace basin {
namespace {

/// The rows of bits that kernels::adjacency writes.
struct BitRows {
  int words;
  std::vector<int32_t> bits;

  BitRows(const Labels& labels, double radius) : words(kernels::words_for(labels.count + 1)) {
    const int slots = labels.count + 1;
    bits.resize(size_t(slots) * size_t(words));
    kernels::adjacency(Exec{}, {labels.ids.data(), {1, labels.height, labels.width}},
                       {.radius = radius, .background = false}, {bits.data(), {1, slots, words}});
  }
  const int32_t* row(int id) const { return bits.data() + size_t(id) * size_t(words); }
};

constexpr int unset = -1;

/// The cost of a conflict: a conflict of touching objects costs more than all other conflicts together.
int64_t cost_of(const ObjectGraph::Edge& edge) { return edge.touching ? 1 << 20 : 1; }

class Colouring {
 public:
  Colouring(const ObjectGraph& graph, int colours)
      : edges_(graph.edges), colours_(colours), colour_(edges_.size(), unset) {}

  std::vector<int> run() {
    colour_by_saturation();
    while (resolve_some()) {
    }
    return colour_;
  }

 private:
  /// The cost of giving this object each of the colours.
  std::vector<int64_t> costs(int object) const {
    std::vector<int64_t> cost(size_t(colours_), 0);
    for (const auto& edge : edges_[size_t(object)])
      if (const int c = colour_[size_t(edge.to)]; c != unset) cost[size_t(c)] += cost_of(edge);
    return cost;
  }

  void colour_by_saturation() {
    // The numbers of colours around the object, of touching neighbours and of all neighbours.
    using Priority = std::tuple<int, int, size_t>;
    std::vector<Priority> priority(edges_.size());
    for (size_t i = 0; i < edges_.size(); ++i) {
      const auto touching = std::count_if(edges_[i].begin(), edges_[i].end(), [](auto& e) { return e.touching; });
      priority[i] = {0, int(touching), edges_[i].size()};
    }
    for (size_t done = 0; done < edges_.size(); ++done) {
      size_t next = edges_.size();
      for (size_t i = 0; i < edges_.size(); ++i)
        if (colour_[i] == unset && (next == edges_.size() || priority[i] > priority[next])) next = i;
      const std::vector<int64_t> cost = costs(int(next));
      colour_[next] = int(std::min_element(cost.begin(), cost.end()) - cost.begin());
      for (const auto& edge : edges_[next]) {
        const std::vector<int64_t> around = costs(edge.to);
        std::get<0>(priority[size_t(edge.to)]) =
            int(around.size()) - int(std::count(around.begin(), around.end(), int64_t(0)));
      }
    }
  }

  /// The Kempe chain of objects that exchange colours if this one gets `other`.
  std::vector<int> chain(int object, int other) const {
    std::vector<int> members{object};
    std::vector<bool> seen(edges_.size());
    seen[size_t(object)] = true;
    const int own = colour_[size_t(object)];
    for (size_t k = 0; k < members.size(); ++k) {
      const int from = members[k], wanted = colour_[size_t(from)] == own ? other : own;
      for (const auto& edge : edges_[size_t(from)])
        if (!seen[size_t(edge.to)] && colour_[size_t(edge.to)] == wanted) {
          seen[size_t(edge.to)] = true;
          members.push_back(edge.to);
        }
    }
    return members;
  }

  /// Makes an exchange that resolves the conflict of two objects without causing a new one; false if there is none.
  bool resolve(int a, int b) {
    const int own = colour_[size_t(a)];
    for (int other = 0; other < colours_; ++other) {
      if (other == own) continue;
      const std::vector<int> members = chain(a, other);
      if (std::find(members.begin(), members.end(), b) != members.end()) continue;
      for (const int object : members)
        colour_[size_t(object)] = colour_[size_t(object)] == own ? other : own;
      return true;
    }
    return false;
  }

  bool resolve_some() {
    bool some = false;
    for (size_t a = 0; a < edges_.size(); ++a) {
      const std::vector<int64_t> cost = costs(int(a));
      const auto best = std::min_element(cost.begin(), cost.end());
      if (*best < cost[size_t(colour_[a])]) {
        colour_[a] = int(best - cost.begin());
        some = true;
      }
    }
    for (size_t a = 0; a < edges_.size(); ++a)
      for (const auto& edge : edges_[a])
        if (colour_[a] == colour_[size_t(edge.to)]) some |= resolve(int(a), edge.to);
    return some;
  }

  const std::vector<std::vector<ObjectGraph::Edge>>& edges_;
  int colours_;
  std::vector<int> colour_;
};

}  // namespace

ObjectGraph object_graph(const Labels& labels, double radius) {
  ObjectGraph graph;
  graph.edges.resize(size_t(labels.count));
  if (labels.count == 0) return graph;
  const BitRows near(labels, radius), touching(labels, std::sqrt(2.0));
  for (int a = 1; a <= labels.count; ++a)
    for (int b = 1; b <= labels.count; ++b) {
      const bool touches = kernels::is_neighbour(touching.row(a), b);
      if (touches || kernels::is_neighbour(near.row(a), b)) graph.edges[size_t(a) - 1].push_back({b - 1, touches});
    }
  return graph;
}

std::vector<int> colour_objects(const ObjectGraph& graph, int colours) {
  BASIN_CHECK(colours > 0, colours, " colours");
  return Colouring(graph, colours).run();
}

std::vector<int> colour_in_raster_order(const Labels& labels, const ObjectGraph& graph, int colours) {
  BASIN_CHECK(colours > 0, colours, " colours");
  std::vector<int> colour(graph.edges.size(), unset);
  for (const int32_t id : labels.ids) {
    if (id <= 0 || colour[size_t(id) - 1] != unset) continue;
    std::vector<int64_t> cost(size_t(colours), 0);
    for (const auto& edge : graph.edges[size_t(id) - 1])
      if (const int c = colour[size_t(edge.to)]; c != unset) cost[size_t(c)] += cost_of(edge);
    colour[size_t(id) - 1] = int(std::min_element(cost.begin(), cost.end()) - cost.begin());
  }
  return colour;
}

ColourConflicts colour_conflicts(const ObjectGraph& graph, const std::vector<int>& colour) {
  ColourConflicts conflicts;
  for (size_t a = 0; a < graph.edges.size(); ++a)
    for (const auto& edge : graph.edges[a]) {
      if (size_t(edge.to) <= a || colour[a] != colour[size_t(edge.to)]) continue;
      ++conflicts.near;
      conflicts.touching += edge.touching;
    }
  return conflicts;
}

}  // namespace basin
