#include "tools/cli/arrays.h"
#include "tools/cli/steps.h"
#include "tools/library/arrays.h"
#include "tools/library/calls.h"
#include "tools/library/device.h"
#include "tools/library/options.h"

using namespace basin;
using namespace basin::library;

basin_status basin_integrate(const basin_array* field, const basin_array* points, const basin_option* options,
                             size_t option_count, void* moved) {
  return call([&] {
    tools::IntegrateStep step;
    const tools::Common common = read_step_options("integrate", options, option_count, step);
    const kernels::IntegrateOptions how = during(BASIN_ERROR_OPTION, [&] { return step.options(); });
    const Threads threads(common.threads);
    const Array vectors = array_of(field, "field", {3}), start = array_of(points, "points", {2}, true);
    during(BASIN_ERROR_ARGUMENT, [&] {
      tools::expect_field(vectors, "field");
      tools::expect_points(start, "points");
      if (start.type != vectors.type)
        refuse("points: are ", name_of(start.type), ", but the field is ", name_of(vectors.type));
    });
    if (start.size() == 0) return;
    need(moved, "moved");
    const CallDevice device(common);
    const Exec& exec = device.exec();
    with_real(tools::wider(vectors, start), [&]<class T>(T) {
      const DType dtype = dtype_of<T>;
      const Tensor f = tools::to_tensor(exec, vectors, dtype, {2, vectors.shape[1], vectors.shape[2]});
      const Tensor p = tools::to_tensor(exec, start, dtype, {start.shape[0], 2});
      kernels::integrate<T>(exec, f.view<const T, 3>(), p.view<T, 2>(), how);
      p.copy_to_host(exec, moved);
    });
  });
}

basin_status basin_cluster(const basin_array* points, const basin_option* options, size_t option_count, int32_t* labels,
                           int64_t* clusters) {
  return call([&] {
    if (clusters) *clusters = 0;
    tools::ClusterStep step;
    const tools::Common common = read_step_options("cluster", options, option_count, step);
    during(BASIN_ERROR_OPTION, [&] { step.check(); });
    const Threads threads(common.threads);
    const Array array = array_of(points, "points", {2}, true);
    during(BASIN_ERROR_ARGUMENT, [&] { tools::expect_clusterable(array, "points"); });
    if (array.size() == 0) return;
    need(labels, "labels");
    int64_t found = 0;
    const CallDevice device(common);
    const std::vector<int32_t> all = step.labels_of(device.exec(), array, found);
    std::copy(all.begin(), all.end(), labels);
    if (clusters) *clusters = found;
  });
}
