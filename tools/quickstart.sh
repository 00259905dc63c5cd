#!/usr/bin/env bash
# From a bare Debian 12, 13 or Ubuntu 24.04 to segmented images on the CPU: ./tools/quickstart.sh
# Installs the packages it needs, builds, draws a small data set of bacteria, trains a small network for about a minute
# on two cores, segments images it has not seen, scores them and shows all on one page. All it makes lies in build/ and
# quickstart/.
set -euo pipefail
cd "$(dirname "$0")/.."
began=$SECONDS
step() { printf '\n== %s\n' "$*"; }
run() { printf '+ %s\n' "$*"; "$@"; }

step "packages"
tools/install-packages.sh
echo "all there"

step "build"
rm -rf quickstart
mkdir quickstart
{ cmake --preset cpu && cmake --build --preset cpu --target basin -j "$(nproc)"; } >quickstart/build.log 2>&1 ||
  { tail -30 quickstart/build.log; exit 1; }
basin=build/cpu/basin
run $basin doctor

step "synthetic bacteria: images to train on, and others to test on"
run $basin synth --kind bacteria --count 64 --size 192 --seed 1 --out quickstart/train
run $basin synth --kind bacteria --count 8 --size 256 --seed 2 --out quickstart/test

step "train a small network"
training=$SECONDS
run $basin train --data quickstart/train --model vf-h1 --width 16 --crop 128 --batch 4 --steps 300 --lr 0.002 \
  --schedule cosine --save-every 100 --out quickstart/model
training=$((SECONDS - training))

step "segment the images it has not seen"
segmenting=$SECONDS
run $basin segment quickstart/test --model quickstart/model/best.safetensors --out quickstart/segmented --save labels,overlay
segmenting=$((SECONDS - segmenting))

step "score them against the truth"
run $basin evaluate --pred quickstart/segmented --truth quickstart/test --json quickstart/scores.json >quickstart/scores.txt
grep -E '^(AP50|AP75|AP90|\|?DiC\|?) ' quickstart/scores.txt

step "show them on a page"
run $basin report quickstart/test --pred quickstart/segmented --truth quickstart/test --out quickstart/index.html \
  --title "Quickstart: synthetic bacteria" --time "training=$training" --time "segmenting=$segmenting"

printf '\nfinished in %d s: open quickstart/index.html\n' $((SECONDS - began))
