"""Makes docs/images/agent.webp: the model playing, with its keys, from recordings of its runs.

make demo && .venv/bin/python scripts/agent_picture.py                      # the demo's live runs
.venv/bin/python scripts/agent_picture.py dataset/agent_runs/20261121_083601 …   # others
"""

import sys
from pathlib import Path

from protege.core.paths import project_root
from protege.core.session import find_sessions
from protege.demo.clip import clip
from protege.demo.places import Places


def main() -> None:
    runs = [Path(name) for name in sys.argv[1:]] or find_sessions(Places(project_root() / "dataset").runs)
    out = Path(__file__).parents[1] / "docs" / "images" / "agent.webp"
    out.write_bytes(clip(runs, width=400))
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main()
