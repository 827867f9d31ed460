"""What recording costs: CPU of the recorder's process, and beside ffmpeg grabbing the same screen."""

import io
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from protege.arena import stage
from protege.core.devices import Rect
from protege.core.frame import JPEG_QUALITY, decode_jpeg, encode_jpeg
from protege.core.session import Session
from protege.devices.screen import MssScreen
from protege.devices.windows import find_window
from protege.errors import ProtegeError, UserError
from protege.evaluation.figures import Figure

SETTLE_S: Final = 4.0
"""Starting Python is not what recording costs: measured from here on."""
FFMPEG_QUALITIES: Final = (1, 2, 3, 4, 5, 6)


def cost(folder: Path, seconds: float) -> list[Figure]:
    """CPU of the recorder in percent of a core at 10 and 30 fps, and beside ffmpeg at 1280x720."""
    with stage.arena_player(folder / "small", stage.SEED):
        at10, dropped10 = _recorder_alone(folder, "at10", seconds, 10)
        at30, dropped30 = _recorder_alone(folder, "at30", seconds, 30)
    with stage.arena_player(folder / "large", stage.SEED, (1280, 720)):
        ours, peer, dropped720, quality = _beside_ffmpeg(folder, seconds)
    dropped = dropped10 + dropped30
    ratio = ours / peer
    text = f"{ratio:.2f} ({ours:.1f} % against {peer:.1f} % for ffmpeg mjpeg -q:v {quality})"
    return [
        Figure("cpu_percent_10fps", round(at10, 2), f"{at10:.1f} % of a core", "<= 5", at10 <= 5),
        Figure("cpu_percent_30fps", round(at30, 2), f"{at30:.1f} % of a core", "<= 12", at30 <= 12),
        Figure("dropped", dropped, f"{dropped10} frames at 10 fps, {dropped30} at 30 fps", "0", dropped == 0),
        Figure("cpu_ratio_to_ffmpeg_720p30", round(ratio, 3), text, "< 1", ratio < 1),
        Figure("dropped_720p30", dropped720, f"{dropped720} frames at 1280x720, 30 fps, beside ffmpeg"),
    ]


def _recorder_alone(folder: Path, name: str, seconds: float, fps: int) -> tuple[float, int]:
    """(percent of a core, dropped frames) of a recording of the window as it is."""
    with stage.process(*stage.recorder(folder, name, "--fps", str(fps))) as recorder:
        percent = percent_of_a_core({"recorder": recorder.pid}, seconds)["recorder"]
        stage.stop(recorder)
    return percent, Session.open(folder / name).info.dropped


def _beside_ffmpeg(folder: Path, seconds: float) -> tuple[float, float, int, int]:
    """(our percent, ffmpeg's percent, our dropped frames, ffmpeg's quality) in the same minute at 1280x720, 30 fps."""
    window = find_window(stage.TITLE)
    rect = window.state().rect
    window.close()
    screen = MssScreen(rect)
    quality = _equal_quality(screen.grab().rgb)
    screen.close()
    options = ["--fps", "30", "--size", f"{rect.width}x{rect.height}"]
    with (
        stage.process(*stage.recorder(folder, "at720", *options)) as recorder,
        _ffmpeg(rect, quality, folder / "peer.mkv") as ffmpeg,
    ):
        percent = percent_of_a_core({"recorder": recorder.pid, "ffmpeg": ffmpeg.pid}, seconds)
        stage.stop(recorder)
    return percent["recorder"], percent["ffmpeg"], Session.open(folder / "at720").info.dropped, quality


def percent_of_a_core(processes: Mapping[str, int], seconds: float) -> dict[str, float]:
    """CPU time of processes over the same `seconds`, in percent of a core."""
    time.sleep(SETTLE_S)
    watched = {name: psutil.Process(pid) for name, pid in processes.items()}
    before = {name: sum(process.cpu_times()[:2]) for name, process in watched.items()}
    start = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - start
    return {name: 100 * (sum(process.cpu_times()[:2]) - before[name]) / elapsed for name, process in watched.items()}


@contextmanager
def _ffmpeg(rect: Rect, quality: int, out: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """ffmpeg grabbing the same rectangle at 30 fps as mjpeg, on one thread as the recorder is."""
    area = ["-video_size", f"{rect.width}x{rect.height}", "-i", f"+{rect.left},{rect.top}"]
    command = ["ffmpeg", "-loglevel", "error", "-nostdin", "-f", "x11grab", "-framerate", "30", *area]
    command += ["-threads", "1", "-c:v", "mjpeg", "-q:v", str(quality), str(out)]
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise UserError("ffmpeg is not installed, and the recorder is measured beside it; install ffmpeg") from None
    try:
        yield child
    finally:
        child.terminate()
        child.wait(timeout=20)


def _equal_quality(rgb: NDArray[np.uint8]) -> int:
    """The -q:v at which ffmpeg's mjpeg comes nearest to our JPEG's signal-to-noise ratio on this picture."""
    ours = _psnr(rgb, decode_jpeg(encode_jpeg(rgb, JPEG_QUALITY)))
    return min(FFMPEG_QUALITIES, key=lambda quality: abs(_psnr(rgb, _mjpeg(rgb, quality)) - ours))


def _mjpeg(rgb: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    png = io.BytesIO()
    Image.fromarray(rgb).save(png, "PNG")
    command = ["ffmpeg", "-loglevel", "error", "-f", "png_pipe", "-i", "-", "-c:v", "mjpeg"]
    command += ["-pix_fmt", "yuvj420p", "-q:v", str(quality), "-f", "image2pipe", "-"]
    result = subprocess.run(command, input=png.getvalue(), capture_output=True, check=False)
    if result.returncode:
        raise ProtegeError(f"ffmpeg cannot encode: {re.sub(rb'[^ -~]+', b' ', result.stderr).decode()[:100]}")
    return decode_jpeg(result.stdout)


def _psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 10 * np.log10(255**2 / max(error, 1e-9))
