#!/usr/bin/env bash
# Counts the PTX instructions of the innermost loops of the feature-map kernels for sm_61: ./tools/scripts/count-ptx.sh [FILE...]
# A line is: the instructions of the loop, those that divide, read and write memory, the elements that one turn of the
# loop works on, the instructions for an element, and the kernel. Where a loop contains branches, both sides count. A division by a number that is not known to the compiler is one instruction here, and 20 to 100 of the
# machine. Needs what tools/scripts/pascal-toolkit.sh brings; exits with 3 if it is not available.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/scripts/pascal-toolkit.sh kernels
home=build/pascal
[ $# -gt 0 ] || set -- kernels/nn/{batch_norm,resample,dropout,pointwise}.cu
mkdir -p "$home/ptx"
for file in "$@"; do
  ptx=$home/ptx/$(basename "$file" .cu).ptx
  "$home/clang++" -x cuda --cuda-device-only -S --cuda-gpu-arch=sm_61 "--cuda-path=$home/toolkit" -isystem "$home/toolkit/include" \
    -Wno-unknown-cuda-version -DBASIN_EXPECTED_CUDART=12040 -std=c++20 -O3 -ffp-contract=off -DBASIN_CUDA=1 -I. "$file" -o "$ptx"
  python3 - "$ptx" <<'END'
import re, subprocess, sys

# clang annotates each block with its loop, and marks the innermost loops.
for name, body in re.findall(r"\.entry (\w+)\((.*?)\n}\n", open(sys.argv[1]).read(), re.S):
    blocks, inner = [], set()  # of a block: the header of its loop, its instructions
    for line in body.split("\n"):
        if m := re.match(r"(?:\$L__|// %)(BB\w+|bb\.\w+):", line):
            blocks.append([None, []])
            label = m[1]
        if not blocks:
            continue
        if m := re.search(r"in Loop: Header=(\w+)", line):
            blocks[-1][0] = m[1]
        if "This Inner Loop Header" in line:
            blocks[-1][0] = label
            inner.add(label)
        if m := re.match(r"\s+((?:@\S+\s+)?[a-z][\w.]*.*);", line):
            blocks[-1][1].append(m[1])
    rows = []
    for header in inner:
        code = [c for loop, block in blocks if loop == header for c in block]
        stores = [c for c in code if "st.global" in c]
        loads = [c for c in code if "ld.global" in c]
        if loads or stores:
            divisions = sum("div." in c or "rem." in c for c in code)
            rows.append((len(loads), len(code), divisions, len(stores)))
    if not rows:
        continue
    demangled = subprocess.run(["c++filt", name], capture_output=True, text=True).stdout.strip()
    demangled = re.sub(r"\(anonymous namespace\)::|basin::|kernels::|detail::|^void ", "", demangled)
    demangled = re.sub(r">\((?!.*>\().*$", ">", demangled)
    loads, count, divisions, stores = max(rows)
    at_once = 4 if re.match(r"tuned::(feature_(planes|lanes)|flat_packs|sum_features_kernel<\d+, true)", demangled) else 1
    print(f"{count:5} {divisions:3} {loads:3} {stores:3} {at_once:2} {count / at_once:6.1f}  {demangled}")
END
done
