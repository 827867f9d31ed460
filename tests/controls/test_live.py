"""Playing a recording or a live stream, as the commands do it."""

import gc
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from protege import cli
from protege.controls.bridge import PrintBridge
from protege.controls.files import ModelFiles, PolicyConfig, weights_card, write_model
from protege.controls.live import Feature, from_lines, from_recording, open_stream, parse, play
from protege.controls.metrics import Predictions, Thresholds
from protege.controls.model import Architecture, ControlTransformer
from protege.controls.policy import ControlPolicy
from protege.controls.postprocess import ControlOutput
from protege.controls.recordings import write
from protege.controls.synth import SynthOptions, synthesize
from protege.devices import x11_keys
from protege.errors import UserError
from tests.fakes import FakeClock

ROOT = Path(__file__).parents[2]
FRAME = [1.0] * 260


class Noted:
    """A bridge that keeps what it is sent."""

    def __init__(self):
        self.sent: list[ControlOutput | None] = []
        self.told: dict[str, str] | None = None

    def send(self, output, time_s):
        self.sent.append(output)

    def state(self):
        return self.told

    def release_all(self):
        self.sent.append(None)

    def close(self):
        """Nothing."""


def forward(inputs, mask):
    action = np.zeros(12, np.float32)
    action[0] = 0.9
    look, hotbar, cursor, clicks = (np.zeros(size, np.float32) for size in (2, 9, 2, 3))
    return Predictions(action, look, hotbar, cursor, clicks)


@pytest.fixture
def policy():
    return ControlPolicy(forward)


def test_a_recording_is_played_at_its_own_speed_with_the_state_of_the_frame_before(played):
    clock = FakeClock()
    begin = clock.now_ns()
    features = []
    for feature in from_recording(played, clock):
        features.append((clock.now_ns() - begin, feature))
    assert len(features) == len(played)
    assert features[90][0] == pytest.approx(3e9, abs=2)
    np.testing.assert_array_equal(features[7][1].frame, played.frames[7])
    states = np.stack([feature.state for _, feature in features])
    np.testing.assert_array_equal(states[1:], played.game_state[:-1])
    assert (states != played.game_state).any()


def test_everything_is_let_go_of_at_the_end_and_after_an_error(policy):
    bridge = Noted()
    counts = play(policy, iter([Feature(np.ones(260, np.float32))] * 5), bridge, FakeClock())
    assert [output.held for output in bridge.sent[2:5] if output] == [{"move_forward"}] * 3
    assert bridge.sent[-1] is None
    assert (counts.frames, counts.lost) == (5, 0)

    def broken():
        yield Feature(np.ones(260, np.float32))
        raise OSError("unplugged")

    bridge = Noted()
    with pytest.raises(OSError, match="unplugged"):
        play(policy, broken(), bridge, FakeClock())
    assert bridge.sent[-1] is None


def test_while_it_may_not_act_nothing_is_held_and_it_begins_anew(policy):
    bridge = Noted()
    may = iter([True] * 5 + [False] * 2 + [True] * 3)
    play(policy, iter([Feature(np.ones(260, np.float32))] * 10), bridge, FakeClock(), lambda: next(may))
    assert bridge.sent[4] == ControlOutput(held=frozenset(("move_forward",)))
    assert bridge.sent[5:7] == [None, None]
    assert [bool(output and output.held) for output in bridge.sent[7:10]] == [False, False, True]


def test_it_ends_when_time_is_up(policy):
    clock = FakeClock()

    def endless():
        while True:
            clock.advance(0.5)
            yield Feature(np.ones(260, np.float32))

    assert play(policy, endless(), Noted(), clock, max_s=10).frames == 19


def test_the_state_is_the_streams_or_else_the_games(policy):
    bridge = Noted()
    bridge.told = {"screen": "inventory"}
    frame = np.ones(260, np.float32)
    play(policy, iter([Feature(frame)] * 4 + [Feature(frame, {"screen": ""})]), bridge, FakeClock())
    assert [output.screen_open for output in bridge.sent[2:5] if output] == [True, True, False]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "{",
        "[1]",
        "3",
        '{"frame": "x"}',
        '{"frame": [1, 2]}',
        '{"frame": null}',
        '{"frame": {}}',
        "[" * 9999,
    ],
)
def test_a_line_that_is_none_counts_as_nobody_in_sight(line):
    assert parse(line).frame is None


def test_a_line_of_the_stream():
    feature = parse(json.dumps({"frame": FRAME, "state": {"slot": 3}}))
    assert feature.frame is not None
    assert feature.frame.tolist() == FRAME
    assert feature.state == {"slot": 3}
    assert parse(json.dumps({"frame": FRAME, "state": "open"})).state is None
    infinite = parse('{"frame": [' + ", ".join(["1e999"] * 260) + "]}").frame
    assert infinite is not None
    assert math.isinf(infinite[0])  # the policy takes it for nobody in sight


