#!/usr/bin/env bash
# From a bare Debian 12, 13 or Ubuntu 24.04 to segmented images on the CPU: ./tools/quickstart.sh
# Installs the packages it needs, builds, draws a small data set of bacteria, trains a small network for about a minute
# on two cores, segments images that the network has not seen, scores them and shows the results on one page. All output is in
# build/ and quickstart/.
set -euo pipefail
cd "$(dirname "$0")/.."
began=$SECONDS
step() { printf '\n== %s\n' "$*"; }
run() { printf '+ %s\n' "$*"; "$@"; }

step "packages"
tools/scripts/install-packages.sh
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
run $basin segment quickstart/test --model quickstart/model/best.safetensors --out quickstart/segmented --save labels,overlay |
  tee quickstart/segment.txt
# "8 images: read 0.02 s, network 1.10 s, ..." as --time segmenting:read=0.02 ...
mapfile -t times < <(tail -1 quickstart/segment.txt | grep -oE '[a-z]+ [0-9.]+ s' | sed -E 's/(.*) (.*) s/--time=segmenting: \1=\2/')

step "score them against the truth"
run $basin evaluate --pred quickstart/segmented --truth quickstart/test --json quickstart/scores.json >quickstart/scores.txt
grep -E '^(AP50|AP75|AP90|\|?DiC\|?) ' quickstart/scores.txt

images=(quickstart/test) predictions=(--pred quickstart/segmented) truths=(--truth quickstart/test)
for kind_model in bacteria:bacteria nuclei:nuclei-fluo; do
  kind=${kind_model%:*} model=${kind_model#*:}
  step "segment the sample images of $kind with the shipped model"
  mkdir -p "quickstart/samples/$kind"
  cp data/samples/"$kind"_* "quickstart/samples/$kind/"
  run $basin segment "quickstart/samples/$kind" --model "$model" --out "quickstart/samples/$kind.out" --save labels,overlay
  images+=("quickstart/samples/$kind") predictions+=(--pred "quickstart/samples/$kind.out") truths+=(--truth "quickstart/samples/$kind")
done

step "show them on a page"
run $basin report "${images[@]}" "${predictions[@]}" "${truths[@]}" --out quickstart/index.html \
  --title "Quickstart: synthetic images" --time "training=$training" "${times[@]}"

run $basin view quickstart/segmented >/dev/null

printf '\ntrained in %d s; ' "$training"
tail -1 quickstart/segment.txt
printf 'finished in %d s: open quickstart/index.html\n' $((SECONDS - began))
printf '%s\n' 'to look through the objects of each image, open quickstart/segmented/view/index.html, which `basin view` made'
