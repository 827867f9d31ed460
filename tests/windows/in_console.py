"""Runs `protege …` in this process's console, waits for a file, and then does to the console what a person might.

usage: in_console.py break|close FOLDER ARG…   starts it, waits for FOLDER/go; exit code: the command's.
"""

# pyright: reportAttributeAccessIssue=false

import ctypes
import subprocess
import sys
import time
from pathlib import Path

kernel32 = ctypes.WinDLL("kernel32")
CTRL_BREAK = 1
HANDLER = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(lambda what: 1)

if __name__ == "__main__":
    how, folder, *args = sys.argv[1:]
    kernel32.SetConsoleCtrlHandler(HANDLER, 1)  # it reaches everybody in the console; this process goes on
    with (Path(folder) / "out").open("wb") as out, (Path(folder) / "err").open("wb") as err:
        command = [sys.executable, "-m", "protege.cli", *args]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err)
        while not (Path(folder) / "go").exists() and process.poll() is None:
            time.sleep(0.02)
        kernel32.GenerateConsoleCtrlEvent(CTRL_BREAK, 0)
        sys.exit(process.wait(30))
