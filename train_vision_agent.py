"""Fine-tunes Qwen3-VL on labeled recordings: python train_vision_agent.py [--config FILE] [key=value …]"""

import logging
import sys

from protege.errors import ProtegeError
from protege.training.run import main

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        main(sys.argv[1:])
    except ProtegeError as error:
        sys.exit(f"error: {error}")
