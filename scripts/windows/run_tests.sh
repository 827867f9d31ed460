#!/bin/bash
# Runs tests/windows inside Windows Python, with an X server of its own and hands at its keyboard.
# usage: run_tests.sh [PYTEST ARG…]    needs make_python.sh to have run, and xvfb
set -euo pipefail
source "$(dirname "$0")/environment.sh"
start_display
exec {HANDS}< <(exec "$ROOT/.venv/bin/python" "$HERE/hands.py")
STARTED="$! $STARTED"
read -r -t 30 -u "$HANDS" HANDS_PORT || { echo "hands.py does not start" >&2; exit 1; }
export HANDS_PORT
cd "$ROOT"
[ $# -gt 0 ] || set -- tests/windows
bash "$HERE/wpy" -m pytest -p no:cacheprovider "$@"
