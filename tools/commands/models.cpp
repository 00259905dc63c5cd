#include <algorithm>
#include <cstdio>

#include "models/inference/model_file.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/shipped_models.h"

namespace basin::tools {
namespace {

void print_models() {
  const std::vector<ShippedModel> models = shipped_models();
  if (models.empty()) refuse("no models were found; $BASIN_MODELS may name a folder of them");
  int width = 0, failed = 0;
  for (const ShippedModel& m : models)
    width = std::max(width, int(m.name.size()));
  for (const ShippedModel& m : models)
    try {
      const std::string method = load_model(m.file, {}).method->name(), purpose = purpose_of(m);
      std::printf("%-*s  %-5s  %s\n", width, m.name.c_str(), method.c_str(), m.file.string().c_str());
      if (!purpose.empty()) std::printf("%-*s  %s\n", width, "", purpose.c_str());
    } catch (const Error& e) {
      std::fprintf(stderr, "basin: %s\n", e.what());
      ++failed;
    }
  if (failed > 0) refuse(failed, " of ", counted(int64_t(models.size()), "model"), " could not be read");
}

}  // namespace

void add_models(Command& program) {
  Command command = program.subcommand("models", "list the models that --model finds by name, and their purpose");
  command.runs(print_models);
}

}  // namespace basin::tools
