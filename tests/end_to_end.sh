#!/usr/bin/env bash
# Trains, kills, resumes, segments and evaluates as a user would: tests/end_to_end.sh BASIN WORK
# BASIN: the executable. WORK: a folder that is emptied first. Images: dsb2018-fluo/train in the folder named by
# BASIN_DATASETS, or in ../shared/datasets; synthetic images if neither exists.
set -euo pipefail
[ $# = 2 ] || { echo "usage: tests/end_to_end.sh BASIN WORK" >&2; exit 2; }
basin=$(realpath "$1")
rm -rf "$2"
mkdir -p "$2"
work=$(realpath "$2")
root=$(realpath "$(dirname "$0")/..")

say() { echo "end to end: $*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

# Ten of the small real images for training; two more and a large one for validation and testing.
real=${BASIN_DATASETS:-$root/../shared/datasets}/dsb2018-fluo/train
mkdir -p "$work/train" "$work/test"
if [ -d "$real" ]; then
  say "real images from $real"
  mapfile -t images < <(find "$real" -name '*_img.png' -printf '%s %p\n' | sort -n | cut -d ' ' -f 2-)
  [ ${#images[@]} -ge 100 ] || fail "$real holds too few images"
  pick() { # FOLDER NUMBER...
    local folder=$1 i
    for i in "${@:2}"; do cp "${images[i]}" "${images[i]%_img.png}_masks.png" "$folder/"; done
  }
  pick "$work/train" 0 7 14 21 28 35 42 49 56 63
  pick "$work/test" 70 77 -1
else
  [ -z "${BASIN_DATASETS:-}" ] || fail "BASIN_DATASETS is $BASIN_DATASETS, but there is no $real"
  say "SYNTHETIC images stand in for real ones: there is no $real"
  "$basin" synth --kind nuclei --count 10 --size 160 --seed 1 --out "$work/train"
  "$basin" synth --kind nuclei --count 3 --size 160 --seed 2 --out "$work/test"
fi
n_test=$(find "$work/test" -name '*_masks.png' | wc -l)

# On a busy machine a thread that spins while waiting can keep the thread that it waits for from running.
export OMP_WAIT_POLICY=passive
steps=12
options_of() { # MODEL: small networks of the other methods
  case $1 in
    vf-h1) echo --width 16 --crop 64 ;;
    og) echo --set width=2 --crop 64 --augment flip ;;
    *) echo --width 8 --crop 64 ;;
  esac
}
train() { # OUT MODEL [MORE...]: replaces its shell, so that killing the shell's process kills the program itself
  local out=$1 model=$2
  shift 2
  # shellcheck disable=SC2046  # splits the options into words on purpose
  exec "$basin" train --data "$work/train" --val-fraction 0.2 --model "$model" $(options_of "$model") --batch 2 \
    --steps $steps --save-every 4 --seed 5 --threads 2 --device cpu --out "$out" "$@"
}
state_of() { { cksum <"$1/last.state.safetensors"; } 2>/dev/null || echo none; }

# A run that is killed after its first state (which precedes any step), resumed, killed after its next state, and so on
# until a resumed run reaches the end, leaves the same bytes as an uninterrupted run.
kill_and_resume() { # MODEL KILLS UNBROKEN BROKEN
  local model=$1 wanted=$2 unbroken=$3 broken=$4 kills=0 resume=() before pid code file leftovers
  say "$model: an unbroken run of $steps steps"
  (train "$unbroken" "$model") >"$unbroken.log" 2>&1 || { cat "$unbroken.log"; fail "training failed"; }
  for file in last.safetensors last.state.safetensors best.safetensors metrics.csv run.json; do
    [ -s "$unbroken/$file" ] || fail "training left no $file"
  done
  say "$model: the same run, killed $wanted times and resumed"
  while [ $kills -lt "$wanted" ]; do
    before=$(state_of "$broken")
    train "$broken" "$model" "${resume[@]}" >"$broken.$kills.log" 2>&1 &
    pid=$!
    while kill -0 $pid 2>/dev/null && [ "$(state_of "$broken")" = "$before" ]; do sleep 0.02; done
    kill -KILL $pid 2>/dev/null || true
    code=0
    wait $pid 2>/dev/null || code=$?
    [ $code = 137 ] || { cat "$broken.$kills.log"; fail "the run to be killed ended by itself with code $code"; }
    kills=$((kills + 1))
    resume=(--resume)
  done
  ! cmp -s "$broken/last.state.safetensors" "$unbroken/last.state.safetensors" ||
    fail "the killed run had reached the end: nothing was resumed"
  (train "$broken" "$model" --resume) >"$broken.log" 2>&1 || { cat "$broken.log"; fail "resuming failed"; }
  for file in last.safetensors last.state.safetensors best.safetensors; do
    cmp "$unbroken/$file" "$broken/$file" || fail "$file of the resumed run differs from the unbroken one's"
  done
  leftovers=$(find "$broken" -type f ! -name '*.safetensors' ! -name metrics.csv ! -name report.html ! -name run.json)
  [ -z "$leftovers" ] || fail "a killed run left $leftovers behind after it was resumed"
}

kill_and_resume vf-h1 3 "$work/unbroken" "$work/broken"
for model in vf-h2 es wn fc og; do
  kill_and_resume $model 2 "$work/unbroken-$model" "$work/broken-$model"
done

say "refusals"
if (train "$work/unbroken" vf-h1) >"$work/refused.log" 2>&1; then fail "a folder with a run in it was trained into without --resume"; fi
if (train "$work/unbroken" vf-h1 --resume --lr 0.5) >"$work/refused.log" 2>&1; then fail "--resume took another --lr"; fi
grep -q 'lr' "$work/refused.log" || fail "the refusal does not name --lr: $(cat "$work/refused.log")"
head -c 5000 "$work/unbroken/last.safetensors" >"$work/cut.safetensors"
if "$basin" segment "$work/test" --model "$work/cut.safetensors" --out "$work/never" >"$work/refused.log" 2>&1; then
  fail "a truncated model was taken"
fi
grep -q 'cut.safetensors' "$work/refused.log" || fail "the refusal does not name the file: $(cat "$work/refused.log")"

say "segmentation and scores"
for run in unbroken broken; do
  "$basin" segment "$work/test" --model "$work/$run/best.safetensors" --out "$work/$run.out" --save labels,overlay \
    --threads 2 --device cpu >"$work/$run.segment.log" 2>&1 || { cat "$work/$run.segment.log"; fail "segmenting failed"; }
done
n_out=$(find "$work/unbroken.out" -name '*_masks.*' | wc -l)
[ "$n_out" = "$n_test" ] || fail "$n_test images gave $n_out label images"
for file in "$work"/unbroken.out/*_masks.*; do
  cmp "$file" "$work/broken.out/${file##*/}" || fail "two equal models segment differently"
done
"$basin" evaluate --pred "$work/unbroken.out" --truth "$work/test" --json "$work/scores.json" >"$work/scores.txt" ||
  fail "evaluating failed"
grep AP50 "$work/scores.txt" || fail "evaluate printed no AP50"
[ -s "$work/scores.json" ] || fail "evaluate wrote no scores"
"$basin" evaluate --pred "$work/test" --truth "$work/test" --json "$work/perfect.json" >"$work/perfect.txt" ||
  fail "evaluating failed"
grep '^AP50 ' "$work/perfect.txt" | grep -q ' 1\.0000' || fail "the truth scores less than 1 against itself: $(cat "$work/perfect.txt")"
say "passed"
