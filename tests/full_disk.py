"""Python as on a disk that is full: no file may grow beyond a number of bytes."""

import os
import subprocess
import sys

COMMAND = "from protege.cli import main; main(sys.argv[1:])"


def limited(folder, code, *arguments, limit=2_000):
    """The finished process. It is not measured: coverage could not write its own file, and would say so."""
    full = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
    )
    command = [sys.executable, "-c", full + code, *arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120, env=env)
