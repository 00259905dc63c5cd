#!/usr/bin/env bash
# Builds Basin and runs every test: ./tools/test.sh [PRESET]; cpu (default), sanitize, or emulate (the
# CUDA side on an emulated device).
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-cpu}

tools/scripts/install-packages.sh
cmake --preset "$preset"
# Only the cpu preset builds the shared library, and the program that tests/peers compares with PyTorch.
targets=(--target basin basin_tests)
[ "$preset" != cpu ] || targets+=(basin_library_test basin_training_step)
cmake --build --preset "$preset" -j "$(nproc)" "${targets[@]}"
# Each core runs a test. Those of the cpu preset have two threads each, which share a core, so that errors between threads show;
# those of the other presets, which take longer, have one. Tests that compare numbers of threads set these numbers themselves.
# Threads that share a core must sleep while they wait for each other: waiting in a loop, they take up to fifteen times as long.
threads=1
[ "$preset" != cpu ] || threads=2
OMP_NUM_THREADS=$threads OMP_WAIT_POLICY=passive ctest --preset "$preset" -j "$(env -u OMP_NUM_THREADS nproc)"
