"""Looks at this machine and says what works, what does not, and what to do about it."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from protege.errors import ProtegeError

if TYPE_CHECKING:
    from protege.core.actions import ActionSpace
    from protege.devices.key_check import Trial
    from protege.games.profile import Game

GB_PER_HOUR: Final = 1.8
"""Disk that an hour at 10 fps and 640x480 takes, measured on Doom (JPEG q90)."""

WINDOWS_BY: Final = {"linux": ("Xlib",), "darwin": ("Quartz",)}.get(sys.platform, ())

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "record": ("mss", "pynput", "cv2", "av", "mcap", "lz4", "zstandard", "omegaconf", *WINDOWS_BY),
    "demo": ("pyvirtualdisplay", "psutil"),
    "arena": ("vizdoom", "gymnasium"),
    "vision": ("torch", "transformers", "trl", "peft", "bitsandbytes", "datasets", "accelerate", "omegaconf"),
    "unsloth": ("unsloth",),
    "controls": ("torch", "omegaconf", "onnx", "onnxruntime", "websockets"),
    "cloning": ("jax", "flax", "optax", "orbax", "grain", "zarr", "omegaconf"),
    "serve": ("openai",),
    "ray": ("ray",),
}
"""The modules that show whether an extra is installed."""


@dataclass(frozen=True)
class Check:
    """One thing looked at. ok: True, False, or None for what is merely absent; remedy: what to do if not ok."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


def check_machine(environ: Mapping[str, str], folder: Path, game: "Game | None" = None) -> list[Check]:
    """Display, keyboard, GPU, installed extras and the disk that `folder` lies on; with a game its window, too."""
    window = [] if game is None else [check_window(game)]
    keyboard = check_keyboard(environ, None if game is None else game.space)
    mouse = [] if game is None else check_mouse(environ, game.space)
    return [check_display(environ), *window, keyboard, *mouse, check_gpu(), *check_extras(), check_disk(folder)]


def check_window(game: "Game") -> Check:
    """Whether the game's window is open, and can be seen."""
    from protege.devices.windows import find_window

    if game.profile.window is None:
        return Check("window", None, f"{game.name} names none", "the window that has the focus is taken")
    try:
        window = find_window(game.profile.window)
        title, state = window.title, window.state()
        window.close()
    except ProtegeError as error:
        return Check("window", None, str(error), f"start the game, or correct the window in {game.path}")
    found = f"{title}, {state.rect.width}x{state.rect.height}"
    return Check("window", not state.obstacle, found if not state.obstacle else f"{found}: {state.obstacle}")


def check_display(environ: Mapping[str, str]) -> Check:
    """Whether the screen can be read."""
    if sys.platform == "linux" and not environ.get("DISPLAY"):
        return Check("display", False, "DISPLAY is not set", "run inside a graphical session, or under xvfb-run")
    try:
        from protege.devices.screen import MssScreen

        screen = MssScreen()
        frame = screen.grab()
        screen.close()
    except (ProtegeError, ImportError) as error:
        return Check("display", False, str(error), "see docs/recording.md")
    if not frame.rgb.any():
        remedy = "if it should not be: allow screen recording for your terminal (macOS), or use an X11 session (Linux)"
        return Check("display", None, f"{frame.size[0]}x{frame.size[1]}, all black", remedy)
    return Check("display", True, f"{frame.size[0]}x{frame.size[1]}")


def keyboard_blocked(environ: Mapping[str, str]) -> Check | None:
    """What the system does to keep keys from us, if anything: nothing fails then, keys are just never heard."""
    if sys.platform == "linux" and environ.get("XDG_SESSION_TYPE") == "wayland":
        return Check(
            "keyboard",
            False,
            "this is a Wayland session, which hides keys from other programs",
            "log in with an X11 (Xorg) session; until then only games run under XWayland can be recorded",
        )
    if sys.platform == "darwin" and not _macos_trusted():
        remedy = "System Settings > Privacy & Security > Accessibility and Input Monitoring: allow your terminal"
        return Check("keyboard", False, "macOS does not let this terminal hear keys", remedy)
    return None


