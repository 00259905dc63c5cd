#!/usr/bin/env bash
# Fuzzes the readers of files: ./tests/fuzz/run.sh [SECONDS [READER...]]; `available` only checks whether that is possible.
# Each reader (see fuzz_readers.cpp; default: all) gets damaged copies of the files in tests/samples and tests/fuzz/corpus for
# SECONDS seconds (default 10), under the address and undefined-behaviour sanitizers. An input that a reader fails on is left in
# build/fuzz/READER-crash-...; add it to the corpus when the fault is fixed. Exits with 3 if clang++ or libFuzzer is missing
# (Debian: clang, libclang-rt-14-dev or newer).
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-10}
shift || true
readers=("$@")
[ $# -gt 0 ] || readers=(tiff png jpeg bmp npy safetensors csv description json run zarr foreign)
home=build/fuzz
mkdir -p "$home"

clang=$(command -v clang++ || true)
if [ -z "$clang" ] || ! echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    "$clang" -fsanitize=fuzzer -x c++ - -o "$home/probe" 2>/dev/null; then
  echo "fuzz: no clang++ with libFuzzer here"
  exit 3
fi

[ "$seconds" != available ] || exit 0

flags=(-std=c++20 -O1 -g1 -I. -DBASIN_CUDA=0 -DBASIN_NO_ISA -ffp-contract=off -fsanitize=fuzzer-no-link,address,undefined
       -fno-sanitize-recover=all -Wno-deprecated-declarations)
export clang home
# The files of a room are compiled at once, because most of the time is spent on headers.
rm -f "$home"/*.cpp "$home"/*.o
include() { # ROOM FILE...
  printf '#include "%s"\n' "${@:2}" >"$home/$1.cpp"
}
include arrays data/arrays/*.cpp
include files data/files/*.cpp
include readers tests/fuzz/fuzz_readers.cpp engine/files.cpp engine/json.cpp engine/safetensors.cpp tools/results/run_record.cpp
compile() { # ROOM FLAG...
  "$clang" "${@:2}" -c "$home/$1.cpp" -o "$home/$1.o"
}
export -f compile
printf '%s\n' files readers arrays | xargs -P "$(nproc)" -I{} bash -c 'compile "$@"' _ {} "${flags[@]}"
objects=("$home"/{arrays,files,readers}.o)
"$clang" -fsanitize=fuzzer,address,undefined "${objects[@]}" -o "$home/fuzz_readers" \
  -ltiff -lpng -ljpeg -lz -lzstd -lblosc -lpugixml -lfmt

seeds_of() { # READER
  case $1 in
    tiff) ls tests/samples/*.tif ;;
    png) ls tests/samples/*.png ;;
    jpeg) ls tests/samples/*.jpg ;;
    bmp) ls tests/samples/*.bmp ;;
  esac
  ls tests/fuzz/corpus/"$1"/* 2>/dev/null || true
}
export -f seeds_of
fuzz() { # READER SECONDS
  local work=$home/$1 log=$home/$1.log
  rm -rf "$work"
  mkdir -p "$work"
  seeds_of "$1" | xargs -I{} cp {} "$work"
  # The sanitizers need memory in addition to the reader's: a file may announce 40,000 times its size.
  if BASIN_FUZZ=$1 ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 "$home/fuzz_readers" "$work" -max_total_time="$2" \
       -max_len=65536 -timeout=20 -rss_limit_mb=4096 -seed=1 -artifact_prefix="$home/$1-" >"$log" 2>&1; then
    echo "fuzz: $1: $(grep -c . <<<"$(ls "$work")") inputs kept, $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log") runs"
  else
    echo "fuzz: $1 FAILED, see $log:"
    grep -E "ERROR|runtime error|does not begin|SUMMARY|Test unit written|terminate|what\(\)" "$log" | head -8
    return 1
  fi
}
export -f fuzz
trap 'rm -rf /dev/shm/basin-fuzz-*' EXIT
printf '%s\n' "${readers[@]}" | xargs -P "$(nproc)" -I{} bash -c 'fuzz "$1" "$2"' _ {} "$seconds"
