"""python BC_training/scripts/test_setup.py: does the installation work? (the same as `protege clone setup-check`)."""

import sys

from protege.cli import main

if __name__ == "__main__":
    main(["clone", "setup-check", *sys.argv[1:]])
