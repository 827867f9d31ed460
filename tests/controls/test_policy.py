"""Playing: rows as in training, post-processing, modes, lost tracking, and the model's runners."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from protege.controls.features import LiveRows, build_rows
from protege.controls.files import ModelFiles, PolicyConfig, PostProcessing, weights_card, write_model
from protege.controls.metrics import Predictions, Thresholds
from protege.controls.model import Architecture, ControlTransformer
from protege.controls.onnx import export
from protege.controls.policy import ControlPolicy, load
from protege.controls.postprocess import ControlOutput, PostProcessor
from protege.controls.runtime import onnx_runner, open_runner, open_session, torch_runner
from protege.controls.tables import DEFAULT_STATE, HEADS, NAMES, SCREEN, SLOT, head_names
from protege.controls.windows import Statistics, prepare
from protege.errors import UserError

FRAME = np.ones(260, np.float32)
HZ = 30


def said(look=(0, 0), slot=None, cursor=(0.5, 0.5), sure=0.9, **probabilities):
    """What the heads say: named probabilities, the rest 0."""
    hotbar = np.full(9, (1 - sure) / 8 if slot is not None else 1 / 9, np.float32)
    if slot is not None:
        hotbar[slot] = sure
    action, clicks = (
        np.array([probabilities.get(name, 0.0) for name in head_names(head)], np.float32)
        for head in ("action", "inventory")
    )
    return Predictions(action, np.array(look, np.float32), hotbar, np.array(cursor, np.float32), clicks)


class Player:
    """A post-processor that is asked once a frame."""

    def __init__(self, **settings):
        self.after = PostProcessor(settings=PostProcessing(**settings))
        self.frame = 0

    def __call__(self, decision, screen=False, slot=None):
        self.frame += 1
        return self.after.step(decision, screen, slot, self.frame / HZ)


def test_a_stream_has_the_rows_of_training_bit_by_bit(played):
    statistics = Statistics.of(prepare([played]).known_rows)
    prepared = prepare([played], statistics=statistics, first_target=0)
    expected = prepared.batch(np.arange(len(prepared)))
    live = LiveRows(statistics.mean, statistics.std)
    for t in range(400):
        live.push(played.frames[t], played.game_state[max(t - 1, 0)])
        np.testing.assert_array_equal(live.inputs[0], expected.inputs[t])
        np.testing.assert_array_equal(live.mask[0], expected.mask[t])
        live.remember(played.controls[t])
    live.clear()
    live.push(played.frames[0], played.game_state[0])
    np.testing.assert_array_equal(live.inputs[0], expected.inputs[0])


def test_a_stream_that_is_not_standardised_has_the_rows_as_they_are(played):
    rows = build_rows(played.frames[:40], played.game_state[:40], played.controls[:40])
    live = LiveRows()
    for t in range(40):
        live.push(played.frames[t], played.game_state[max(t - 1, 0)])
        live.remember(played.controls[t])
    np.testing.assert_array_equal(live.inputs[0], rows[10:])


def test_it_takes_more_to_press_than_to_hold_on():
    player = Player()
    held = [bool(player(said(sneak=p)).held) for p in (0.54, 0.56, 0.46, 0.44, 0.54)]
    assert held == [False, True, True, False, False]


def test_a_pulse_is_pressed_once_and_again_only_after_the_cooldown():
    player = Player()
    on, off = said(attack=0.9), said()
    pressed = [t for t in range(30) if player(on if t % 2 == 0 else off).pressed]
    assert pressed == [0, 10, 20]
    assert [bool(Player()(on).pressed)] == [True]
    steady = Player()
    assert sum(bool(steady(on).pressed) for _ in range(60)) == 1


def test_a_pulse_that_rises_in_its_cooldown_is_pressed_afterwards_if_it_is_still_on():
    player = Player()
    player(said(jump=0.9))
    player(said())
    pressed = [bool(player(said(jump=0.9)).pressed) for _ in range(20)]
    assert pressed.index(True) == 7
    assert sum(pressed) == 1


def test_small_looks_are_nothing_and_large_ones_come_smoothly():
    player = Player()
    assert player(said(look=(0.079, -0.079))).look == (0, 0)
    yaws = [player(said(look=(1, 0))).look[0] for _ in range(12)]
    np.testing.assert_allclose(yaws[:3], [0.3, 0.5775, 0.725375], rtol=1e-5)
    assert np.diff([0, *yaws]).max() <= 0.3 + 1e-9
    assert yaws[-1] > 0.98
    plain = Player(look_ema=1.0, look_rate_limit=2.0)
    assert plain(said(look=(-1, 0.5))).look == (-1, 0.5)


def test_a_slot_is_said_once_on_a_change_and_only_when_sure():
    player = Player()
    assert player(said(slot=3, sure=0.45)).slot is None
    assert [player(said(slot=3), slot=0).slot for _ in range(3)] == [3, None, None]
    assert player(said(slot=3), slot=5).slot == 3  # the game changed it meanwhile
    assert player(said(slot=5), slot=5).slot == 5


def test_slot_0_is_a_slot_like_the_others():
    assert Player()(said(slot=0)).slot == 0  # nothing is known yet
    player = Player()
    assert player(said(slot=0), slot=0).slot is None
    assert player(said(slot=4), slot=0).slot == 4
    assert player(said(slot=0), slot=4).slot == 0
    assert player(said(slot=0), slot=0).slot is None
    player.after.reset()
    assert player(said(slot=0)).slot == 0


def test_the_cursor_begins_in_the_middle_and_moves_half_way():
    player = Player()
    xs = [player(said(cursor=(1, 0)), screen=True).cursor for _ in range(3)]
    assert xs == [(0.75, 0.25), (0.875, 0.125), (0.9375, 0.0625)]
    player(said())
    assert player(said(cursor=(0.5, 0.5)), screen=True).cursor == (0.5, 0.5)


def test_a_screen_lets_go_of_what_gameplay_held_and_the_other_way_round():
    player = Player()
    both = said(move_forward=0.9, use_item=0.9, inv_shift=0.9, look=(1, 1), slot=2, attack=0.9, inv_left_click=0.9)
    out = player(both)
    assert out.held == {"move_forward", "use_item"}
    assert out.pressed == {"attack"}
    out = player(both, screen=True)
    assert out.held == {"inv_shift"}
    assert (out.pressed, out.look, out.slot) == ({"inv_left_click"}, (0, 0), None)
    between = said(move_forward=0.5, inv_shift=0.5)  # would go on by hysteresis, but was let go of
    assert player(between).held == frozenset()
    assert player(between, screen=True).held == frozenset()


def test_the_inventory_opens_and_closes_in_both_modes():
    player = Player()
    assert player(said(open_inventory=0.9)).pressed == {"open_inventory"}
    for _ in range(10):
        assert player(said(), screen=True).pressed == frozenset()
    assert player(said(open_inventory=0.9), screen=True).pressed == {"open_inventory"}


def test_thresholds_are_those_of_each_control():
    limits = dict(zip(head_names("action"), np.linspace(0.1, 0.8, 12), strict=True))
    after = PostProcessor(Thresholds(tuple(limits.values()), 0.3, (0.2, 0.5, 0.9)))
    out = after.step(said(sprint=limits["sprint"] + 0.06, sneak=limits["sneak"] + 0.04, slot=1, sure=0.35), False, 0, 0)
    assert (out.held, out.slot) == ({"sprint"}, 1)
    out = after.step(said(inv_left_click=0.3, inv_right_click=0.4, inv_shift=0.93), True, 0, 1)
    assert out.pressed == {"inv_left_click"}
    assert out.held == frozenset()


def test_an_outputs_vector_is_what_a_recorder_would_write():
    output = ControlOutput(False, frozenset(("sneak",)), frozenset(("jump",)), (0.25, -0.5), 8)
    vector = output.vector
    assert {NAMES[i]: float(v) for i, v in enumerate(vector) if v} == {
        **{"sneak": 1, "jump": 1, "look_yaw": 0.25, "look_pitch": -0.5, "hotbar_9": 1}
    }
    assert list(ControlOutput(True, cursor=(0.25, 0.75)).vector[HEADS["cursor"]]) == [0.25, 0.75]


UNIT = st.floats(0, 1, width=32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(UNIT, UNIT, st.booleans(), st.floats(-1, 1, width=32), st.integers(0, 8)), max_size=40))
def test_whatever_the_model_says_the_modes_are_kept_apart(frames):
    player = Player()
    yaw = 0.0
    for p, q, screen, look, slot in frames:
        out = player(said((look, -look), slot, (p, q), p, attack=q, sneak=p, inv_shift=q, inv_left_click=p), screen)
        assert (out.cursor is not None) == screen == out.screen_open
        assert {name.startswith("inv_") for name in out.held | out.pressed} <= {screen}
        assert out.slot is None or not screen
        assert abs(out.look[0] - yaw) <= 0.3 + 1e-6 or screen
        assert np.abs(out.vector).max() <= 1
        yaw = out.look[0]


class Scripted:
    """A runner that says the same always; counts its calls."""

    def __init__(self, decision):
        self.decision, self.calls, self.history = decision, 0, []

    def __call__(self, inputs, mask):
        self.calls += 1
        self.history.append(inputs[0, mask[0]][-1, 531:].reshape(5, 28).copy())
        return self.decision


def state(**fields):
    made = DEFAULT_STATE.copy()
    for name, value in fields.items():
        made[{"screen": SCREEN, "slot": SLOT}[name]] = value
    return made


def test_nothing_is_done_before_three_frames():
    policy = ControlPolicy(Scripted(said(move_forward=0.9)))
    held = [bool(policy.step(FRAME, None, t / HZ).held) for t in range(4)]
    assert held == [False, False, True, True]


def test_its_own_outputs_are_its_history():
    runner = Scripted(said(move_forward=0.9, attack=0.9))
    policy = ControlPolicy(runner)
    outputs = [policy.step(FRAME, None, t / HZ).vector for t in range(10)]
    np.testing.assert_array_equal(runner.history[-1], outputs[4:9])
    policy.reset()
    for t in range(3):
        policy.step(FRAME, None, 20 + t / HZ)
    assert not runner.history[-1].any()


@pytest.mark.parametrize(
    "gone", [None, np.zeros(260, np.float32), np.full(260, np.nan, np.float32), np.ones(259, np.float32)]
)
def test_while_nobody_is_in_sight_holds_stay_but_nothing_turns_and_after_10_s_all_is_let_go(gone):
    runner = Scripted(said(move_forward=0.9, attack=0.9, look=(1, 1)))
    policy = ControlPolicy(runner)
    for t in range(10):
        policy.step(FRAME, None, t / HZ)
    calls = runner.calls
    out = policy.step(gone, None, 1.0)
    assert (out.held, out.pressed, out.look) == ({"move_forward"}, frozenset(), (0, 0))
    assert policy.step(gone, None, 10.0).held == {"move_forward"}
    assert policy.step(gone, None, 10.4).held == frozenset()
    assert runner.calls == calls
    assert policy.step(FRAME, None, 10.5).held == frozenset()  # it begins anew, without frames or history
    assert policy.rows.count == 1


def test_a_stream_that_stops_for_10_s_begins_anew():
    policy = ControlPolicy(Scripted(said(move_forward=0.9)))
    for t in range(10):
        policy.step(FRAME, None, t / HZ)
    assert policy.step(FRAME, None, 60.0) == ControlOutput()
    assert policy.rows.count == 1


def test_a_screen_that_opens_while_nobody_is_in_sight_lets_go():
    policy = ControlPolicy(Scripted(said(move_forward=0.9)))
    for t in range(10):
        policy.step(FRAME, state(), t / HZ)
    assert policy.step(None, state(screen=0.33), 0.5).held == frozenset()


def test_the_mode_and_the_slot_are_the_games():
    policy = ControlPolicy(Scripted(said(move_forward=0.9, slot=4, inv_shift=0.9)))
    slots = [policy.step(FRAME, state(slot=0.5), t / HZ).slot for t in range(5)]
    assert slots == [None] * 5
    assert policy.step(FRAME, {"slot": 0}, 1.0).slot == 4
    assert policy.step(FRAME, {"slot": 0, "screen": "InventoryScreen"}, 1.1).held == {"inv_shift"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small model with random weights, exported."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    shape = Architecture(d_model=32, nhead=2, num_layers=2, dim_feedforward=32)
    model = ControlTransformer(shape).eval()
    files = ModelFiles.named(folder)
    write_model(files, model.state_dict(), PolicyConfig(shape), weights_card({}, HZ))
    export(model, files.onnx)
    return files


def test_onnx_runtime_and_pytorch_say_the_same(trained, played):
    live = LiveRows()
    runners = [onnx_runner(trained.onnx), torch_runner(trained.weights)]
    for t in range(40):
        live.push(played.frames[t], played.game_state[t])
        first, second = (run(live.inputs, live.mask) for run in runners)
        for name, value in vars(first).items():
            np.testing.assert_allclose(value, vars(second)[name], atol=1e-5)
        assert first.hotbar.sum() == pytest.approx(1)
        assert ((first.action > 0) & (first.action < 1)).all()
    assert torch.get_num_threads() == 1


def test_a_policy_is_loaded_from_its_folder_or_its_file(trained, played):
    for source in (trained.weights, str(trained.weights.parent)):
        policy = load(source)
        policy.warm_up()
        outputs = [policy.step(played.frames[t], played.game_state[t], t / HZ) for t in range(35)]
        assert all(math.isfinite(output.look[0]) for output in outputs)


def test_an_export_older_than_its_weights_is_not_played(trained, tmp_path):
    import os
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(trained.weights.parent, folder)
    files = ModelFiles.find(folder)
    os.utime(files.onnx, (0, 0))
    with pytest.raises(UserError, match=r"\.onnx: no export"):
        open_runner(files, "onnx")
    assert open_runner(files)(*_blank())
    files.onnx.write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"\.onnx: not an ONNX model"):
        open_runner(files)
    with pytest.raises(UserError, match="expected one of auto, onnx, torch"):
        open_runner(files, "jax")


def test_a_name_in_an_export_never_steers_the_terminal(trained, tmp_path, capfd):
    import onnx

    model = onnx.load(trained.onnx)
    unused = model.graph.initializer.add()  # ONNX Runtime warns of it
    unused.CopyFrom(model.graph.initializer[0])
    unused.name = "\x1b[2Junused"
    onnx.save(model, tmp_path / "x.onnx")
    open_session(tmp_path / "x.onnx")
    assert "\x1b" not in "".join(capfd.readouterr())


def _blank():
    live = LiveRows()
    live.push(FRAME, DEFAULT_STATE)
    return live.inputs, live.mask


def test_a_folder_without_a_policy_and_a_wrong_option_are_named(tmp_path):
    with pytest.raises(UserError, match=r"control_policy_v2\.pt"):
        load(tmp_path)
