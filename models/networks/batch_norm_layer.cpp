#include "models/networks/batch_norm_layer.h"

namespace basin {

BatchNormLayer BatchNormLayer::add(Params& params, const std::string& name, int channels) {
  BatchNormLayer n;
  n.gamma = params.add(name + ".weight", {channels}, 0, 1);
  n.beta = params.add(name + ".bias", {channels}, 0, 0);
  n.mean = params.add_statistic(name + ".running_mean", {channels}, 0);
  n.var = params.add_statistic(name + ".running_var", {channels}, 1);
  return n;
}

NormParameters BatchNormLayer::in(const Params& params, double epsilon) const {
  return {params.parameter(gamma), params.parameter(beta), params.statistic(mean), params.statistic(var), epsilon};
}

}  // namespace basin
