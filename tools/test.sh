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
# With several tests at once, a thread that spins while it waits would take a core from another test.
OMP_WAIT_POLICY=passive ctest --preset "$preset" -j "$(nproc)"
