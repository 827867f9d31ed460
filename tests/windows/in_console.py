"""Runs `protege …` in this process's console, waits for a file, and then presses Ctrl-C there.

usage: in_console.py FOLDER ARG…   waits for FOLDER/go; the command's exit code is written to FOLDER/code, what it said
to FOLDER/out and FOLDER/err.
"""

import subprocess
import sys
import time
from pathlib import Path

from protege.devices.win32 import CTRLPROC, kernel32

HANDLER = CTRLPROC(lambda what: True)  # it reaches everybody in the console, and this process goes on

if __name__ == "__main__":
    place = Path(sys.argv[1])
    with (place / "out").open("wb") as out, (place / "err").open("wb") as err:
        command = [sys.executable, "-m", "protege.cli", *sys.argv[2:]]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err)
        kernel32.SetConsoleCtrlHandler(HANDLER, True)
        while not (place / "go").exists() and process.poll() is None:
            time.sleep(0.02)
        kernel32.GenerateConsoleCtrlEvent(0, 0)
        (place / "code").write_text(str(process.wait(30)))
