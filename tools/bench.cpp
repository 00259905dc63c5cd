#include "tools/bench.h"

#include <cstdio>

#include "engine/files.h"
#include "engine/json.h"
#include "tools/command.h"
#include "tools/run_json.h"

namespace basin::tools {
namespace {

struct Entry {
  const char* name;
  std::vector<BenchResult> (*run)(const BenchOptions&);
  bool takes_input = false;
};

/// Every benchmark, in the order in which they run.
const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = {
      {"memory", bench_memory},
      {"infer", bench_infer},
      {"integrate", bench_integrate, true},
      {"losses", bench_losses},
      {"train-step", bench_train_step},
      {"dbscan", bench_dbscan, true},
      {"field", bench_field, true},
      {"components", bench_components, true},
  };
  return all;
}

std::string known_names() {
  std::string names;
  for (const Entry& e : entries())
    names += (names.empty() ? "" : ", ") + std::string(e.name);
  return names;
}

const Entry& entry_of(const std::string& name) {
  for (const Entry& e : entries())
    if (name == e.name) return e;
  refuse("bench ", name, ": no such benchmark; there are ", known_names());
}

void print_header() {
  std::printf("%-28s %-34s %11s %11s %6s %9s %9s\n", "benchmark", "shape", "median ms", "min ms", "runs", "GB/s",
              "GFLOP/s");
}

void print(const BenchResult& r) {
  const auto rate = [&](double amount) { return amount > 0 ? amount / r.median_ms * 1e-6 : 0; };
  std::printf("%-28s %-34s %11.4f %11.4f %6d", r.name.c_str(), r.shape.c_str(), r.median_ms, r.min_ms, r.reps);
  for (const double value : {rate(r.bytes), rate(r.flops)})
    value > 0 ? std::printf(" %9.2f", value) : std::printf(" %9s", "-");
  std::printf("\n");
  std::fflush(stdout);
}

Json json_of(const BenchResult& r) {
  Json j = {{"name", r.name},     {"device", r.device}, {"shape", r.shape}, {"median_ms", r.median_ms},
            {"min_ms", r.min_ms}, {"cpu_ms", r.cpu_ms}, {"reps", r.reps}};
  if (r.bytes > 0) j["gb_per_s"] = r.bytes / r.median_ms * 1e-6;
  if (r.flops > 0) j["gflop_per_s"] = r.flops / r.median_ms * 1e-6;
  return j;
}

struct Request {
  Common common;
  std::vector<std::string> names;
  std::string input, json;
  int reps = 0;
};

void run(const Request& request) {
  std::vector<const Entry*> chosen;
  for (const std::string& name : request.names)
    chosen.push_back(&entry_of(name));
  if (request.names.empty())
    for (const Entry& e : entries())
      chosen.push_back(&e);
  if (!request.input.empty() && (chosen.size() != 1 || !chosen[0]->takes_input))
    refuse("--input ", request.input, ": goes with one of integrate, dbscan, field and components");
  keep_inputs(request.json, {request.input});
  BenchOptions options{make_exec(request.common), request.input, request.common.seed, request.reps};
  Json all = Json::array();
  for (const Entry* e : chosen)
    for (const BenchResult& r : e->run(options)) {
      if (all.empty()) {
        std::printf("device: %s\n", r.device.c_str());
        print_header();
      }
      print(r);
      all.push_back(json_of(r));
    }
  if (request.json.empty()) return;
  write_atomically(request.json, to_text(all, 2) + "\n");
  write_run_json_beside(request.json);
}

}  // namespace

void add_bench(Command& program) {
  Command command = program.subcommand("bench", "time the parts on this machine, each checked before it is timed");
  auto request = std::make_shared<Request>();
  command.add("NAME", request->names, "what to time (default: all): " + known_names());
  command.add("--input", request->input, "of integrate, dbscan, field or components: a file to take the work from");
  command.add("--json", request->json, "also write the results as JSON");
  command.add("--reps", request->reps, "runs of each (0: as many as fit into two seconds, at least 5)")
      .not_negative()
      .shown();
  add_precision_option(command, request->common);
  add_device_options(command, request->common);
  add_seed_option(command, request->common);
  command.runs([request] { run(*request); });
}

}  // namespace basin::tools
