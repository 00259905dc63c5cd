#!/usr/bin/env bash
# Installs the packages of the distribution (Debian 12 and 13, Ubuntu 24.04) that building Basin needs, or the given ones, as
# far as they are missing: ./tools/scripts/install-packages.sh [PACKAGE...]
set -euo pipefail

packages=("$@")
[ $# -gt 0 ] || packages=(g++ cmake ninja-build libdnnl-dev libtiff-dev libpng-dev libjpeg-dev zlib1g-dev
                          libzstd-dev libblosc-dev libpugixml-dev nlohmann-json3-dev libcli11-dev libfmt-dev doctest-dev)

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "install-packages: this system has no apt-get; install what these Debian packages contain: ${packages[*]}" >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing packages: ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "install-packages: run as root: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=15)
install=("${apt[@]}" install -y --no-install-recommends "${missing[@]}")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Slightly outdated package lists usually suffice: they are updated only if the installation fails.
"${install[@]}" >"$log" 2>&1 </dev/null ||
  { "${apt[@]}" update >"$log" 2>&1 </dev/null && "${install[@]}" >"$log" 2>&1 </dev/null; } ||
  { echo "install-packages: $(tail -1 "$log")" >&2; exit 1; }