def check_keyboard(environ: Mapping[str, str], space: "ActionSpace | None" = None) -> Check:
    """Whether the keys of a space (the twelve unless given) can be heard and pressed."""
    if (blocked := keyboard_blocked(environ)) is not None:
        return blocked
    try:
        from protege.core.actions import KEYBOARD_12
        from protege.devices.key_check import try_keys
        from protege.devices.keyboard import KeyListener

        with KeyListener(frozenset(), lambda name, down, t_ns: None) as listener:
            if not listener.alive:
                return Check("keyboard", False, "keys cannot be heard", "see docs/recording.md")
        return _tried(try_keys(space or KEYBOARD_12))
    except ProtegeError as error:
        return Check("keyboard", False, str(error), "see docs/recording.md")


def _tried(trial: "Trial | None") -> Check:
    """What pressing each key of the action space showed."""
    if trial is None:
        return Check("keyboard", True, "keys can be heard")
    if not trial.unheard and not trial.lost:
        return Check("keyboard", True, f"each of the {len(trial.tried)} keys was pressed, heard and reached a window")
    parts = [("not heard", trial.unheard), ("did not reach a window", trial.lost)]
    found = "; ".join(f"{what}: {' '.join(names)}" for what, names in parts if names)
    return Check("keyboard", False, found, "another program may keep them for itself (a hot key, a remapper)")


def check_mouse(environ: Mapping[str, str], space: "ActionSpace") -> list[Check]:
    """Whether the mouse can be moved and heard, where a space has it; else nothing."""
    if space.look is None and not space.buttons:
        return []
    if keyboard_blocked(environ) is not None:  # what keeps keys from us keeps the mouse, too
        return []
    try:
        from protege.devices.mouse_check import try_mouse

        if try_mouse():
            return [Check("mouse", True, "it was moved by one count and heard (buttons are not tried)")]
    except ProtegeError as error:
        return [Check("mouse", False, str(error), "see docs/recording.md")]
    return [Check("mouse", False, "it was moved by one count and not heard", "see docs/recording.md")]


def _macos_trusted() -> bool:
    try:
        import HIServices  # pyright: ignore[reportMissingImports]

        return bool(HIServices.AXIsProcessTrusted())
    except ImportError:
        return True


def check_gpu(
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
    which: Callable[[str], str | None] = shutil.which,
) -> Check:
    """The NVIDIA card, asked through nvidia-smi so that torch need not be loaded."""
    remedy = "recording, the arena and tiny models work without; training an 8B model needs an NVIDIA card"
    if which("nvidia-smi") is None:
        return Check("gpu", None, "no NVIDIA driver found", remedy)
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        result = run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check("gpu", False, f"nvidia-smi failed: {error}", remedy)
    if result.returncode or not result.stdout.strip():
        return Check("gpu", False, f"nvidia-smi failed: {(result.stderr or result.stdout).strip()[:80]}", remedy)
    return Check("gpu", True, "; ".join(result.stdout.strip().splitlines()))


def check_extras(find: Callable[[str], object | None] = importlib.util.find_spec) -> list[Check]:
    """Which optional parts are installed."""
    checks = []
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if find(module) is None]
        if missing:
            found = "not installed" if len(missing) == len(modules) else f"{', '.join(missing)} missing"
            checks.append(Check(f"extra {extra}", None, found, f"pip install 'protege[{extra}]'"))
        else:
            checks.append(Check(f"extra {extra}", True, "installed"))
    return checks


def check_disk(folder: Path) -> Check:
    """How many hours of recording fit on the disk."""
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    hours = free_gb / GB_PER_HOUR
    writable = os.access(folder, os.W_OK)
    found = f"{free_gb:.0f} GB free: about {hours:.0f} hours at 10 fps" if writable else f"{folder} cannot be written"
    return Check("disk", writable and hours >= 3, found, "free some space, or record elsewhere with --out")
