#!/usr/bin/env bash
# Installs in build/pascal a toolkit for the GTX 10 series (compute capability 6.1), which CUDA 13 no longer supports:
# ./tools/scripts/pascal-toolkit.sh kernels|program
# The compiler is the distribution's clang; headers, assembler and libraries are those of CUDA 12.4, from NVIDIA's packages
# on PyPI. `kernels` (26 MB) is enough to compile kernels alone; `program` (1.2 GB) adds the libraries to link a program:
# cuDNN 9.10.2, the last version for Pascal, and clang's OpenMP. Existing files are not fetched again.
# Exits with 3 if a package is not available.
set -euo pipefail
cd "$(dirname "$0")/../.."
what=${1:-}
case $what in kernels | program) ;; *) echo "pascal-toolkit: expected kernels or program, not '$what'" >&2; exit 1 ;; esac

home=$PWD/build/pascal
toolkit=$home/toolkit
mkdir -p "$toolkit"
cannot() { echo "pascal-toolkit: $*" >&2; exit 3; }

# clang 19 is in Debian 12 and 13 and in Ubuntu 24.04; versions before 18 do not support CUDA 12.
find_clang() {
  local version
  for version in 19 20 21 18; do
    clang=$(command -v "clang++-$version") && return
  done
  return 1
}
if ! find_clang; then
  tools/scripts/install-packages.sh clang-19 >&2 || true
  find_clang || cannot "no clang 18 to 21 here, and the package clang-19 could not be installed"
fi
version=${clang##*-}
ln -sfn "$clang" "$home/clang++"

unpacked=$home/unpacked
unpack() { # NAME==VERSION, of PyPI
  local mark=$unpacked/$1.done
  [ -f "$mark" ] && return
  python3 -m pip --version >/dev/null 2>&1 || tools/scripts/install-packages.sh python3-pip >&2 || true
  python3 -m pip --version >/dev/null 2>&1 || cannot "no pip here, and the package python3-pip could not be installed"
  echo "pascal-toolkit: fetching $1"
  rm -rf "$home/wheel"
  python3 -m pip download --quiet --no-deps --only-binary :all: --retries 1 --timeout 15 --disable-pip-version-check \
    --dest "$home/wheel" "$1" >"$home/pip.log" 2>&1 || cannot "the package $1 could not be fetched from PyPI: $(tail -1 "$home/pip.log")"
  python3 -m zipfile -e "$home"/wheel/*.whl "$unpacked"
  rm -rf "$home/wheel"
  : >"$mark"
}
mkdir -p "$unpacked"
unpack nvidia-cuda-nvcc-cu12==12.4.131
unpack nvidia-cuda-runtime-cu12==12.4.127
unpack nvidia-cuda-cccl-cu12==12.4.127.post1

# The layout of NVIDIA's installer. The packages' files have no execute bit.
mkdir -p "$toolkit"/{bin,include,lib64}
cp -ru "$unpacked"/nvidia/{cuda_nvcc,cuda_runtime,cuda_cccl}/include/. "$toolkit/include"
cp -ru "$unpacked/nvidia/cuda_nvcc/nvvm" "$toolkit"
cp -u "$unpacked/nvidia/cuda_nvcc/bin/ptxas" "$toolkit/bin"
cp -u "$unpacked"/nvidia/cuda_runtime/lib/libcudart.so.12 "$toolkit/lib64"
ln -sf libcudart.so.12 "$toolkit/lib64/libcudart.so"
echo '{"cuda": {"name": "CUDA SDK", "version": "12.4.1"}}' >"$toolkit/version.json"
# clang includes cuRAND's header in every file; nothing in Basin uses it.
[ -f "$toolkit/include/curand_mtgp32_kernel.h" ] || : >"$toolkit/include/curand_mtgp32_kernel.h"
chmod +x "$toolkit/bin/ptxas"

# clang's OpenMP, unpacked and not installed: the distribution has only one version of it at a time.
if [ ! -f "$toolkit/lib64/libomp.so" ]; then
  rm -rf "$home/openmp"
  mkdir -p "$home/openmp/packages"
  for package in "libomp5-$version" "libomp-$version-dev"; do
    (cd "$home/openmp/packages" && apt-get download -qq "$package" 2>"$home/openmp/log") ||
      cannot "the package $package could not be fetched: $(tail -1 "$home/openmp/log")"
  done
  for file in "$home"/openmp/packages/*.deb; do
    dpkg-deb -x "$file" "$home/openmp/packages"
  done
  cp "$home/openmp/packages/usr/lib/llvm-$version/lib/clang/$version/include/omp.h" "$toolkit/include"
  cp "$home/openmp/packages/usr/lib/llvm-$version/lib/libomp.so.5" "$toolkit/lib64"
  ln -s libomp.so.5 "$toolkit/lib64/libomp.so"
  rm -rf "$home/openmp"
fi

[ "$what" = program ] || exit 0

unpack nvidia-cuda-nvcc==13.0.88  # for its fatbinary, which the package of 12.4 leaves out
unpack nvidia-cuda-cuobjdump==13.2.51
unpack nvidia-cublas-cu12==12.4.5.8
unpack nvidia-cuda-nvrtc-cu12==12.4.127
unpack nvidia-cudnn-cu12==9.10.2.21
ln -sf libcudnn.so.9 "$unpacked/nvidia/cudnn/lib/libcudnn.so"

# CUDA 13 changed the syntax of the image option that clang uses.
cp -u "$unpacked/nvidia/cu13/bin/fatbinary" "$toolkit/bin/fatbinary-13"
cat >"$toolkit/bin/fatbinary" <<'END'
#!/usr/bin/env bash
# --image=profile=sm_61,file=F is --image3=kind=elf,sm=61,file=F to fatbinary 13, and compute_61 is kind=ptx.
arguments=()
for argument in "$@"; do
  argument=${argument/#--image=profile=sm_/--image3=kind=elf,sm=}
  arguments+=("${argument/#--image=profile=compute_/--image3=kind=ptx,sm=}")
done
exec "$(dirname "$0")/fatbinary-13" "${arguments[@]}"
END
cp -u "$unpacked/nvidia/cu13/bin/cuobjdump" "$toolkit/bin"
# CMake asks nvcc for the toolkit's version, whichever compiler is used.
cat >"$toolkit/bin/nvcc" <<'END'
#!/usr/bin/env bash
echo "no compiler, only its name: Cuda compilation tools, release 12.4, V12.4.131"
END
chmod +x "$toolkit"/bin/*
