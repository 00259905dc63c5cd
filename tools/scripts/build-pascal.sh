#!/usr/bin/env bash
# Builds Basin for the GTX 10 series (compute capability 6.1), on a machine with or without a GPU and without any CUDA
# toolkit, and packs it with everything it needs except the driver: ./tools/scripts/build-pascal.sh
# The result is build/pascal/basin-VERSION-sm61-linux-x86_64.tar.gz. It holds machine code for sm_61, and PTX that the
# driver of a newer GPU translates. Fetches 1.2 GB the first time (tools/scripts/pascal-toolkit.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/scripts/install-packages.sh
tools/scripts/pascal-toolkit.sh program

home=$PWD/build/pascal
packages=$home/unpacked/nvidia
version=$(sed -n 's/^project(basin VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
name=basin-$version-sm61-linux-x86_64
root=$home/$name
libraries=$root/lib

# CUDA files are compiled by clang, which needs its own OpenMP; the files compiled by g++ use it too. Libraries, and those that
# they need, are found beside the program wherever it is, before those of the system. The toolkit's headers are given
# explicitly, because compilers search /usr/local/include first, which may contain those of another CUDA.
cmake -S . -B "$home/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBASIN_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=61 \
  -DCMAKE_CUDA_COMPILER="$(readlink "$home/clang++")" -DCUDAToolkit_ROOT="$home/toolkit" -DCUDNN_ROOT="$packages/cudnn" \
  -DCMAKE_CUDA_FLAGS="--cuda-include-ptx=all -isystem $home/toolkit/include -DBASIN_EXPECTED_CUDART=12040" \
  -DCMAKE_CXX_FLAGS="-isystem $home/toolkit/include -DBASIN_EXPECTED_CUDART=12040" \
  -DOpenMP_CXX_FLAGS=-fopenmp -DOpenMP_CXX_LIB_NAMES=omp -DOpenMP_omp_LIBRARY="$home/toolkit/lib64/libomp.so" \
  -DCMAKE_RUNTIME_OUTPUT_DIRECTORY="$root/bin" -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags \
  -DCMAKE_INSTALL_RPATH='$ORIGIN/../lib' -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON
cmake --build "$home/build" --target basin basin_tests -j "$(nproc)"

# The libraries that the program is linked with, and those that cuDNN loads for convolutions. Every Linux of this age or newer
# has the C and C++ libraries.
rm -rf "$libraries" "$root/share"
mkdir -p "$libraries" "$root/share/basin"
LD_LIBRARY_PATH=$home/toolkit/lib64:$packages/cudnn/lib ldd "$root/bin/basin" |
  awk '$2 == "=>" && $1 !~ /^(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s)\.so/ { print $3 }' >"$home/libraries"
! grep -qvx '/.*' "$home/libraries" || { echo "build-pascal: a library of build/pascal/$name/bin/basin is not found" >&2; exit 1; }
xargs cp -Lt "$libraries" <"$home/libraries"
cp -l "$packages"/cudnn/lib/libcudnn_{graph,ops,cnn,heuristic,engines_precompiled,engines_runtime_compiled}.so.9 \
  "$packages/cublas/lib/libcublasLt.so.12" "$packages"/cuda_nvrtc/lib/libnvrtc*.so.12* "$libraries"
cp -r models/pretrained "$root/share/basin/models"
cp LICENSE "$root"
cat >"$root/README.md" <<END
# Basin $version for NVIDIA cards of the GTX 10 series

\`bin/basin\` is the program: \`bin/basin doctor\` tells what it finds, \`bin/basin --help\` what it does, and

    bin/basin segment IMAGES... --model nuclei-fluo --out OUT

segments images. The folder may lie anywhere and be moved. It needs x86-64 Linux with glibc $(ldd --version | sed -n '1s/.* //p') and the C++ library of
GCC $(g++ -dumpversion) or newer, and for the GPU NVIDIA's driver 525 or newer; nothing of CUDA. Without a GPU it computes on the CPU.

\`bin/basin\` holds code for compute capability 6.1 (GTX 1050 to 1080 Ti, Titan X and Xp, Quadro P); newer cards translate it when it starts.
\`lib/\` holds CUDA 12.4 and cuDNN 9.10.2, under NVIDIA's licences, and the libraries of the distribution it was built on, under theirs.
Basin's licence is in \`LICENSE\`.
END

# Check: there are as many images of either kind as files with kernels, in the program and in the tests alike.
for program in basin basin_tests; do
  elf=$("$home/toolkit/bin/cuobjdump" --list-elf "$root/bin/$program" | grep -c '\.sm_61\.cubin$' || true)
  ptx=$("$home/toolkit/bin/cuobjdump" --list-ptx "$root/bin/$program" | grep -c '\.sm_61\.ptx$' || true)
  echo "$program: $elf images of sm_61 machine code, $ptx of compute_61 PTX"
  [ "$elf" -gt 0 ] && [ "$ptx" = "$elf" ] || { echo "build-pascal: $program lacks code for sm_61" >&2; exit 1; }
done

tar -C "$home" --exclude="$name/bin/basin_tests" -czf "$root.tar.gz.part" "$name"
mv "$root.tar.gz.part" "$root.tar.gz"

# Run it from another folder, as a user would.
elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
tar -C "$elsewhere" -xzf "$root.tar.gz"
(
  cd "$elsewhere/$name"
  bin/basin doctor
  bin/basin synth --kind nuclei --count 1 --size 256 --seed 1 --out images
  bin/basin segment images --model nuclei-fluo --device cpu --out out
) >"$elsewhere/log" 2>&1 || { cat "$elsewhere/log"; echo "build-pascal: the unpacked archive does not work" >&2; exit 1; }
cat "$elsewhere/log"
echo "build/pascal/$name.tar.gz: $(du -h "$root.tar.gz" | cut -f1), $(du -sh "$elsewhere/$name" | cut -f1) unpacked, in $SECONDS s"
