"""python continuos_recoder.py: record a game (the same as `protege record`)."""

import sys

from protege.cli import main

if __name__ == "__main__":
    main(["record", *sys.argv[1:]])
