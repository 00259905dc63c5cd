#include <cstdio>
#include <memory>

#include "engine/json.h"
#include "models/registry.h"
#include "models/training/learning_rate.h"
#include "tools/cli/command.h"

namespace basin::tools {
namespace {

void list_methods() {
  for (const MethodEntry& entry : methods())
    std::printf("%-8s %s\n", entry.name.c_str(), entry.summary.c_str());
}

void list_settings(const std::string& name) {
  const TrainingDefaults d = make_method(name, {})->training_defaults();
  const std::unique_ptr<Method> method = make_method(name, {{"normalisation", d.normalisation, "--norm"}});
  std::printf(
      "training defaults: %lld epochs, batches of %d, crops of %d px, learning rate %g (%s), --norm %s, --augment %s\n",
      static_cast<long long>(d.epochs), d.batch, d.crop, d.rate.rate, to_string(d.rate.schedule).c_str(),
      d.normalisation.c_str(), d.augment.c_str());
  constexpr std::pair<Setting::Use, const char*> uses[] = {
      {Setting::Use::network, "of the network, fixed when training starts"},
      {Setting::Use::training, "of the training"},
      {Setting::Use::decoding, "of the decoding, can be changed after training"}};
  for (const auto& [use, title] : uses) {
    std::printf("\nsettings %s:\n", title);
    for (const Setting& s : method->settings().all())
      if (s.use == use)
        std::printf("  %s=%s  %s: %s\n", s.key.c_str(), s.text_of(s.value()).c_str(), s.help.c_str(), s.range.c_str());
  }
}

}  // namespace

void add_methods(Command& program) {
  Command command = program.subcommand("methods", "list the methods, or the settings of one of them");
  auto name = std::make_shared<std::string>();
  command.add("METHOD", *name, "list this method's settings with their defaults, for --set KEY=VALUE");
  command.runs([name] { name->empty() ? list_methods() : list_settings(*name); });
}

}  // namespace basin::tools
