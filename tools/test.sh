#!/usr/bin/env bash
# Builds Basin and runs every test: ./tools/test.sh [PRESET]; cpu (default), sanitize, or emulate (the
# CUDA side on an emulated device).
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-cpu}

tools/scripts/install-packages.sh
cmake --preset "$preset"
# The library, and the program that tests/peers compares with PyTorch, are built only for the CPU.
targets=(--target basin basin_tests)
[ "$preset" != cpu ] || targets+=(basin_library_test basin_training_step)
cmake --build --preset "$preset" -j "$(nproc)" "${targets[@]}"
# A parallel region waits for its slowest thread. Where two tests with a thread per core run at once, their threads take turns
# on the cores, and a test of many small regions takes up to fifteen times as long. So the CPU's tests run with two threads each,
# as many at once as there are pairs of cores. The others, which take longer, run with one thread each; tests that compare
# numbers of threads set them themselves.
cores=$(env -u OMP_NUM_THREADS nproc)
if [ "$preset" = cpu ] && [ "$cores" -gt 1 ]; then
  OMP_NUM_THREADS=2 ctest --preset "$preset" -j "$((cores / 2))"
else
  OMP_NUM_THREADS=1 ctest --preset "$preset" -j "$cores"
fi
