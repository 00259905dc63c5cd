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

# Synthetic images: the same files as one process.
for ranks in 1 3; do
  on $ranks "$basin" synth --kind colony --count 7 --size 64 --seed 8 --threads 1 --out "$work/synth-$ranks" >"$work/synth-$ranks.out"
done
cmp <(files_of "$work/synth-1") <(files_of "$work/synth-3") || fail "3 ranks make other images"
cmp <(sed 's/ in .*//' "$work/synth-1.out") <(sed 's/ in .*//' "$work/synth-3.out") || fail "3 ranks count other objects"
say "3 ranks make the images of one process"

# Scoring: the same numbers as one process.
"$basin" synth --kind nuclei --count 9 --size 128 --seed 7 --out "$work/scored" >/dev/null
"$basin" segment "$work/scored" --model nuclei-fluo --threads 2 --device cpu --out "$work/predicted" --save labels >/dev/null 2>&1
score() { "$@" "$basin" evaluate --pred "$work/predicted" --truth "$work/scored" --threads 1; }
score env >"$work/score-one.out"
for ranks in 2 3; do
  score on $ranks >"$work/score.out" 2>"$work/score.log" || fail "$(cat "$work/score.log")"
  cmp "$work/score-one.out" "$work/score.out" || fail "$ranks ranks score differently"
done
rm "$(find "$work/predicted" -name '*_masks.png' | head -1)"
if score on 2 >/dev/null 2>"$work/score.log"; then fail "a missing prediction went unnoticed"; fi
say "2 and 3 ranks score like one process"

# One large image: all ranks share its tiles and blocks.
python3 - "$work/large.tif" <<'END' || fail "no image"
import random, struct, sys
side, drawn = 1500, random.Random(1)
pixels = bytearray(drawn.randrange(8) for _ in range(side * side))
for _ in range(4000):  # disks, many of which touch
    y, x, r, v = drawn.randrange(side), drawn.randrange(side), drawn.randrange(5, 14), drawn.randrange(60, 240)
    for i in range(max(0, y - r), min(side, y + r)):
        for j in range(max(0, x - r), min(side, x + r)):
            if (i - y) ** 2 + (j - x) ** 2 < r * r: pixels[i * side + j] = v
rows = 20  # of a strip; side is a multiple of it
strips = side // rows
tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1), (278, 4, 1, rows)]
lists = 8 + side * side
tags += [(273, 4, strips, lists), (279, 4, strips, lists + 4 * strips)]
tags.sort()
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<2sHI", b"II", 42, lists + 8 * strips) + pixels)
    f.write(struct.pack(f"<{strips}I", *(8 + k * rows * side for k in range(strips))))
    f.write(struct.pack(f"<{strips}I", *([rows * side] * strips)))
    f.write(struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags) + struct.pack("<I", 0))
END
large() { # WORD...: words that start the program, then `--` and its further options
  local start=()
  while [ "$1" != -- ]; do start+=("$1"); shift; done
  shift
  "${start[@]}" "$basin" segment "$work/large.tif" --model nuclei-fluo --scale 1 --threads 1 --device cpu \
    --tiling exact --tile 256 --save labels,csv --tiff "$@"
}
same_as_one() { # FOLDER
  for file in large_masks.tif large_objects.csv; do
    cmp "$work/large-one/$file" "$1/$file" || fail "$1 has another $file than one process"
  done
}
large env -- --max-memory 170M --out "$work/large-one" >"$work/large.out" 2>&1 || fail "$(cat "$work/large.out")"
for ranks in 2 3 4 7; do
  for memory in 170M 180M 250M; do
    rm -rf "$work/large-on"
    large on $ranks -- --max-memory $memory --out "$work/large-on" >"$work/large.out" 2>"$work/large.log" ||
      fail "$ranks ranks with $memory: $(cat "$work/large.log")"
    grep -q "are shared by $ranks ranks" "$work/large.log" || fail "the image is not shared: $(cat "$work/large.log")"
    [ "$(grep -c 'large.tif: ' "$work/large.out")" = 1 ] || fail "not reported once: $(cat "$work/large.out")"
    same_as_one "$work/large-on"
  done
