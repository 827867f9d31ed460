#!/bin/sh
# scripts/gpu_figures.sh OUT [--tiny]: every figure that our documents call "not measured" for want of a GPU, in at
# most ten minutes, without root and without a network. Writes OUT/gpu_figures.json and OUT/gpu_figures.txt.
# What it needs: pip install -e ".[record,arena,vision,cloning]" (and unsloth, if it is to be measured); it says what is missing.
set -eu
test $# -ge 1 || { echo "usage: scripts/gpu_figures.sh OUT [--tiny]" >&2; exit 2; }
out=$1
shift
python=${PYTHON:-python3}
test -x "$(dirname "$0")/../.venv/bin/python" && python="$(dirname "$0")/../.venv/bin/python"
exec "$python" "$(dirname "$0")/gpu_figures.py" --out "$out" "$@"
