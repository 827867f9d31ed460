"""cd BC_training; python train.py --config configs/pure_cnn.yaml: the same as `protege clone train` in the project."""

import os
import sys
from pathlib import Path

from protege.cli import main

if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[1])  # configs/, dataset/ and models/ lie in the project's root
    main(["clone", "train", *sys.argv[1:]])
