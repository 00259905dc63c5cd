#!/usr/bin/env bash
# Installs a build, runs it, moves the installed tree and runs it again; does the same with the packages that cpack makes.
#   tests/installation.sh BUILD_FOLDER WORK_FOLDER
# WORK_FOLDER is removed first.
set -euo pipefail
export LC_ALL=C
build=$(realpath "$1") work=$(realpath -m "$2")
tests=$(dirname "$(realpath "$0")")
samples=$tests/../data/samples
unset BASIN_MODELS
rm -rf "$work"
mkdir -p "$work"

fail() {
  echo "installation: $*" >&2
  exit 1
}

try() { # PREFIX: everything is there and works
  local prefix=$1 file
  "$prefix/bin/basin" --version | grep -q '^libraries ' || fail "$prefix: --version"
  "$prefix/bin/basin" models | grep -qF "$prefix/share/basin/models/nuclei-fluo.safetensors" ||
    fail "$prefix: models are not found beside the program"
  "$prefix/bin/basin" segment "$samples/nuclei_000_img.png" --model nuclei-fluo --scale 0.25 --device cpu \
    --out "$work/segmented" >"$work/errors" 2>&1 || fail "$prefix: segment: $(cat "$work/errors")"
  [ -s "$work/segmented/nuclei_000_masks.png" ] || fail "$prefix: segment wrote no labels"
  rm -rf "$work/segmented"
  for file in man/man1/basin.1 man/man1/basin-train.1 doc/basin/copyright zsh/site-functions/_basin; do
    [ -s "$prefix/share/$file" ] || fail "$prefix/share/$file is missing"
  done
  if command -v cc >/dev/null; then
    cc -std=c99 -pthread "$tests/tools/library.c" -I "$prefix/include" -L "$prefix/lib" "-Wl,-rpath,$prefix/lib" -lbasin -lm -o "$work/library"
    "$work/library" nuclei-fluo >"$work/errors" || fail "$prefix: the library: $(cat "$work/errors")"
  fi
  candidates=$(bash -c '. "$1"; COMP_WORDS=(basin check); COMP_CWORD=1; _basin; echo "${COMPREPLY[@]}"' - \
    "$prefix/share/bash-completion/completions/basin")
  [ "$candidates" = check-data ] || fail "$prefix: bash completes 'check' as '$candidates'"
  if command -v mandoc >/dev/null; then
    complaints=$(mandoc -Tlint -W warning "$prefix"/share/man/man1/*.1 | grep -v 'missing date' || true)
    [ -z "$complaints" ] || fail "$prefix: mandoc: $complaints"
  elif command -v man >/dev/null; then
    [ -z "$(man --warnings -l "$prefix/share/man/man1/basin-train.1" 2>&1 >/dev/null)" ] || fail "$prefix: man has complaints"
  fi
  if command -v zsh >/dev/null; then
    zsh -n "$prefix/share/zsh/site-functions/_basin" || fail "$prefix: zsh cannot read its completion"
  fi
}

cmake --install "$build" --prefix "$work/first" >/dev/null
try "$work/first"
mv "$work/first" "$work/moved"
try "$work/moved"

generators=TGZ
if command -v dpkg-shlibdeps >/dev/null && grep -q 'CPACK_GENERATOR.*DEB' "$build/CPackConfig.cmake"; then
  generators='TGZ;DEB'
fi
(cd "$work" && cpack --config "$build/CPackConfig.cmake" -G "$generators" -B "$work/packages" >cpack.log) ||
  fail "cpack: $(cat "$work/cpack.log")"
mkdir "$work/tar"
tar -xzf "$work"/packages/*.tar.gz -C "$work/tar"
try "$(echo "$work"/tar/basin-*)"
if [ "$generators" != TGZ ]; then
  deb=$(echo "$work"/packages/*.deb)
  dpkg-deb -x "$deb" "$work/deb"
  try "$work/deb/usr"
  dpkg-deb -f "$deb" Depends | grep -q libdnnl || fail "the Debian package does not depend on oneDNN"
fi
echo "installation: everything works from an installed tree, a moved one, and from the packages"
