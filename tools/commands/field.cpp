#include <memory>
#include <string>

#include "data/arrays/npy.h"
#include "data/files/labels.h"
#include "tools/cli/command.h"
#include "tools/cli/run_json.h"
#include "tools/cli/steps.h"

namespace basin::tools {
namespace {

struct FieldRequest {
  Common common;
  std::string labels, out;
  PlaneChoice choice;
  FieldStep step;
};

void run(const FieldRequest& request) {
  expect_npy(request.out);
  keep_inputs(request.out, {request.labels});
  request.step.check();
  const Exec exec = make_exec(request.common);
  const Labels labels = read_labels(request.labels, request.choice);
  const Tensor field = request.step.field_of(exec, labels, request.labels);
  report_notes(labels.notes);
  write_npy(request.out, {2, labels.height, labels.width}, field.to_host<float>(exec).data());
  write_run_json_beside(request.out);
}

}  // namespace

void add_field(Command& program) {
  Command command =
      program.subcommand("field", "compute the vector field of a label image, the training target of a network");
  auto request = std::make_shared<FieldRequest>();
  command.add("LABELS", request->labels, "label image: .png, .tif or .npy [H,W]; 0 is background").required();
  request->step.add_to(command);
  command.add("--out", request->out, "the field: .npy, float32 [2,H,W], x then y").output().required();
  add_plane_options(command, request->choice, Reads::labels);
  add_device_options(command, request->common);
  command.runs([request] { run(*request); });
}

}  // namespace basin::tools