def test_a_stream_that_falls_silent_goes_on_without_anybody(tmp_path):
    pipe = tmp_path / "features"
    os.mkfifo(pipe)
    taken: queue.Queue[Feature] = queue.Queue()

    def take():
        for feature in from_lines(pipe.open(encoding="utf-8"), silence_s=0.05):
            taken.put(feature)

    thread = threading.Thread(target=take)
    thread.start()
    with pipe.open("w") as out:
        out.write(json.dumps({"frame": FRAME}) + "\n")
        out.flush()
        assert taken.get(timeout=10).frame is not None
        assert taken.get(timeout=10).frame is None  # nothing was written
    thread.join(10)
    assert not thread.is_alive()


def test_what_is_no_stream_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"--features .*none\.jsonl: No such file"):
        open_stream(str(tmp_path / "none.jsonl"), FakeClock())
    with pytest.raises(UserError, match=r"none\.npz"):
        open_stream(str(tmp_path / "none.npz"), FakeClock())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small model whose random weights hold every control all the time."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    shape = Architecture(d_model=16, nhead=2, num_layers=1, dim_feedforward=16)
    network = ControlTransformer(shape)
    with torch.no_grad():
        network.heads["action"].get_parameter("3.bias").fill_(9.0)
    files = ModelFiles.named(folder)
    config = PolicyConfig(shape, Thresholds((0.5,) * 12, 1.0, (0.5,) * 3))
    write_model(files, network.state_dict(), config, weights_card({}, 30))
    write(synthesize(0, "movement", SynthOptions(frames=45)), folder / "r.npz")
    return files


def test_agent_py_plays_a_recording(model):
    command = [sys.executable, "agent.py", "--model", str(model.weights), "--features"]
    recording = model.weights.parent / "r.npz"
    done = subprocess.run(
        [*command, str(recording), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == 45
    assert told[0]["held"] == []
    assert "move_forward" in told[44]["held"]
    assert "frames: 45" in done.stderr


def test_a_stream_on_standard_input_is_played(model):
    lines = "".join(json.dumps({"frame": FRAME, "state": {"slot": 0}}) + "\n" for _ in range(5)) + "rubbish\n"
    command = [sys.executable, "-m", "protege.cli", "play", "--model", str(model.weights.parent), "--features", "-"]
    done = subprocess.run(
        [*command, "--dry-run"], input=lines, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert [bool(json.loads(line)["held"]) for line in done.stdout.splitlines()] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]
    assert "frames: 5, without anybody in sight: 1" in done.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--model", "x/control_policy_v2.pt"], "--features"),
        (["--model", "x/none.pt", "--features", "r.npz"], "none.pt"),
        (["--features", "r.npz", "--bridge", "telepathy"], "--bridge telepathy"),
    ],
)
def test_mistakes_are_one_line(args, says, capsys):
    assert cli.run(["play", *args]) == 2
    assert says in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_model_of_landmarks_is_not_played_from_pictures(model, capsys):
    assert cli.run(["play", "--model", str(model.weights.parent), "--goal", "Go"]) == 2
    assert "--features FILE" in capsys.readouterr().err


def test_it_prints_what_a_mod_would_hear(policy, played):
    import io

    out = io.StringIO()
    bridge = PrintBridge(out)
    play(policy, iter([Feature(frame) for frame in played.frames[:5]]), bridge, FakeClock())
    assert json.loads(out.getvalue().splitlines()[-1])["held"] == ["move_forward"]


def test_real_keys_are_pressed_in_the_focused_window_and_up_again_at_the_end(model, xvfb):
    from protege.controls.bridge import MINECRAFT

    window = subprocess.Popen([sys.executable, "-c", WINDOW], stdout=subprocess.PIPE, text=True)
    try:
        assert window.stdout is not None
        assert window.stdout.readline() == "open\n"
        command = [sys.executable, "-m", "protege.cli", "play", "--model", str(model.weights), "--features"]
        recording = model.weights.parent / "r.npz"
        options = ["--window", "Fake Minecraft", "--countdown", "0"]
        with subprocess.Popen(
            [*command, str(recording), *options], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as player:
            seen: set[str] = set()
            while player.poll() is None:
                seen |= x11_keys.keys_down(MINECRAFT.pressable)
                time.sleep(0.02)
            _, err = player.communicate()
        assert player.returncode == 0, err
        assert {"w", "ctrl"} <= seen
        assert x11_keys.keys_down(MINECRAFT.pressable) == set()
    finally:
        window.kill()
        window.communicate()
        gc.collect()


WINDOW = """
import time
from protege.devices import x11, x11_keys
from Xlib import X
d = x11.open_display()
w = d.screen().root.create_window(0, 0, 300, 200, 0, d.screen().root_depth, event_mask=X.StructureNotifyMask)
w.set_wm_name("Fake Minecraft")
w.map()
d.sync()
while d.next_event().type != X.MapNotify:
    pass
w.set_input_focus(X.RevertToPointerRoot, X.CurrentTime)
d.sync()
print("open", flush=True)
time.sleep(120)
"""
