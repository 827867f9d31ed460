"""The way our origin prepared its data and decided, told again to measure ourselves against.

Frame by frame in Python where it was so, arrays read from the file as often as it read them, a dictionary a window,
history dropped entry by entry, one eager forward pass on a tiled history. Only the algorithm is the origin's.
"""

import random
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WINDOW, HISTORY, CONTROLS, STATE, COORDINATES = 30, 5, 28, 46, 225
Floats = NDArray[np.float32]


def velocity(frames: Floats) -> Floats:
    """(N, 225) frame differences, 0 for the first."""
    moved = np.zeros((len(frames), COORDINATES), dtype=np.float32)
    moved[1:] = frames[1:, :COORDINATES] - frames[:-1, :COORDINATES]
    return moved


def history(controls: Floats) -> Floats:
    """(N, 140), built one frame and one entry at a time."""
    built = np.zeros((len(controls), HISTORY * CONTROLS), dtype=np.float32)
    for frame in range(len(controls)):
        for entry in range(HISTORY):
            source = frame - HISTORY + entry
            if source >= 0:
                built[frame, entry * CONTROLS : (entry + 1) * CONTROLS] = controls[source]
    return built


def augment(frames: Floats, controls: Floats, state: Floats) -> tuple[Floats, Floats, Floats]:
    """Trimmed, warped in time and made noisy, once and for all."""
    length = len(frames)
    start, stop = int(length * random.uniform(0, 0.1)), length - int(length * random.uniform(0, 0.1))
    frames, controls, state = frames[start:stop], controls[start:stop], state[start:stop]
    length = len(frames)
    positions = np.linspace(0, length - 1, int(length / random.uniform(0.8, 1.2)))
    before = np.clip(positions.astype(int), 0, length - 2)
    share = (positions - before)[:, None].astype(np.float32)
    warped = frames[before] * (1 - share) + frames[before + 1] * share
    nearest = np.clip(np.round(positions).astype(int), 0, length - 1)
    noise = np.random.normal(0, 0.005, (len(warped), COORDINATES)).astype(np.float32)
    warped = warped.astype(np.float32)
    warped[:, :COORDINATES] += noise
    return warped, controls[nearest], state[nearest]


def mode_masks(control: Floats, state: Floats) -> dict[str, bool]:
    """Of one target frame."""
    is_open = bool(state[38] > 0)
    return {
        "gameplay": not is_open,
        "screen_open": is_open,
        "hotbar_changed": bool(np.any(control[14:23] > 0.5)),
        "look_active": bool(np.sqrt(control[9] ** 2 + control[10] ** 2) > 0.08),
    }


class OriginDataset:
    """Windows as views of a session's features, each with its target and a dictionary of masks."""

    def __init__(self, paths: list[Path], augmented: bool = True, dropout: float = 0.3, seed: int = 42) -> None:
        random.seed(seed)
        self.dropout = dropout
        self.samples: list[dict[str, Any]] = []
        self._files = []
        for path in paths:
            file = np.load(path)
            self._files.append(file)
            if len(file["frames"]) >= 2:
                self._add(file, augmented)
        random.shuffle(self.samples)

    def _add(self, file: Any, augmented: bool) -> None:
        frames = file["frames"].astype(np.float32)
        controls = file["controls"].astype(np.float32)
        state = file["game_state"].astype(np.float32) if file["game_state"].shape[1] == STATE else None
        assert state is not None
        if len(file["frames"]) != len(controls):
            return
        if augmented:
            frames, controls, state = augment(frames, controls, state)
        features = np.concatenate([frames, velocity(frames), state, history(controls)], axis=1)
        for end in range(WINDOW - 1, len(features)):
            self.samples.append(
                {
                    "features": features[end - WINDOW + 1 : end + 1],
                    "mask": np.ones(WINDOW, dtype=np.float32),
                    "target": controls[end],
                    "masks": mode_masks(controls[end], state[end]),
                }
            )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> tuple[Any, Any, Any, dict[str, bool]]:
        import torch

        sample = self.samples[number]
        features = sample["features"].copy()
        if self.dropout:
            first = features.shape[1] - HISTORY * CONTROLS
            for row in range(WINDOW):
                for entry in range(HISTORY):
                    if random.random() < self.dropout:
                        begin = first + entry * CONTROLS
                        features[row, begin : begin + CONTROLS] = 0
        return (
            torch.from_numpy(features),
            torch.from_numpy(sample["mask"]),
            torch.from_numpy(sample["target"]),
            sample["masks"],
        )


def collate(items: list[Any]) -> tuple[Any, Any, Any, dict[str, Any]]:
    """A batch of items."""
    import torch

    features, masks, targets, modes = zip(*items, strict=True)
    stacked = {name: torch.tensor([mode[name] for mode in modes]) for name in modes[0]}
    return torch.stack(features), torch.stack(masks), torch.stack(targets), stacked


class OriginPolicy:
    """One decision: velocity over the buffer, the newest history on every row, an eager forward pass, thresholds."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.frames: deque[Floats] = deque(maxlen=WINDOW)
        self.states: deque[Floats] = deque(maxlen=WINDOW)
        self.history: deque[Floats] = deque([np.zeros(CONTROLS, np.float32)] * HISTORY, maxlen=HISTORY)
        self.active = np.zeros(12, dtype=bool)
        self.look = np.zeros(2, dtype=np.float32)

    def decide(self, frame: Floats, state: Floats) -> Floats:
        """(28,) controls."""
        import torch

        self.frames.append(frame)
        self.states.append(state)
        if len(self.frames) < 3:
            return np.zeros(CONTROLS, np.float32)
        frames, states = np.stack(list(self.frames)), np.stack(list(self.states))
        past = np.tile(np.concatenate(list(self.history)), (len(frames), 1))
        features = np.concatenate([frames, velocity(frames), states, past], axis=1)
        mask = np.zeros(WINDOW, dtype=bool)
        mask[: len(features)] = True
        if len(features) < WINDOW:
            features = np.pad(features, ((0, WINDOW - len(features)), (0, 0)))
        with torch.no_grad():
            out = self.model(torch.from_numpy(features).unsqueeze(0), torch.from_numpy(mask).unsqueeze(0))
            action = torch.sigmoid(out.action)[0].numpy()
            look = out.look[0].numpy()
        controls = np.zeros(CONTROLS, np.float32)
        for number, probability in enumerate(action):
            limit = 0.45 if self.active[number] else 0.55
            self.active[number] = probability > limit
        for axis in range(2):
            wanted = 0.0 if abs(look[axis]) < 0.08 else float(look[axis])
            smooth = 0.35 * wanted + 0.65 * float(self.look[axis])
            self.look[axis] += min(max(smooth - self.look[axis], -0.3), 0.3)
        controls[[*range(9), 11, 12, 13]] = self.active
        controls[9:11] = self.look
        self.history.append(controls)
        return controls
