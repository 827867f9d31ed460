#!/bin/sh
# Makes sure that the named Debian packages are there: installs them when it may, else says exactly what to type.
# A program that is already there is enough, wherever it comes from. xvfb-unless-display means xvfb where there is no
# screen: a desktop has one of its own.
set -eu
PATH="$PATH:/usr/games"

program_of() {
    case "$1" in
        xvfb) echo Xvfb ;;
        x11-xkb-utils) echo setxkbmap ;;
        xserver-xephyr) echo Xephyr ;;
        tigervnc-standalone-server) echo Xtigervnc ;;
        wine64) echo /usr/lib/wine/wine64 ;;  # Debian keeps it out of PATH
        gcc-mingw-w64-x86-64-win32) echo x86_64-w64-mingw32-gcc ;;
        *) echo "$1" ;;
    esac
}

missing=""
for package in "$@"; do
    if [ "$package" = xvfb-unless-display ]; then
        [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && continue
        package=xvfb
    fi
    if [ "$package" = freedoom ]; then
        [ -e /usr/share/games/doom/freedoom2.wad ] || missing="$missing $package"
    elif ! command -v "$(program_of "$package")" >/dev/null 2>&1; then
        missing="$missing $package"
    fi
done
[ -z "$missing" ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing:$missing. Install them with your system's package manager, then run this again." >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then as_root=""
elif sudo -n true 2>/dev/null; then as_root="sudo"
else
    echo "missing Debian packages:$missing. Install them with: sudo apt-get install$missing" >&2
    exit 1
fi
echo "installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086 (the list is meant to be split)
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
