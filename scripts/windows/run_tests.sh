#!/bin/bash
# Runs tests/windows inside Windows Python, with an X server of its own.
# usage: run_tests.sh [PYTEST ARG…]    needs make_python.sh to have run, xvfb and xdotool
set -euo pipefail
source "$(dirname "$0")/environment.sh"
start_display
cd "$ROOT"
bash "$HERE/wpy" -m pytest tests/windows "$@"
