#include "tools/bench/bench.h"

#include <algorithm>
#include <cstdio>
#include <exception>

#include "engine/files.h"
#include "engine/json.h"
#include "engine/ranks/ranks.h"
#include "engine/text.h"
#include "models/registry.h"
#include "tools/cli/command.h"
#include "tools/cli/machine.h"
#include "tools/cli/run_json.h"

namespace basin::tools {
namespace {

/// What the rows of a benchmark count, which decides the reference that they are compared with.
enum class Counted { bytes, flops };

struct Entry {
  const char* name;
  std::vector<BenchResult> (*run)(const BenchOptions&);
  Counted counted;
  bool takes_input = false, is_reference = false;
};

/// Every benchmark in the order in which they run, references first.
const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = {
      {"memory", bench_memory, Counted::bytes, false, true},
      {"matrix", bench_matrix, Counted::flops, false, true},
      {"infer", bench_infer, Counted::flops},
      {"segment", bench_segment, Counted::flops, true},
      {"integrate", bench_integrate, Counted::bytes, true},
      {"losses", bench_losses, Counted::bytes},
      {"train-step", bench_train_step, Counted::flops},
      {"method-segment", bench_method_segment, Counted::flops},
      {"method-train", bench_method_train, Counted::flops},
      {"dbscan", bench_dbscan, Counted::bytes, true},
      {"field", bench_field, Counted::bytes, true},
      {"components", bench_components, Counted::bytes, true},
      {"objects", bench_objects, Counted::bytes},
  };
  return all;
}

std::string names_of(bool (*wanted)(const Entry&)) {
  std::string names;
  for (const Entry& e : entries())
    if (wanted(e)) add_to_list(names, e.name);
  return names;
}
std::string known_names() {
  return names_of([](const Entry&) { return true; });
}
std::string names_with_input() {
  return names_of([](const Entry& e) { return e.takes_input; });
}

const Entry& entry_of(const std::string& name) {
  for (const Entry& e : entries())
    if (name == e.name) return e;
  refuse("bench ", name, ": no such benchmark; there are ", known_names());
}

/// The best rates that the references reached in this run.
struct Peaks {
  double bytes_per_ms = 0, flops_per_ms = 0;
  Precision precision = Precision::fp32;  // of the flops

