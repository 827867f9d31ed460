"""Makes docs/images/agent.webp from what a demo left: the model playing, with its keys.

make demo && .venv/bin/python scripts/agent_picture.py
"""

from pathlib import Path

from protege.demo.clip import clip
from protege.demo.places import Places
from protege.play.paths import project_root
from protege.play.session import find_sessions


def main() -> None:
    runs = find_sessions(Places(project_root() / "dataset").runs)
    out = Path(__file__).parents[1] / "docs" / "images" / "agent.webp"
    out.write_bytes(clip(runs, width=400))
    print(out, out.stat().st_size)


if __name__ == "__main__":
    main()
