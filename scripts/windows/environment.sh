# Sourced by the scripts beside it: where Windows Python lies, how wine is called, and an X server of one's own.
# All of it lies in WINE_HOME (default: .wine in the checkout), so nothing of the user's own ~/.wine is touched.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
WINE_HOME=${WINE_HOME:-$ROOT/.wine}
WINDOWS_PYTHON=$WINE_HOME/python
# No Mono, no browser: wine would ask to install them. One thread each: numpy's pools are slow under wine.
export WINEPREFIX=$WINE_HOME/prefix WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES="mscoree,mshtml="
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# Debian keeps the 64-bit loader out of PATH; its `wine` would look for a 32-bit one first.
for WINE in /usr/lib/wine/wine64 wine64 wine; do
    command -v "$WINE" >/dev/null 2>&1 && break
done
WINESERVER=$(command -v wineserver || echo "$(dirname "$(command -v "$WINE")")/wineserver64")

# Starts an X server with a free number and sets DISPLAY; it ends with the script, and so do wine's processes.
# -noreset: else it forgets everything whenever its last window is closed.
start_display() {
    local number
    exec {number}< <(exec Xvfb -displayfd 1 -screen 0 1280x800x24 -noreset -nolisten tcp 2>/dev/null)
    STARTED=$!
    trap stop_display EXIT
    trap 'exit 130' INT TERM HUP
    read -r -t 30 -u "$number" DISPLAY || { echo "Xvfb does not start" >&2; exit 1; }
    export DISPLAY=:$DISPLAY
}

stop_display() {
    "$WINESERVER" -k >/dev/null 2>&1 || true  # of this prefix alone
    kill $STARTED 2>/dev/null || true
}
