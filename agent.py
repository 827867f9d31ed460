"""python agent.py --goal "Go to the lantern": play a game live (the same as `protege play`)."""

import sys

from protege.cli import main

if __name__ == "__main__":
    main(["play", *sys.argv[1:]])
