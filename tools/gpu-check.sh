#!/usr/bin/env bash
# All that must be seen on an NVIDIA GPU, in about ten minutes: ./tools/gpu-check.sh [OUT]
# Builds for this GPU, runs every test with BASIN_REQUIRE_GPU=1, the tests of our own kernels under the toolkit's memory
# and race checkers, the tests of the build for the GTX 10 series, if it is there, all benchmarks, and the same work in
# PyTorch where `python3` ($PYTHON) has one that finds the GPU. Writes OUT/NAME.json and OUT/NAME.md, NAME being that of
# the GPU; OUT is docs/results unless given. Ends with "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.." || exit
out=${1:-docs/results}
export BASIN_REQUIRE_GPU=1 OMP_WAIT_POLICY=passive

gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader --id=0 2>/dev/null | head -1)
[ -n "$gpu" ] || { echo "gpu-check: nvidia-smi names no GPU here" >&2; exit 1; }
name=$(tr 'A-Z ' 'a-z-' <<<"$gpu" | tr -cd 'a-z0-9-')
build=build/gpu-check
mkdir -p "$out" "$build"

passed=0 failed=0 rows=() items=()
check() { # NAME COMMAND...
  local title=$1 log=$build/${1// /-}.log began=$SECONDS result=passed
  shift
  echo "== $title: $*"
  if "$@" >"$log" 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)) result=FAILED; tail -30 "$log"; fi
  echo "== $title: $result in $((SECONDS - began)) s"
  rows+=("| $title | $result | $((SECONDS - began)) |")
  items+=("{\"name\": \"$title\", \"result\": \"$result\", \"seconds\": $((SECONDS - began))}")
}

# The checkers slow a kernel down a hundred times: the tests of our own kernels alone, and of these the small ones.
kernels='test_adam test_bounds test_components test_dbscan test_dropout test_field test_field_others test_integrate test_ivp
test_losses test_points test_snap test_sort'
checked() { # TOOL
  local test code=0
  for test in $kernels; do
    [ -f "tests/$test.cpp" ] || continue
    timeout 120 compute-sanitizer --tool "$1" --error-exitcode 9 "$build/basin_tests" "--source-file=*/$test.cpp" \
      "--test-case-exclude=*1, 2 and 7 threads*" || { echo "$1: $test failed"; code=1; }
  done
  return $code
}

check "configuration" cmake --preset cuda -B "$build" -DCMAKE_CUDA_ARCHITECTURES=native
check "build" cmake --build "$build" -j "$(nproc)"
basin=$build/basin
check "doctor" "$basin" doctor
check "tests" ctest --test-dir "$build" --output-on-failure
if command -v compute-sanitizer >/dev/null; then
  check "memory checker" checked memcheck
  check "race checker" checked racecheck
else
  rows+=("| memory and race checkers | NOT RUN: no compute-sanitizer here | |")
fi

# The build for the GTX 10 series, whose PTX the driver of a newer GPU translates. It may have been carried here, without
# cuDNN or from another folder; then tests that look for that folder are left out.
pascal=$(ls -d build/pascal/basin-*-sm61-linux-x86_64 2>/dev/null | tail -1)
if [ -x "$pascal/bin/basin_tests" ]; then
  command=("$PWD/$pascal/bin/basin_tests") title="tests of the GTX 10 build"
  if [ ! -f "$pascal/lib/libcudnn.so.9" ]; then
    command=(env "LD_LIBRARY_PATH=${CUDNN_ROOT:+$CUDNN_ROOT/lib:}/usr/local/cuda/lib64:${LD_LIBRARY_PATH:-}" "${command[@]}")
  fi
  if ! grep -qaF "$PWD/" "$pascal/bin/basin_tests"; then
    command+=("--source-file-exclude=$(grep -lE 'BASIN_(COMMAND|SOURCE_DIR)|(command|evaluate|file)_support\.h' tests/test_*.cpp |
                                       sed 's,^tests,*,' | paste -sd,)")
    title+=" without those of the command"
  fi
  check "$title" "${command[@]}"
else
  rows+=("| tests of the GTX 10 build | NOT RUN: ./tools/build-pascal.sh has not made it here | |")
fi
check "benchmarks" "$basin" bench --device cuda --json "$build/bench.json"
python=${PYTHON:-python3}
rm -f "$build/peers.json" "$build/peers.log"
if timeout 60 "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  # It stops by itself; --kill-after is for a compilation that does not listen.
  BASIN=$basin check "peers" timeout --kill-after=10 200 "$python" tests/peers/torchvf_gpu.py --rounds 2 --seconds 150 \
    --json "$build/peers.json"
else
  rows+=("| peers | NOT RUN: $python has no PyTorch that finds the GPU | |")
fi

{
  printf '{"gpu": "%s", "driver": "%s", "commit": "%s", "checks": [' "$gpu" \
    "$(nvidia-smi --query-gpu=driver_version --format=csv,noheader --id=0)" "$(git rev-parse HEAD 2>/dev/null || echo unknown)"
  (IFS=,; printf '%s' "${items[*]}")
  printf '], "bench": %s' "$(cat "$build/bench.json" 2>/dev/null || echo '[]')"
  printf ', "peers": %s}\n' "$(cat "$build/peers.json" 2>/dev/null || echo null)"
} >"$out/$name.json"
{
  printf '# %s\n\n    ./tools/gpu-check.sh\n\n| check | result | s |\n|---|---|---|\n' "$gpu"
  printf '%s\n' "${rows[@]}"
  printf '\n```\n'
  cat "$build/doctor.log" "$build/benchmarks.log" 2>/dev/null
  printf '```\n'
  [ ! -f "$build/peers.log" ] || { printf '\n'; sed '/^|/!s/^./    &/' "$build/peers.log"; }
} >"$out/$name.md"
echo "$passed passed, $failed failed; $out/$name.md"
[ "$failed" = 0 ]
