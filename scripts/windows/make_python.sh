#!/bin/bash
# Makes a Windows CPython 3.11 that runs under wine, in .wine/, from Debian's packages and Python's package index alone.
# Takes some minutes and 700 MB. Does nothing if the one that is there was made from the same inputs.
# usage: make_python.sh [PYTHON]   PYTHON: a CPython 3.11 with pip, default .venv/bin/python
# needs: wine wine64 gcc-mingw-w64-x86-64-win32 xvfb unzip
set -euo pipefail
source "$(dirname "$0")/environment.sh"
PYTHON=${1:-$ROOT/.venv/bin/python}
if [ "$("$PYTHON" -c 'import sys; print(*sys.version_info[:2], sep=".")')" != 3.11 ]; then
    echo "$PYTHON is not Python 3.11, whose standard library Windows Python shares; make .venv with PYTHON=python3.11" >&2
    exit 1
fi

STAMP=$(cd "$HERE" && cat make_python.sh environment.sh wheels.txt python.c python311.def complex.c virtual_desktop.reg \
    "$ROOT/constraints.txt" "$ROOT/pyproject.toml" | sha256sum | cut -d ' ' -f 1)
if [ "$(cat "$WINE_HOME/stamp" 2>/dev/null)" = "$STAMP" ]; then exit 0; fi
if [ -e "$WINE_HOME" ] && [ ! -e "$WINE_HOME/.made-by-protege" ]; then
    echo "$WINE_HOME is not ours to replace; move it away, or set WINE_HOME to another folder" >&2
    exit 1
fi

echo "making a Windows Python in $WINE_HOME (some minutes, once)"
rm -rf "$WINE_HOME"
mkdir -p "$WINDOWS_PYTHON"/{DLLs,Lib/site-packages} "$WINE_HOME/tmp"
touch "$WINE_HOME/.made-by-protege"
cd "$WINE_HOME/tmp"
exports() { x86_64-w64-mingw32-objdump -p "$1" | sed -n '/Ordinal\/Name Pointer/,/^$/p' | awk '/^\t\[/{print $NF}'; }
fetch() {
    "$PYTHON" -m pip download --quiet --no-deps --only-binary=:all: --platform win_amd64 --python-version 3.11 "$@"
}

# 1. The interpreter. panda3d's wheel for Windows carries the official python311.dll and the standard library's
#    extension modules, for packing games; the installer of python.org does not run under wine without help.
fetch --dest panda3d panda3d==1.10.16
unzip -qo panda3d/*.whl 'deploy_libs/*'
cp deploy_libs/*.pyd deploy_libs/lib*.dll deploy_libs/sqlite3.dll "$WINDOWS_PYTHON/DLLs/"
cp deploy_libs/python311.dll deploy_libs/VCRUNTIME140*.dll "$WINDOWS_PYTHON/"

# 2. The part of the standard library that is written in Python is the same on every system.
tar -C "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" -c --exclude=__pycache__ \
    --exclude=./site-packages --exclude=./dist-packages --exclude=./lib-dynload --exclude=./test --exclude='./config-*' . \
    | tar -C "$WINDOWS_PYTHON/Lib" -x

# 3. python.exe; python3.dll, which forwards to python311.dll, for extensions that fit every version; and a C runtime
#    with complex numbers: all its other names are forwarded to wine's.
x86_64-w64-mingw32-dlltool -d "$HERE/python311.def" -l libpython311.a
x86_64-w64-mingw32-gcc -municode -O2 -o "$WINDOWS_PYTHON/python.exe" "$HERE/python.c" -L. -lpython311
{ echo "LIBRARY python3.dll"; echo EXPORTS; exports deploy_libs/python311.dll | awk '{print $1" = python311."$1}'; } >python3.def
x86_64-w64-mingw32-gcc -shared -nostdlib -o "$WINDOWS_PYTHON/python3.dll" python3.def -Wl,--entry,0
exports deploy_libs/api-ms-win-crt-math-l1-1-0.dll >math.names
{
    echo "LIBRARY xpi-ms-win-crt-math-l1-1-0.dll"; echo EXPORTS
    awk 'BEGIN {
        n = split("creal cimag carg cabs cexp ccos csin ctan ccosh csinh ctanh clog csqrt cacos casin catan cacosh " \
            "casinh catanh conj cproj cpow", name, " ")
        for (i = 1; i <= n; i++) { ours[name[i]]; ours[name[i] "f"]; ours[name[i] "l"] }
    } { print ($1 in ours) ? $1 " = x_" $1 : $1 " = ucrtbase." $1 }' math.names
} >math.def
x86_64-w64-mingw32-gcc -O2 -shared -static-libgcc -o "$WINDOWS_PYTHON/xpi-ms-win-crt-math-l1-1-0.dll" "$HERE/complex.c" math.def

# 4. Libraries. wine finds the DLLs called api-ms-* by itself, past any override and past a copy beside the program, so
#    numpy's imports are pointed at ours by a name of the same length.
fetch --dest wheels --constraint "$ROOT/constraints.txt" --requirement "$HERE/wheels.txt"
for wheel in wheels/*.whl; do unzip -qo "$wheel" -d "$WINDOWS_PYTHON/Lib/site-packages"; done
find "$WINDOWS_PYTHON"/Lib/site-packages/numpy* \( -name '*.pyd' -o -name '*.dll' \) -print0 \
    | xargs -0 grep -lZ api-ms-win-crt-math | xargs -0 sed -i 's/api-ms-win-crt-math-l1-1-0\.dll/xpi-ms-win-crt-math-l1-1-0.dll/'
#    The project itself is imported from src; only its version and its entry points are put here.
"$PYTHON" -m pip install --quiet --no-deps --target ours "$ROOT"
cp -r ours/protege-*.dist-info "$WINDOWS_PYTHON/Lib/site-packages/"

# 5. The prefix, with one virtual desktop: without it processes see no windows of each other.
start_display
"$WINE" wineboot --init 2>&1 | sed '/syswow64/d'  # it misses the 32-bit half, which is not needed
"$WINE" regedit "$HERE/virtual_desktop.reg"
"$WINESERVER" --wait
cd "$ROOT"
rm -rf "$WINE_HOME/tmp"
bash "$HERE/wpy" -c 'import cv2, numpy, mss, PIL; print("made:", __import__("sys").version)'
echo "$STAMP" >"$WINE_HOME/stamp"
