"""Real things for tests: an X server of their own, a window on it, and fakes for the device seam."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

if sys.platform != "win32":  # the tests of Windows do without it
    from hypothesis import settings

    # A loaded machine misses every deadline: no test is judged by the clock.
    settings.register_profile("protege", settings(), deadline=None)
    settings.load_profile("protege")


def need(program: str, package: str) -> str:
    """A Debian program a test cannot do without; its absence is a failure, never a skip."""
    path = shutil.which(program) or shutil.which(program, path="/usr/games")
    if path is None:
        pytest.fail(f"{program} is missing; install it with: apt-get install {package}")
    return path


@pytest.fixture(scope="session")
def xvfb() -> Iterator[str]:
    """One X server for all tests of a worker; returns its DISPLAY, which is also set in the environment."""
    need("Xvfb", "xvfb")
    from pyvirtualdisplay.display import Display

    before = os.environ.get("DISPLAY")
    display = Display(backend="xvfb", size=(1400, 900), color_depth=24, extra_args=["-noreset"])
    display.start()
    yield os.environ["DISPLAY"]
    display.stop()
    if before is None:
        os.environ.pop("DISPLAY", None)
    else:
        os.environ["DISPLAY"] = before


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of a Qwen3-VL of the smallest size, with weights that nothing was learned by."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from protege.vlm.tiny import build_tiny

    torch.set_num_threads(1)
    return build_tiny(tmp_path_factory.mktemp("models") / "tiny", size="nano")


@pytest.fixture
def python() -> str:
    return sys.executable


@pytest.fixture
def run_protege(tmp_path):
    """Run the command in a process of its own, in an empty folder; returns the finished process."""

    def run(*args: str, timeout: float = 60, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "protege.cli", *args],
            cwd=options.pop("cwd", tmp_path),
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,
        )

    return run
