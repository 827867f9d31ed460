"""python -m BC_training --config configs/pure_cnn.yaml [KEY=VALUE …]: the same as `protege clone train`."""

import sys

from protege.cli import main

if __name__ == "__main__":
    main(["clone", "train", *sys.argv[1:]])
