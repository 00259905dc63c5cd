#!/usr/bin/env bash
# Trains and segments on several ranks as a user would: tests/mpi.sh BASIN WORK
# BASIN: an executable built with BASIN_MPI. WORK: a folder that is emptied first.
set -euo pipefail
[ $# = 2 ] || { echo "usage: tests/mpi.sh BASIN WORK" >&2; exit 2; }
basin=$(realpath "$1")
rm -rf "$2"
mkdir -p "$2"
work=$(realpath "$2")

say() { echo "mpi: $*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

export OMP_WAIT_POLICY=passive OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
on() { # RANKS WORD...
  local ranks=$1
  shift
  mpirun -n "$ranks" --oversubscribe --bind-to none "$@"
}
train() { # WORD...: words that start the program, then `--` and its further options
  local start=()
  while [ "$1" != -- ]; do start+=("$1"); shift; done
  shift
  "${start[@]}" "$basin" train --data "$work/data" --val-fraction 0.2 --width 8 --crop 64 --save-every 2 --seed 5 \
    --threads 1 --device cpu --report-images 0 "$@"
}

"$basin" synth --kind nuclei --count 6 --size 96 --seed 1 --out "$work/data" >/dev/null
train env -- --steps 6 --batch 2 --accumulate 4 --out "$work/one" 2>"$work/one.log"
for ranks in 2 4; do
  train on $ranks -- --steps 6 --batch $((2 * ranks)) --accumulate $((4 / ranks)) --out "$work/$ranks" 2>"$work/$ranks.log"
  for file in last best last.state; do
    cmp "$work/one/$file.safetensors" "$work/$ranks/$file.safetensors" || fail "$ranks ranks give other bytes of $file"
  done
done
say "2 and 4 ranks give the bytes of one process"
[ "$(grep -c 'training on' "$work/4.log")" = 1 ] || fail "not only rank 0 writes messages"

# A killed rank ends the others.
train on 2 -- --batch 4 --accumulate 2 --steps 100000 --out "$work/killed" 2>"$work/killed.log" &
job=$!
until grep -qs '^2,' "$work/killed/metrics.csv"; do
  kill -0 "$job" 2>/dev/null || fail "the run to kill has ended: $(cat "$work/killed.log")"
  sleep 0.2
done
pkill -9 -n -f -- "--out $work/killed" || fail "no rank to kill"
if wait "$job"; then fail "a run with a killed rank ended well"; fi
grep -q 'rank' "$work/killed.log" || fail "no message names the killed rank"
pgrep -f -- "--out $work/killed" >/dev/null && fail "ranks are left running"
say "a killed rank ends the run"

# Segmentation: each image by one rank, with the files of one process.
segment() { # WORD...: words that start the program, then `--` and its further options
  local start=()
  while [ "$1" != -- ]; do start+=("$1"); shift; done
  shift
  "${start[@]}" "$basin" segment "$work/images" --recursive --model nuclei-fluo --threads 1 --device cpu \
    --save labels,table,zarr "$@"
}
files_of() { # FOLDER: checksums of its results
  (cd "$1" && find . -type f ! -name run.json -exec sha256sum {} + | sort -k 2)
}
"$basin" synth --kind nuclei --count 7 --size 96 --seed 2 --out "$work/images/a" >/dev/null
"$basin" synth --kind nuclei --count 3 --size 200 --seed 3 --out "$work/images/b" >/dev/null
find "$work/images" -name '*_masks.*' -delete
segment env -- --out "$work/segmented-one" >/dev/null 2>&1
for ranks in 2 3; do
  segment on $ranks -- --out "$work/segmented-$ranks" >"$work/segment-$ranks.out" 2>"$work/segment-$ranks.log"
  cmp <(files_of "$work/segmented-one") <(files_of "$work/segmented-$ranks") || fail "$ranks ranks give other results"
  [ "$(grep -c "_img.png: " "$work/segment-$ranks.out")" = 10 ] || fail "not each image is reported once: $(cat "$work/segment-$ranks.out")"
  grep -q '^10 images: ' "$work/segment-$ranks.out" || fail "no times of all images: $(cat "$work/segment-$ranks.out")"
done
segment on 2 -- --out "$work/segmented-2" --skip-existing 2>/dev/null | grep -q '10 images skipped' || fail "nothing is skipped"
cp "$work/images/a" "$work/images/c" -r
head -c 100 "$(find "$work/images/c" -name '*_img.png' | sort | head -1)" >"$work/images/c/cut.png"
if segment on 3 -- --out "$work/segmented-2" --skip-existing >/dev/null 2>"$work/cut.log"; then fail "a damaged image went unnoticed"; fi
grep -q 'c/cut.png: ' "$work/cut.log" || fail "no message names the damaged image: $(cat "$work/cut.log")"
grep -q 'cut.png' "$work/segmented-2/run.json" || fail "run.json does not list the damaged image"
if segment on 2 -- --out "$work/no" --shard 1/2 2>"$work/no.log"; then fail "ranks ran a shard"; fi
grep -q 'the ranks share the images already' "$work/no.log" || fail "$(cat "$work/no.log")"
say "2 and 3 ranks segment like one process"

# A killed rank ends the segmentation, and --skip-existing continues it.
"$basin" synth --kind nuclei --count 40 --size 160 --seed 4 --out "$work/images/d" >/dev/null
find "$work/images/d" -name '*_masks.*' -delete
rm "$work/images/c/cut.png"
segment env -- --out "$work/whole" >/dev/null 2>&1
: >"$work/halted.out"
segment on 2 -- --out "$work/halted" >"$work/halted.out" 2>"$work/halted.log" &
job=$!
until [ "$(grep -c ': ' "$work/halted.out")" -gt 5 ]; do
  kill -0 "$job" 2>/dev/null || fail "the run to kill has ended: $(cat "$work/halted.log")"
  sleep 0.05
done
pkill -9 -n -f -- "--out $work/halted" || fail "no rank to kill"
if wait "$job"; then fail "a segmentation with a killed rank ended well"; fi
segment on 3 -- --out "$work/halted" --skip-existing >"$work/halted.out" 2>&1
grep -q 'skipped because' "$work/halted.out" || fail "no finished image is kept: $(cat "$work/halted.out")"
cmp <(files_of "$work/whole") <(files_of "$work/halted") || fail "a continued segmentation gives other results"
say "a killed rank ends the segmentation, which continues with the same results"

# Bad input: one sentence, and an exit code that is not 0.
if train on 3 -- --steps 6 --batch 4 --out "$work/no" 2>"$work/no.log"; then fail "a batch of 4 was shared by 3 ranks"; fi
grep -q 'the 3 ranks share a batch equally; give a multiple of 3' "$work/no.log" || fail "$(cat "$work/no.log")"
if on 2 "$basin" synth --count 1 --out "$work/no" 2>"$work/no.log"; then fail "synth ran on ranks"; fi
grep -q 'synth: runs in one process, but was started as 2' "$work/no.log" || fail "$(cat "$work/no.log")"
say "passed"