done
say "2, 3, 4 and 7 ranks segment one image together, to the bytes of one process"

# Killed at random moments, a run ends with a sentence that names the rank, and a later one continues it.
kill_at_random() { # MARK COMMAND WORD...: kills one of the ranks with MARK in their command line after up to 6 s
  local mark=$1
  shift
  "$@" >"$work/kill.out" 2>&1 &
  local job=$! begin of_ranks
  sleep "$((RANDOM % 6)).$((RANDOM % 10))"
  mapfile -t of_ranks < <(pgrep -f -- "^$basin .*$mark")
  if [ ${#of_ranks[@]} -gt 0 ]; then kill -9 "${of_ranks[RANDOM % ${#of_ranks[@]}]}" 2>/dev/null || true; fi
  begin=$SECONDS
  if wait "$job"; then return 1; fi  # it had ended before
  [ $((SECONDS - begin)) -lt 60 ] || fail "the job took $((SECONDS - begin)) s to end"
  grep -q 'rank' "$work/kill.out" || fail "no sentence names the killed rank: $(cat "$work/kill.out")"
  pgrep -f -- "^$basin .*$mark" >/dev/null && fail "ranks are left running"
  return 0
}
killed=0 continued=0
for _ in $(seq "${BASIN_MPI_KILLS:-2}"); do
  out=$work/large-killed
  rm -rf "$out"
  for _ in 1 2; do
    kill_at_random "--out $out" large on $((RANDOM % 3 + 2)) -- --max-memory 170M --out "$out" --resume || break
    killed=$((killed + 1))
  done
  large on 2 -- --max-memory 170M --out "$out" --resume >"$work/kill.out" 2>&1 || fail "$(cat "$work/kill.out")"
  if grep -q 'continues after' "$work/kill.out"; then continued=$((continued + 1)); fi
  same_as_one "$out"
done
[ "$killed" -gt 0 ] || fail "every run ended before it was killed"
say "killed $killed times while segmenting one image, $continued runs continued: the same bytes"
killed=0 continued=0
train env -- --steps 150 --batch 2 --accumulate 2 --out "$work/train-one" 2>"$work/one.log"
for _ in $(seq "${BASIN_MPI_KILLS:-2}"); do
  out=$work/train-killed
  rm -rf "$out"
  for _ in 1 2; do
    kill_at_random "--out $out" train on 2 -- --steps 150 --batch 4 --out "$out" --resume || break
    killed=$((killed + 1))
  done
  train on 2 -- --steps 150 --batch 4 --out "$out" --resume >"$work/kill.out" 2>&1 || fail "$(cat "$work/kill.out")"
  if grep -q 'continues after' "$work/kill.out"; then continued=$((continued + 1)); fi
  for file in last last.state; do
    cmp "$work/train-one/$file.safetensors" "$out/$file.safetensors" || fail "a continued training gives another $file"
  done
done
[ "$killed" -gt 0 ] || fail "every training ended before it was killed"
say "killed $killed times while training, $continued runs continued: the same bytes"

# Bad input: one sentence, and an exit code that is not 0.
if train on 3 -- --steps 6 --batch 4 --out "$work/no" 2>"$work/no.log"; then fail "a batch of 4 was shared by 3 ranks"; fi
grep -q 'the 3 ranks share a batch equally; give a multiple of 3' "$work/no.log" || fail "$(cat "$work/no.log")"
if on 2 "$basin" check-data "$work/data" 2>"$work/no.log"; then fail "check-data ran on ranks"; fi
grep -q 'check-data: runs in one process, but was started as 2' "$work/no.log" || fail "$(cat "$work/no.log")"
say "passed"
