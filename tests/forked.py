"""Commands run in forks of one process that has imported everything already: a start costs milliseconds."""

import contextlib
import functools
import importlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LIBRARIES: Final = {
    "light": ("PIL.Image", "PIL.ImageDraw", "omegaconf", "zarr", "mcap.reader", "av", "cv2", "openai"),
    "torch": ("omegaconf", "trl", "peft", "safetensors.torch", "sklearn.metrics", "matplotlib.figure", "onnxruntime"),
    "jax": ("omegaconf", "zarr", "flax.nnx", "optax", "orbax.checkpoint", "grain", "matplotlib.figure", "av"),
}
MODULES: Final = {
    "light": ("core", "labeling", "recorder", "commands", "arena", "agent", "cloning.episodes", "doctor"),
    "torch": ("training", "controls", "commands", "vlm"),
    "jax": ("cloning", "commands"),
}
"""Parts of protege whose modules are imported beforehand, for each group."""
ANALYZE: Final = "BC_training.analyze_dataset"
"""As the first word of a command line: that module instead of `protege`."""


def warm_up(group: str) -> None:
    """Import what the commands of a group would import. Nothing is computed: a process whose libraries have started
    threads cannot be forked.
    """
    import pkgutil
    import warnings

    os.environ.update(QUIET)
    import protege

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in LIBRARIES[group]:
            importlib.import_module(name)
        if group == "light":
            sys.modules["openai"].OpenAI(api_key="none", base_url="http://127.0.0.1:1").chat.completions  # noqa: B018
        for module in pkgutil.walk_packages(protege.__path__, "protege."):
            if module.name.removeprefix("protege.").startswith(MODULES[group]):
                with contextlib.suppress(ImportError):  # what needs a display, or libraries of another group
                    importlib.import_module(module.name)


QUIET: Final = {
    **{"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    **{"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"},
    **{"TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "agg"},
    **{"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0"},
}


@dataclass
class Ended:
    """How a fork ended. code: its exit code, minus the signal that ended it; grown: bytes of memory it had more than
    its parent, at most; worked: seconds on a core; stopped: it ran too long, or ended by our kill.
    """

    code: int
    seconds: float
    worked: float
    grown: int
    stopped: bool


class Fork:
    """One running fork in a folder, whose output goes to a file."""

    def __init__(
        self, work: Callable[[], int], folder: Path, output: Path, limits: Sequence[tuple[int, int]] = ()
    ) -> None:
        """limits: (resource, value) pairs, e.g. (resource.RLIMIT_FSIZE, 1 << 28)."""
        self.base = _at_start(os.getpid())
        self.started = time.monotonic()
        self._killed = False
        self._looked = 0.0
        self._worked: list[float] = []
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _child(work, folder, output, limits)

    def kill(self) -> None:
        """SIGKILL, to it and to everything that it started."""
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def too_long(self, limit_s: float) -> bool:
        """Whether it has worked for longer than the limit, or waits, after so long, for something that never comes.

        On a machine that is busy with other things a sound run may take much longer, but not without any work.
        """
        seconds = self.seconds()
        if seconds < self._looked + 1:
            return False
        self._looked = seconds
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return False
        self._worked.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        recently = self._worked[-1] - self._worked[-6] if len(self._worked) > 6 else 1.0
        return self._worked[-1] > limit_s or (seconds > limit_s and recently < 0.1) or seconds > 9 * limit_s

    def grown(self) -> int:
        """Bytes of memory it has more than it began with, now."""
        return _memory(self.pid) - self.base

    def poll(self, wait: bool = False) -> Ended | None:
        pid, status, used = os.wait4(self.pid, 0 if wait else os.WNOHANG)
        if pid == 0:
            return None
        seconds = self.seconds()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # whatever it left running
        return Ended(
            os.waitstatus_to_exitcode(status),
            seconds,
            used.ru_utime + used.ru_stime,
            used.ru_maxrss * 1024 - self.base,
            self._killed,
        )


def _memory(pid: int) -> int:
    """Bytes of a process in memory now."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


@functools.cache
def _at_start(parent: int) -> int:
    """Bytes of a fork of this process that does nothing: what only lies in files is not counted for a fork."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return os.wait4(pid, 0)[2].ru_maxrss * 1024


def _child(work: Callable[[], int], folder: Path, output: Path, limits: Sequence[tuple[int, int]]) -> None:
    code = 70
    try:
        os.setsid()
        for which, value in limits:
            resource.setrlimit(which, (value, value))
        os.chdir(folder)
        out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (out, 1), (out, 2)):
            os.dup2(source, target)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = io.TextIOWrapper(open(1, "wb", 0, closefd=False), "utf-8", write_through=True)  # noqa: SIM115
        sys.stderr = io.TextIOWrapper(open(2, "wb", 0, closefd=False), "utf-8", write_through=True)  # noqa: SIM115
        tempfile.tempdir = None
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = work()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1 if error.code else 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code if 0 <= code < 256 else 71)


def run_lines(lines: Sequence[Sequence[str]], codes: Path, environment: Mapping[str, str]) -> int:
    """In a fork: run command lines one after another as `main` does, until one fails; returns the last exit code.

    codes: a file that holds the list of exit codes afterwards. environment: set, or unset where empty.
    """
    from protege import cli

    for name, value in environment.items():
        if value:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)
    cli.use_utf8()
    done: list[int] = []
    for line in lines:
        if line[0] == ANALYZE:
            done.append(_main_of(ANALYZE, line[1:]))
        else:
            done.append(cli.run(line))
        codes.write_text(json.dumps(done))
        if done[-1] != 0:
            break
    return done[-1]


def _main_of(module: str, line: Sequence[str]) -> int:
    try:
        return importlib.import_module(module).main(line)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1


def run(lines: Sequence[Sequence[str]], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run command lines in a fork to their end; returns what they said. AssertionError if one of them fails."""
    with tempfile.TemporaryDirectory() as scratch:
        output, codes = Path(scratch) / "output", Path(scratch) / "codes"
        ended = Fork(lambda: run_lines(lines, codes, environment or {}), folder, output).poll(wait=True)
        said = output.read_text(errors="replace")
    assert ended is not None
    assert ended.code == 0, f"{lines}: exit code {ended.code}\n{said[-3000:]}"
    return said
