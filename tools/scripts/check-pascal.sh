#!/usr/bin/env bash
# Compiles every kernel for the GTX 10 series (sm_61) and reports the resources that each needs: ./tools/scripts/check-pascal.sh
# Writes build/pascal/registers.txt: registers, stack, spills and shared memory of each kernel, and how many of the 64 warps
# of a multiprocessor fit. Fails if a file does not compile, or if a kernel that must not spill does. Needs no GPU and no CUDA
# toolkit; exits with 3 if the packages of tools/scripts/pascal-toolkit.sh are not available.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/scripts/pascal-toolkit.sh kernels
home=build/pascal

# Kernels that may spill, each with its reason:
#   The scatter of CUB's radix sort: the library chooses how many keys a thread has. It is one of seven kernels that sort
#   points, cells and labels, once or twice per image. No training step sorts.
may_spill='cub::DeviceRadixSortDownsweepKernel<'

# Files that launch no kernels. Any other file without a kernel was not checked.
no_kernels="conv_plan_cudnn.cu sort.cu"

# One file needs cuDNN's headers. Their package is 700 MB, because it contains the libraries, so it is not fetched for this
# check, which uses headers that are already installed.
headers=$home/check/cudnn
rm -rf "$home/check"
mkdir -p "$headers"
for folder in "$home/unpacked/nvidia/cudnn/include" ${CUDNN_ROOT:+"$CUDNN_ROOT/include"} /usr/local/cuda/include \
              /usr/include/x86_64-linux-gnu /usr/include; do
  [ -f "$folder/cudnn.h" ] || continue
  cp -L "$folder"/cudnn*.h "$headers"
  break
done
files=()
for file in kernels/*/*.cu; do
  if [ ! -f "$headers/cudnn.h" ] && grep -q '<cudnn.h>' "$file"; then
    echo "not checked: $file, because it needs cuDNN's headers, which tools/scripts/build-pascal.sh fetches"
  else
    files+=("$file")
  fi
done

# clang searches /usr/local/include before the toolkit of --cuda-path, and another toolkit's headers may be there.
export home headers
compile() { # FILE
  local to
  to=$home/check/$(basename "$1" .cu)
  "$home/clang++" -x cuda --cuda-device-only -c --cuda-gpu-arch=sm_61 "--cuda-path=$home/toolkit" -isystem "$home/toolkit/include" \
    -Wno-unknown-cuda-version -DBASIN_EXPECTED_CUDART=12040 -std=c++20 -O3 -ffp-contract=off -Wall -Wextra -Werror -DBASIN_CUDA=1 -I. -isystem "$headers" -Xcuda-ptxas -v \
    "$1" -o "$to.cubin" >"$to.log" 2>&1 && return
  echo "check-pascal: $1 does not compile for sm_61:"
  cat "$to.log"
  return 1
}
export -f compile
began=$SECONDS
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -I{} bash -c 'compile {}' >&2

# ptxas describes a function in three lines and a kernel in four: its name, its stack and spills, its registers and shared
# memory. The number of warps is computed for our own kernels only, which have blocks of 256 threads. Each quarter of a
# multiprocessor has a quarter of its 65,536 registers and of its warps, and gives registers to a warp in units of 256. Shared
# memory is 96 KB.
for log in "$home"/check/*.log; do
  awk -v file="$(basename "$log" .log).cu" '
    /Compiling entry function/ { split($0, quoted, "\047"); kernel = quoted[2] }
    /Function properties for/ { name = $NF }
    /bytes stack frame/ { stack[name] = $1; stores[name] = $5; loads[name] = $9; if (name != kernel) print_row(name, "-", 0) }
    /Used [0-9]+ registers/ {
      used = shared = 0
      for (i = 1; i < NF; ++i) {
        if ($i == "Used") used = $(i + 1)
        if ($(i + 2) ~ /^smem/) shared = $i
      }
      print_row(kernel, used, shared)
    }
    function print_row(name, used, shared, warps, most) {
      warps = "-"
      if (name ~ /^_ZN5basin([0-9]+for_each|5tuned)/) {
        warps = int(int(16384 / (int((used * 32 + 255) / 256) * 256)) * 4 / 8) * 8
        most = shared ? int(98304 / shared) * 8 : 64
        if (warps > most) warps = most
        if (warps > 64) warps = 64
      }
      print used, stack[name], stores[name], loads[name], shared, warps, file, name
    }' "$log"
done | c++filt | sed -E 's/CUB_[0-9]+[A-Z_]*_NS:://g; s/\(anonymous namespace\):://g; s/basin::(kernels::|detail::)?//g
    s/^(([^ ]+ ){7})void /\1/; s/>\(.*\)$/>/; s/for_each(_row)?_kernel<(.*)>$/\2/' | sort -u | sort -k1,1nr -k8 >"$home/check/rows"
{
  echo "registers stack spill-stores spill-loads shared warps file kernel"
  cat "$home/check/rows"
} | while read -r registers stack stores loads shared warps file kernel; do
  printf '%9s %6s %12s %11s %7s %5s  %-18s %s\n' "$registers" "$stack" "$stores" "$loads" "$shared" "$warps" "$file" "$kernel"
done >"$home/registers.txt"

awk '$1 != "-" { ++kernels; if ($2) ++stacks; if ($1 > most) most = $1 }
     $3 + $4 { ++spilling }
     END { printf "%d kernels; at most %d registers; %d keep arrays in local memory; %d spill\n", kernels, most, stacks, spilling }' \
  "$home/check/rows"
head -6 "$home/registers.txt" | cut -c1-160
bad=$(awk '$3 + $4' "$home/check/rows" | cut -d' ' -f3,4,7- | grep -vE "^[0-9]+ [0-9]+ [^ ]+ $may_spill" || true)
echo "$((SECONDS - began)) s; all kernels are in $home/registers.txt"

[ -s "$home/check/rows" ] || { echo "check-pascal: not one kernel was found" >&2; exit 1; }
for file in "${files[@]}"; do
  case " $no_kernels " in *" $(basename "$file") "*) continue ;; esac
  awk -v file="$(basename "$file")" '$7 == file { found = 1 } END { exit !found }' "$home/check/rows" ||
    { echo "check-pascal: no kernel was found in $file" >&2; exit 1; }
done
[ -z "$bad" ] || { sed -E 's/^([0-9]+) ([0-9]+) ([^ ]+) (.*)/check-pascal: \3: \4 spills: \1 bytes stored, \2 loaded/' <<<"$bad" >&2; exit 1; }
