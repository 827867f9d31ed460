"""The way our origin labeled, told again to measure ourselves against: every frame is decoded and encoded anew.

Each frame also gets a JSON file of its own. Usage: python bench/label_origin.py SESSION OUT
"""

import json
import sys
from pathlib import Path

from PIL import Image

from protege.core import HORIZON, Session

SEGMENT_FRAMES = 40


def main(folder: Path, out: Path) -> None:
    """Cut a session by frame count into segments of 40, and write a picture, a JSON file and a sample a frame."""
    session = Session.open(folder)
    actions = [sorted(action) or ["none"] for action in session.info.space.decode(session.actions())]
    flat = [keys[0] for keys in actions]
    goals = {i: span.goal for span in session.spans() for i in range(span.start, span.stop)}
    for number, start in enumerate(range(0, len(session), SEGMENT_FRAMES)):
        stop = min(start + SEGMENT_FRAMES, len(session))
        segment = out / f"segment_{number:04d}"
        segment.mkdir(parents=True)
        samples = []
        for i in range(start, stop):
            name = f"frame_{i - start:04d}"
            Image.open(session.path(i)).convert("RGB").save(segment / f"{name}.jpg", quality=90)
            sequence = (flat[i : min(i + HORIZON, stop)] + ["none"] * HORIZON)[:HORIZON]
            text = f"Goal: {goals[i]}\n\nPredict the next {HORIZON} actions:"
            content = [{"type": "image", "image": f"{name}.jpg"}, {"type": "text", "text": text}]
            answer = {"role": "assistant", "content": json.dumps({"actions": sequence})}
            sample = {"messages": [{"role": "user", "content": content}, answer]}
            (segment / f"{name}.json").write_text(json.dumps({"action_sequence": sequence, **sample}, indent=2))
            samples.append(sample)
        (segment / "samples.json").write_text(json.dumps(samples, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
