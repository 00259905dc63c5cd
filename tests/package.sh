#!/usr/bin/env bash
# Builds the wheel, installs it into an empty virtual environment and runs tests/interop/package.py there.
#   tests/package.sh BUILD_FOLDER WORK_FOLDER
# Exits with 77 if this machine lacks what that needs; PYTHON names an interpreter that has NumPy (default: python3).
# WORK_FOLDER is removed first.
set -euo pipefail
build=$(realpath "$1") work=$(realpath -m "$2")
source=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
unset BASIN_MODELS BASIN_LIBRARY PYTHONPATH

skip() {
  echo "package: skipped: $*"
  exit 77
}
command -v "$python" >/dev/null || skip "there is no $python"
numpy=$("$python" -c 'import numpy, os; print(os.path.dirname(os.path.dirname(numpy.__file__)))' 2>/dev/null) ||
  skip "$python has no NumPy"
"$python" -c 'import ensurepip, venv' 2>/dev/null || skip "$python cannot make virtual environments"

cmake --build "$build" --target wheel
rm -rf "$work"
"$python" -m venv "$work"
echo "$numpy" >"$(echo "$work"/lib/python*/site-packages)/numpy.pth"  # nothing is fetched
"$work/bin/python" -m pip install --quiet --no-index --disable-pip-version-check "$build"/packages/basin-*.whl
cd "$work"
bin/python "$source/tests/interop/package.py"
