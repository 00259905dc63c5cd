#!/usr/bin/env bash
# Runs all checks that need an NVIDIA GPU, in less than ten minutes: ./tools/scripts/gpu-check.sh [OUT]
# Builds for this GPU, runs the tests of our own kernels, all benchmarks, the same work in PyTorch where `python3`
# ($PYTHON) has one that finds the GPU, every test with BASIN_REQUIRE_GPU=1, the tests of the kernels under the toolkit's
# memory and race checkers, and those of the build for the GTX 10 series, if it is there. Writes OUT/NAME.json and
# OUT/NAME.md after each of them, NAME being that of the GPU; OUT is docs/results unless given. After $BASIN_GPU_SECONDS
# (570) it ends, and checks that did not run are listed as such. Its last line is "N passed, N failed, N not run".
#
# It needs CUDA 12 or 13, cuDNN 9, CMake, Ninja and what tools/scripts/install-packages.sh installs. Where no package can be
# installed, have that unpacked in a folder and set
#   CMAKE_PREFIX_PATH   the folder's usr, where CMake looks for libraries and headers
#   LD_LIBRARY_PATH     its usr/lib/x86_64-linux-gnu, for the programs that are built
#   CUDNN_ROOT          a folder with cuDNN's include/ and lib/; unset: that of the Python package nvidia.cudnn, if any
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
out=${1:-docs/results}
budget=${BASIN_GPU_SECONDS:-570}
python=${PYTHON:-python3}
export BASIN_REQUIRE_GPU=1 PATH=$PATH:/usr/local/cuda/bin

gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader --id=0 2>/dev/null | head -1)
[ -n "$gpu" ] || { echo "gpu-check: nvidia-smi names no GPU here" >&2; exit 1; }
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader --id=0)
commit=$(git rev-parse HEAD 2>/dev/null || echo unknown)
name=$(tr 'A-Z ' 'a-z-' <<<"$gpu" | tr -cd 'a-z0-9-')
build=build/gpu-check
mkdir -p "$out" "$build"
rm -f "$build"/*.log "$build"/bench*.json "$build"/peers.*

# The other methods: without a model file `bench` runs the vector fields.
methods=(es fc wn og)

passed=0 failed=0 not_run=0 rows=() items=()
write_results() {
  {
    printf '{"gpu": "%s", "driver": "%s", "commit": "%s", "checks": [' "$gpu" "$driver" "$commit"
    (IFS=,; printf '%s' "${items[*]}")
    printf ']'
    local part
    for part in bench bench-tf32 bench-bf16 "${methods[@]/#/bench-}" peers; do
      printf ',\n"%s": %s' "$part" "$(cat "$build/$part.json" 2>/dev/null || echo null)"
    done
    printf '}\n'
  } >"$out/$name.json.part" && mv "$out/$name.json.part" "$out/$name.json"
  {
    printf '# %s\n\n    ./tools/scripts/gpu-check.sh\n\n| check | result | s |\n|---|---|---|\n' "$gpu"
    printf '%s\n' "${rows[@]}"
    printf '\n```\n'
    cat "$build"/{doctor,benchmarks,benchmarks-tf32,benchmarks-bf16}.log 2>/dev/null
    local method
    for method in "${methods[@]}"; do
      cat "$build/benchmarks-$method.log" 2>/dev/null
    done
    printf '```\n'
    [ ! -f "$build/peers.log" ] || { printf '\n'; grep -E '^(ok|FAIL|skipped) ' "$build/peers.log" | sed 's/^/    /'; }
    [ ! -f "$build/peers.md" ] || { printf '\n'; cat "$build/peers.md"; }
  } >"$out/$name.md.part" && mv "$out/$name.md.part" "$out/$name.md"
}
row() { # TITLE RESULT SECONDS
  rows+=("| $1 | $2 | $3 |")
  items+=("{\"name\": \"$1\", \"result\": \"${2//\"/\'}\", \"seconds\": ${3:-0}}")
  write_results
}
skip() { # TITLE WHY
  not_run=$((not_run + 1))
  echo "== $1: NOT RUN: $2"
  row "$1" "NOT RUN: $2" ""
}
left() { echo $((budget - SECONDS)); }
within() { # MOST COMMAND...: for at most so many seconds, and no longer than is left
  local most=$1
  shift
  [ "$most" -le "$(left)" ] || most=$(left)
  [ "$most" -gt 0 ] || return 124
  timeout --kill-after=5 "$most" "$@"
}
check() { # TITLE COMMAND...: a command, or a function here that limits itself
  local title=$1 log=$build/${1// /-}.log began=$SECONDS code result=passed
  shift
  [ "$(left)" -ge 5 ] || { skip "$title" "no time left"; return 1; }
  echo "== $title: $*"
  remark=""
  if declare -F "$1" >/dev/null; then "$@" >"$log" 2>&1; else within "$budget" "$@" >"$log" 2>&1; fi
  code=$?
  if [ $code = 0 ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1)) result=FAILED
    [ "$(left)" -gt 0 ] || remark="no time left"
    tail -30 "$log"
  fi
  result+=${remark:+: $remark}
  echo "== $title: $result in $((SECONDS - began)) s"
  row "$title" "$result" $((SECONDS - began))
  return $code
}
finish() {
  write_results
  echo "$passed passed, $failed failed, $not_run not run; $out/$name.md"
  [ "$failed" = 0 ]
  exit
}

# The tests of our own kernels: small enough for the checkers, which slow a kernel down a hundred times.
kernels=(adam adjacency components dbscan distance_target divergence dropout embedding field field_others graph
         instance_loss integrate ivp losses mask_points memory mixed_precision ops ops_maps peaks region_growing roi snap
         sort tiles)
test_exists() { compgen -G "tests/*/test_$1.cpp" >/dev/null || { echo "tests/*/test_$1.cpp does not exist"; return 1; }; }
kernel_tests() {
  local test files=() code=0
  for test in "${kernels[@]}"; do
    test_exists "$test" || code=1
    files+=("*/test_$test.cpp")
  done
  within 120 "$build/basin_tests" "--source-file=$(IFS=,; echo "${files[*]}")" && return "$code"
}
checked() { # TOOL SECONDS: what has no time is reported; that nothing had is a failure
  local test most code=1 bad=0 end=$((SECONDS + $2)) without=()
  for test in "${kernels[@]}"; do
    test_exists "$test" || { bad=1; continue; }
    most=$((end - SECONDS))
    [ "$most" -ge 5 ] || { without+=("$test"); continue; }
    [ "$most" -le 60 ] || most=60
    # doctest splits its patterns at commas, so a pattern must not contain one.
    within "$most" compute-sanitizer --tool "$1" --error-exitcode 9 "$build/basin_tests" "--source-file=*/test_$test.cpp" \
      '--test-case-exclude=*2 and 7 threads*'
    case $? in
      0) code=0 ;;
      124 | 137) without+=("$test") ;;
      *) echo "$1: test_$test failed"; bad=1 ;;
    esac
  done
  [ ${#without[@]} = 0 ] || remark="no time to the end for ${without[*]}"
  return $((code | bad))
}

configure=(cmake --preset cuda -B "$build" -DCMAKE_CUDA_ARCHITECTURES=native)
if [ -z "${CUDNN_ROOT:-}" ]; then
  CUDNN_ROOT=$("$python" -c 'import importlib.util as u; print(list(u.find_spec("nvidia.cudnn").submodule_search_locations)[0])' \
    2>/dev/null)
  [ -f "$CUDNN_ROOT/include/cudnn.h" ] || CUDNN_ROOT=""
fi
[ -z "$CUDNN_ROOT" ] || configure+=("-DCUDNN_ROOT=$(realpath "$CUDNN_ROOT")")

check "configuration" "${configure[@]}" || finish
check "build" cmake --build "$build" --target basin basin_tests -j "$(nproc)" || finish
basin=$build/basin
check "doctor" "$basin" doctor
check "kernel tests" kernel_tests
check "benchmarks" "$basin" bench --device cuda --json "$build/bench.json"
for precision in tf32 bf16; do
  check "benchmarks $precision" "$basin" bench infer train-step segment --device cuda --precision $precision \
    --json "$build/bench-$precision.json"
done
for method in "${methods[@]}"; do
  check "benchmarks $method" within 40 "$basin" bench method-train method-segment --model "$method" --device cuda \
    --json "$build/bench-$method.json"
done

seconds=$(($(left) * 4 / 10))
[ $seconds -le 150 ] || seconds=150
if within 60 "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  # It stops by itself; the limit is for a compilation that hangs.
  BASIN=$basin check "peers" timeout --kill-after=5 $((seconds + 30)) "$python" tests/peers/torchvf_gpu.py --rounds 2 \
    --seconds $seconds --json "$build/peers.json"
else
  skip "peers" "$python has no PyTorch that finds the GPU"
fi

# With several tests at once, a thread that spins while it waits would take a core from another test.
check "tests" env OMP_WAIT_POLICY=passive ctest --test-dir "$build" --output-on-failure -j 8 --timeout 120

refusal=""
if ! command -v compute-sanitizer >/dev/null; then
  refusal="no compute-sanitizer here"
elif [ "$(left)" -ge 5 ]; then
  refusal=$(within 60 compute-sanitizer --tool memcheck "$build/basin_tests" '--source-file=*/test_adam.cpp' \
    '--test-case=*the first step is the rate*' 2>&1 |
    grep -iE 'not supported|not permitted|unable to|failed to|internal sanitizer error|no attachable' | head -1 | tr -cd 'A-Za-z0-9 .,:-' | sed 's/^ *//')
fi
for tool in memcheck racecheck; do
  if [ -n "$refusal" ]; then
    skip "$tool" "$refusal"
  elif [ $tool = memcheck ]; then
    check $tool checked $tool $(($(left) / 2))
  else
    check $tool checked $tool "$(left)"
  fi
done

# The build for the GTX 10 series, whose PTX the driver of a newer GPU translates. It may have been copied here, without
# cuDNN or from another folder; then tests that need that folder are left out.
pascal=$(find build/pascal -maxdepth 1 -name 'basin-*-sm61-linux-x86_64' 2>/dev/null | sort | tail -1)
if [ -x "$pascal/bin/basin_tests" ]; then
  command=("$PWD/$pascal/bin/basin_tests") title="tests of the GTX 10 build"
  if [ ! -f "$pascal/lib/libcudnn.so.9" ]; then
    command=(env "LD_LIBRARY_PATH=${CUDNN_ROOT:+$CUDNN_ROOT/lib:}/usr/local/cuda/lib64:${LD_LIBRARY_PATH:-}" "${command[@]}")
  fi
  if ! grep -qaF "$PWD/" "$pascal/bin/basin_tests"; then
    command+=("--source-file-exclude=$(grep -lE '(paths|command_support|evaluate_support|file_support)\.h' tests/*/test_*.cpp |
                                       sed 's,^tests,*,' | paste -sd,)")
    title+=" without those of the command"
  fi
  check "$title" "${command[@]}"
else
  skip "tests of the GTX 10 build" "./tools/scripts/build-pascal.sh has not made it here"
fi
finish
