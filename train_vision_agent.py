"""python train_vision_agent.py: fine-tune Qwen3-VL on labeled recordings (the same as `protege train`)."""

import sys

from protege.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
