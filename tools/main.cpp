#include <csignal>
#include <cstdio>
#include <exception>

#include "tools/command.h"
#include "tools/run_json.h"

int main(int argc, char** argv) {
  using namespace basin::tools;
  remember_command(argc, argv);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows too large is then an error of its write
  CLI::App app("Basin: instance segmentation of microscopy images", "basin");
  app.set_version_flag("--version", "basin " BASIN_VERSION);
  app.require_subcommand(1);
  add_bench(app);
  add_cluster(app);
  add_components(app);
  add_doctor(app);
  add_evaluate(app);
  add_field(app);
  add_info(app);
  add_integrate(app);
  add_loss(app);
  add_report(app);
  add_segment(app);
  add_synth(app);
  add_train(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& e) {
    return app.exit(e);
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "basin: out of memory\n");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "basin: %s\n", e.what());
  }
  return 1;
}
