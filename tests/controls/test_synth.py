"""Simulated recordings, and the commands that make and show them."""

import json

import numpy as np
import pytest

from protege import cli
from protege.controls.recordings import scan
from protege.controls.synth import TYPES, SynthOptions, decode, synthesize
from protege.controls.tables import CONTROLS, HEADS, INPUTS, NAMES, OPEN_INVENTORY, SCREEN
from protege.errors import UserError


@pytest.fixture(scope="module")
def long_play():
    return synthesize(1, "inventory", SynthOptions(frames=6000))


def test_a_seed_says_everything(played):
    again = synthesize(3, "mixed", SynthOptions(frames=1800))
    np.testing.assert_array_equal(again.frames, played.frames)
    np.testing.assert_array_equal(again.controls, played.controls)
    assert (synthesize(4, "mixed", SynthOptions(frames=1800)).controls != played.controls).any()


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_uses_its_controls_in_the_mode_they_belong_to(kind):
    made = synthesize(0, kind, SynthOptions(frames=9000))
    screen = made.game_state[:, SCREEN] > 0
    used = np.abs(made.controls).max(axis=0) > 0
    assert used[HEADS["action"]].all()
    assert used[HEADS["look"]].all()
    assert not made.controls[~screen][:, [*HEADS["cursor"], *HEADS["inventory"]]].any()
    gameplay = [c for c in (*HEADS["action"], *HEADS["look"], *HEADS["hotbar"]) if c != OPEN_INVENTORY]
    assert not made.controls[screen][:, gameplay].any()
    assert (made.controls[:, HEADS["hotbar"]].sum(axis=1) <= 1).all()
    np.testing.assert_array_equal(made.controls[1:, OPEN_INVENTORY] > 0, np.diff(screen))


def test_hands_are_missing_now_and_then(long_play):
    for hand in ("left", "right"):
        present = long_play.frames[:, INPUTS[f"{hand}_present"]][:, 0]
        assert set(np.unique(present)) == {0, 1}
        assert 0.03 < 1 - present.mean() < 0.3
        assert not long_play.frames[present == 0, INPUTS[f"{hand}_hand"]].any()


def test_the_rule_reads_the_controls_from_the_body_alone(long_play):
    read = decode(long_play)
    for name in ("move_forward", "sneak", "use_item", "jump", "inv_left_click", "open_inventory"):
        column = NAMES.index(name)
        truth, guess = long_play.controls[:, column] > 0.5, read[:, column] > 0.5
        hits = (truth & guess).sum()
        assert truth.any()
        assert 2 * hits / (truth.sum() + guess.sum()) > 0.7, name
    assert read.shape == (6000, len(CONTROLS))


def test_the_body_is_late(played):
    early, late = (synthesize(0, "movement", SynthOptions(frames=3000, delay=d)) for d in (0, 5))
    column = NAMES.index("sneak")
    truth = early.controls[:, column] > 0.5
    agree = [np.mean((decode(made)[:, column] > 0.5) == truth) for made in (early, late)]
    assert agree[0] > agree[1]


def test_what_cannot_be_made_is_refused():
    with pytest.raises(UserError, match="--frames 3"):
        SynthOptions(frames=3)
    with pytest.raises(UserError, match="delay 0 to 10"):
        SynthOptions(delay=99)
    with pytest.raises(UserError, match="movement, combat, inventory, mixed"):
        synthesize(0, "dancing")


def test_synth_writes_recordings_of_all_types(tmp_path, capsys):
    out = tmp_path / "recordings"
    assert cli.run(["controls", "synth", "--recordings", "5", "--frames", "60", "--out", str(out)]) == 0
    found = scan([out])
    assert [(f.session_type, len(f)) for f in found.files] == [(kind, 60) for kind in [*TYPES, "movement"]]
    assert "5 recordings of 60 frames" in capsys.readouterr().out


def test_inspect_shows_frames_modes_rates_and_missing_hands(tmp_path, capsys):
    assert cli.run(["controls", "synth", "--recordings", "4", "--frames", "900", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    assert cli.run(["controls", "inspect", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "900 frames, 30.0 s at 30 a second, combat" in text
    for part in ("gameplay", "screen open", "idle", "left hand missing", "move_forward", "a minute", "never"):
        assert part in text


def test_inspect_counts_what_was_put_in(recording, tmp_path, capsys):
    from protege.controls.recordings import write

    made = recording(60)
    made.controls[10:20, NAMES.index("sneak")] = 1
    made.controls[[5, 15, 30], NAMES.index("jump")] = 1
    made.frames[:, 225:227] = [1, 0]
    write(made, tmp_path / "r.npz")
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    assert cli.run(["controls", "inspect", "--json", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert "bad.npz" in err
    assert [skip["path"] for skip in answer["skipped"]] == [str(tmp_path / "bad.npz")]
    (found,) = answer["recordings"]
    assert found["rates"]["sneak"] == pytest.approx(1 / 6)
    assert found["rates"]["jump"] == pytest.approx(90)
    assert found["missing"] == {"left": 0.0, "right": 1.0}
    assert found["modes"]["gameplay"] == 1
    assert found["frames"] == 60


@pytest.mark.parametrize(
    ("args", "says"),
    [(["inspect", "no-such-file.npz"], "no-such-file.npz"), (["synth", "--type", "dancing"], "dancing")],
)
def test_mistakes_are_one_line(args, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["controls", *args]) == 2
    err = capsys.readouterr().err.strip()
    assert says in err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
