"""python src/label_segments.py: turn recordings into training data (the same as `protege label`)."""

import sys

from protege.cli import main

if __name__ == "__main__":
    main(["label", *sys.argv[1:]])
