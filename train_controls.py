"""python train_controls.py: train the five-head control transformer (the same as `protege controls train`)."""

import sys

from protege.cli import main

if __name__ == "__main__":
    main(["controls", "train", *sys.argv[1:]])
