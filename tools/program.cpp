#include "tools/cli/command.h"
#include "tools/cli/run_json.h"
#include "tools/cli/version.h"

namespace basin::tools {

int run_program(int argc, char** argv) {
  remember_command(argc, argv);
  Command program("basin", "Basin: instance segmentation of microscopy images", version_text);
  add_bench(program);
  add_check_data(program);
  add_cluster(program);
  add_compare_models(program);
  add_completion(program);
  add_components(program);
  add_doctor(program);
  add_evaluate(program);
  add_export(program);
  add_field(program);
  add_info(program);
  add_integrate(program);
  add_loss(program);
  add_manual(program);
  add_merge(program);
  add_methods(program);
  add_models(program);
  add_oracle(program);
  add_report(program);
  add_segment(program);
  add_synth(program);
  add_train(program);
  add_tune(program);
  add_view(program);
  return program.parse(argc, argv);
}

}  // namespace basin::tools
