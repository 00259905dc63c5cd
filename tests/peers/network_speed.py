"""Times one H1 training step (batch 2, 256x256, IVP + MSE + Tversky, Adam) and one inference: Basin against PyTorch.

PyTorch runs torchvf's own network and losses in each of its settings: channels first and last, eager and compiled.
Every round runs each contender in turn, so that a busy moment of the machine affects all of them; printed are the
minimum and the median over all rounds, and at the end Basin's ratio to the fastest PyTorch of the same precision.

    TORCHVF=... python network_speed.py [--python ANOTHER_PYTHON]... [--threads 1,2] [--rounds 5] [--json FILE]

The times mean little on a busy machine: the load before and after is printed with them.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import common

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = [(layout, compiled) for compiled in (False, True) for layout in ("nchw", "nhwc")]
BENCH = {"train": "train-step", "infer": "infer"}


class Torch:
    """A torch_side.py worker under one Python interpreter; a failing request does not end the comparison."""

    def __init__(self, python):
        self.python = python
        self.start()

    def start(self):
        python = self.python
        self.process = subprocess.Popen([python, str(HERE / "torch_side.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        hello = self.process.stdout.readline()
        if not hello.startswith("{"):
            common.skip(f"no usable PyTorch under {python}: {hello.strip()}")
        self.name = "torch " + json.loads(hello)["torch"]

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if answer:
            return json.loads(answer)
        self.start()  # after a crash of one setting the others still run
        return {"error": "the worker ended"}


def basin_times(binary, task, threads, precision):
    """The minimum and the median of one `basin bench`; several calls add up to a series like PyTorch's."""
    with common.scratch() as folder:
        out = pathlib.Path(folder) / "bench.json"
        command = [str(binary), "bench", BENCH[task], "--device", "cpu", "--threads", str(threads), "--reps", "3",
                   "--json", str(out)]
        if precision != "fp32":
            command += ["--precision", precision]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            return {"error": done.stderr.strip()[:200]}
        results = common.load_json(out)
    row = next(row for row in results if row["name"].startswith(BENCH[task]))
    return {"ms": [row["min_ms"], row["median_ms"]]}


def processor():
    lines = subprocess.run(["lscpu"], capture_output=True, text=True).stdout.splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    flags = set(fields.get("Flags", "").split())
    wide = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    name = " ".join(fields.get(key, "").strip() for key in ("Vendor ID", "Model name", "CPU family", "Model"))
    return f"{name}; {os.cpu_count()} cores; {' '.join(wide)}; {platform.system()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="one more Python whose PyTorch is timed too")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--tasks", default="train,infer")
    parser.add_argument("--precisions", default="fp32", help="fp32, bf16 or both, by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reps", type=int, default=2, help="repetitions of one contender in one round")
    parser.add_argument("--seconds", type=float, default=600, help="no new request is made after this long")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which warms up for minutes")
    parser.add_argument("--json", help="all the times, for a later look")
    options = parser.parse_args()

    basin = pathlib.Path(os.environ.get("BASIN", common.ROOT / "build/cpu/basin"))
    if not basin.is_file():
        print(f"no Basin binary at {basin}: PyTorch alone")
    workers = [Torch(python) for python in [sys.executable, *options.python]]

    contenders = []
    for threads in map(int, options.threads.split(",")):
        for task in options.tasks.split(","):
            for precision in options.precisions.split(","):
                for worker in workers:
                    for layout, compiled in SETTINGS:
                        if compiled and (options.no_compile or worker.name.startswith("torch 1.")):
                            continue
                        ask = dict(task=task, layout=layout, compile=compiled, precision=precision, threads=threads)
                        contenders.append((worker, ask))
                if basin.is_file():
                    contenders.append((None, dict(task=task, precision=precision, threads=threads)))

    times, errors = {}, {}
    start, load = time.monotonic(), os.getloadavg()[0]
    for _ in range(options.rounds):
        for worker, ask in contenders:
            if time.monotonic() - start > options.seconds:
                continue
            name = worker.name if worker else "basin"
            way = f"{ask['layout']} {'compiled' if ask['compile'] else 'eager'}" if worker else ""
            key = ask["threads"], ask["task"], ask["precision"], name, way
            if key in errors:
                continue
            answer = worker.ask(**ask, reps=options.reps) if worker else basin_times(
                basin, ask["task"], ask["threads"], ask["precision"])
            if "error" in answer:
                errors[key] = answer["error"]
            else:
                times.setdefault(key, []).extend(answer["ms"])

    print(f"{processor()}; load {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    print(f"{'threads':7} {'task':5} {'type':4} {'what':40} {'min':>8} {'median':>8} ms")
    for key, series in sorted(times.items()):
        threads, task, precision, name, way = key
        print(f"{threads:7} {task:5} {precision:4} {name + ' ' + way:40} "
              f"{min(series):8.1f} {statistics.median(series):8.1f}")
    for key, error in sorted(errors.items()):
        print(f"could not run {key}: {error}")
    for group in sorted({key[:3] for key in times}):
        ours = [series for key, series in times.items() if key[:3] == group and key[3] == "basin"]
        theirs = {key: series for key, series in times.items() if key[:3] == group and key[3] != "basin"}
        if ours and theirs:
            for what, of in (("min", min), ("median", statistics.median)):
                best = min(theirs, key=lambda key: of(theirs[key]))
                ratio = of(theirs[best]) / of(ours[0])
                print(f"{group[0]} threads, {group[1]}, {group[2]}: Basin is {ratio:.2f} times as fast as "
                      f"{best[3]} {best[4]} ({what})")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(
            {"processor": processor(), "times": [[*key, series] for key, series in times.items()]}, indent=1))


if __name__ == "__main__":
    main()
