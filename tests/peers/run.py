"""Runs every comparison in this folder and reports what passed, what failed, and what was skipped and why.

    python run.py [NAME...]        NAME: a script here, with or without .py; default: all that need no quiet machine

Exit status 0 only if nothing failed; --strict also counts a skipped comparison as failed.
"""
import argparse
import pathlib
import subprocess
import sys

import common

HERE = pathlib.Path(__file__).resolve().parent
SHARED = {"common.py", "run.py", "method_side.py", "tensorflow_side.py", "torch_peer.py", "torch_side.py", "unet_methods.py"}
QUIET = "timings want a quiet machine"
LONG = "trains networks for an hour or more"
BY_HAND = {"network_speed.py": QUIET, "stage_speed.py": QUIET, "method_speed.py": QUIET, "segment_speed.py": QUIET,
           "torchvf_gpu.py": "timings want a GPU that does nothing else", "accuracy.py": LONG, "method_accuracy.py": LONG}


def run(script):
    done = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode == common.SKIPPED:
        return "skipped", lines[-1:]
    return ("passed", []) if done.returncode == 0 else ("FAILED", lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    scripts = [HERE / (name.removesuffix(".py") + ".py") for name in options.names]
    unknown = [script.name for script in scripts if not script.is_file()]
    if unknown:
        sys.exit(f"no such comparison: {', '.join(unknown)}")

    counts = {"passed": 0, "FAILED": 0, "skipped": 0}
    for script in scripts or sorted(set(HERE.glob("*.py")) - {HERE / name for name in SHARED}):
        if not options.names and script.name in BY_HAND:
            result, lines = "skipped", [f"run it by hand: {BY_HAND[script.name]}"]
        else:
            result, lines = run(script)
        counts[result] += 1
        print(f"{result:7} {script.name}", flush=True)
        for line in lines:
            print(f"          {line}")
    print(f"{counts['passed']} passed, {counts['FAILED']} failed, {counts['skipped']} skipped")
    sys.exit(counts["FAILED"] > 0 or (options.strict and counts["skipped"] > 0))


if __name__ == "__main__":
    main()