  void note(const BenchResult& r) {
    bytes_per_ms = std::max(bytes_per_ms, r.bytes / r.min_ms);
    flops_per_ms = std::max(flops_per_ms, r.flops / r.min_ms);
    if (r.flops > 0) precision = r.precision;
  }
  // Fractions of the peak; 0 if the result does not count this, or there is no reference to compare with.
  double of_bandwidth(const BenchResult& r) const {
    return bytes_per_ms > 0 ? r.bytes / r.median_ms / bytes_per_ms : 0;
  }
  double of_matrix_rate(const BenchResult& r) const {
    return flops_per_ms > 0 && r.precision == precision ? r.flops / r.median_ms / flops_per_ms : 0;
  }
};

void print_header() {
  std::printf("%-28s %-34s %11s %11s %6s %9s %9s %8s\n", "benchmark", "shape", "median ms", "min ms", "runs", "GB/s",
              "GFLOP/s", "of peak");
}

void print(const BenchResult& r, const Peaks& peaks) {
  const auto rate = [&](double amount) { return amount / r.median_ms * 1e-6; };
  std::printf("%-28s %-34s %11.4f %11.4f %6d", r.name.c_str(), r.shape.c_str(), r.median_ms, r.min_ms, r.reps);
  for (const double value : {rate(r.bytes), rate(r.flops)})
    value > 0 ? std::printf(" %9.2f", value) : std::printf(" %9s", "-");
  const double of_peak = r.flops > 0 ? peaks.of_matrix_rate(r) : peaks.of_bandwidth(r);
  of_peak > 0 ? std::printf(" %6.1f %%", 100 * of_peak) : std::printf(" %8s", "-");
  if (r.peak_bytes > 0) std::printf("  peak %.0f MiB", r.peak_bytes * 0x1p-20);
  if (r.decode_share > 0) std::printf("  decode %.1f %%", 100 * r.decode_share);
  std::printf("\n");
  std::fflush(stdout);
}

Json json_of(const BenchResult& r, const Peaks& peaks) {
  Json j = {{"name", r.name},           {"device", r.device}, {"shape", r.shape}, {"precision", name_of(r.precision)},
            {"median_ms", r.median_ms}, {"min_ms", r.min_ms}, {"reps", r.reps},   {"calls", r.calls}};
  const auto add = [&](const char* key, double value) {
    if (value > 0) j[key] = value;
  };
  add("cpu_ms", r.cpu_ms);
  add("gb_per_s", r.bytes / r.median_ms * 1e-6);
  add("gflop_per_s", r.flops / r.median_ms * 1e-6);
  add("of_bandwidth", peaks.of_bandwidth(r));
  add("of_matrix_rate", peaks.of_matrix_rate(r));
  add("peak_mib", r.peak_bytes * 0x1p-20);
  add("decode_share", r.decode_share);
  return j;
}

struct Request {
  Common common;
  std::vector<std::string> names;
  std::string json;
  BenchOptions options;
};

struct Run {
  const Entry* entry;
  bool asked;  // false: run only as a reference for others
};

/// The references that were asked for or that other benchmarks need, then the other benchmarks in the order given.
std::vector<Run> runs_of(const std::vector<const Entry*>& chosen) {
  std::vector<Run> runs;
  for (const Entry& e : entries()) {
    if (!e.is_reference) continue;
    const bool asked = std::find(chosen.begin(), chosen.end(), &e) != chosen.end();
    const auto same = [&](const Entry* other) { return other->counted == e.counted; };
    if (std::any_of(chosen.begin(), chosen.end(), same)) runs.push_back({&e, asked});
  }
  for (const Entry* e : chosen)
    if (!e->is_reference) runs.push_back({e, true});
  return runs;
}

void run(const Request& request) {
  std::vector<const Entry*> chosen;
  for (const std::string& name : request.names)
    chosen.push_back(&entry_of(name));
  if (request.names.empty())
    for (const Entry& e : entries())
      chosen.push_back(&e);
  const std::string& input = request.options.input;
  if (!input.empty() && (chosen.size() != 1 || !chosen[0]->takes_input))
    refuse("--input ", input, ": can be used only with exactly one of ", names_with_input());
  keep_inputs(request.json, {input});
  BenchOptions options = request.options;
  options.exec = make_exec(request.common, false), options.seed = request.common.seed;
  BenchOptions briefly = options;
  briefly.seconds = 0.3, briefly.reps = 0;
  Json all = Json::array();
  Peaks peaks;
  std::printf("device: %s\n", describe(options.exec).c_str());
  print_header();
  std::exception_ptr failure;  // the first one; the remaining benchmarks still run
  for (const Run& r : runs_of(chosen)) {
    try {
      for (const BenchResult& result : r.entry->run(r.asked ? options : briefly)) {
        if (r.entry->is_reference) peaks.note(result);
        print(result, peaks);
        all.push_back(json_of(result, peaks));
      }
    } catch (const std::exception& e) {
      if (ranks_of_run()) throw;  // the others wait for this one
      if (failure) std::fprintf(stderr, "%s: %s\n", r.entry->name, e.what());
      if (!failure) failure = std::current_exception();
    }
    // Rewritten after each benchmark, so that a crash does not lose earlier results.
    if (request.json.empty() || all.empty() || !is_first(ranks_of_run())) continue;
    write_atomically(request.json, to_text(all, 2) + "\n");
    write_run_json_beside(request.json);
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

void add_bench(Command& program) {
  Command command =
      program.subcommand("bench", "time the parts of Basin on this machine; each result is checked first");
  auto request = std::make_shared<Request>();
  command.add("NAME", request->names, "benchmarks to run; default: all of " + known_names());
  BenchOptions& options = request->options;
  command.add("--input", options.input, "for " + names_with_input() + ": the file with the input data");
  command.add("--json", request->json, "also write the results as JSON").output();
  command.add("--model", options.model, "method of method-segment and method-train; `basin methods` lists them")
      .one_of(method_names())
      .shown();
  command.add("--set", options.assignments, "KEY=VALUE: a setting of that method; `basin methods NAME` lists them")
      .repeatable();
  command.add("--side", options.side, "height and width of the images of infer, train-step and the methods, px")
      .within(32, 8192)
      .shown();
  command.add("--batch", options.batch, "images in a step of method-train").within(1, 4096).shown();
  command.add("--reps", options.reps, "runs of each; 0: as many as fit into two seconds, at least 5")
      .not_negative()
      .shown();
  add_precision_option(command, request->common);
  add_device_options(command, request->common);
  add_seed_option(command, request->common);
  command.runs_on_ranks();
  command.runs([request] { run(*request); });
}

}  // namespace basin::tools
