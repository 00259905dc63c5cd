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
# A parallel region waits for its slowest thread. If there are more threads than cores, they take turns on the cores, and a test
# with many small regions takes up to fifteen times as long. So each test of the cpu preset has two threads, and as many tests
# run at once as there are pairs of cores. The tests of the other presets, which take longer, have one thread each. Tests that
# compare numbers of threads set these numbers themselves.
cores=$(env -u OMP_NUM_THREADS nproc)
if [ "$preset" = cpu ] && [ "$cores" -gt 1 ]; then
  OMP_NUM_THREADS=2 ctest --preset "$preset" -j "$((cores / 2))"
else
  # Tests with more threads than that must not wait for them in a loop, as clang's OpenMP library does by default.
  OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive ctest --preset "$preset" -j "$cores"
fi
