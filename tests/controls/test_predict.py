"""Predicting on the recorded history and on one's own; what copying says."""

import numpy as np
import pytest

from protege.controls import tables
from protege.controls.metrics import Predictions, Thresholds
from protege.controls.recordings import Recording
from protege.controls.windows import Statistics, prepare

torch = pytest.importorskip("torch")

from protege.controls.config import Architecture  # noqa: E402
from protege.controls.losses import PosWeights  # noqa: E402
from protege.controls.model import ControlTransformer  # noqa: E402
from protege.controls.predict import (  # noqa: E402
    copy_last,
    held,
    judge_all,
    of_model,
    predict_all,
    roll_out,
    truth_of,
    write_history,
)


def recording(length, seed):
    """Random poses and controls as a recorder writes them: those of the mode the screen of the frame before says."""
    rng = np.random.default_rng(seed)
    state = np.tile(tables.DEFAULT_STATE, (length, 1))
    state[length // 2 : length * 3 // 4, tables.SCREEN] = 1 / 3
    state[:, tables.SLOT] = np.repeat(rng.integers(0, 9, length // 10 + 1), 10)[:length] / 8
    before = np.concatenate([state[:1], state[:-1]])
    controls = np.zeros((length, 28), np.float32)
    playing = before[:, tables.SCREEN] == 0
    controls[:, tables.HEADS["action"]] = (rng.random((length, 12)) < 0.3) & playing[:, None]
    controls[:, tables.HEADS["look"]] = rng.uniform(0.1, 1, (length, 2)) * playing[:, None]
    controls[:, tables.HEADS["cursor"]] = rng.random((length, 2)) * ~playing[:, None]
    controls[:, tables.HEADS["inventory"]] = (rng.random((length, 3)) < 0.3) & ~playing[:, None]
    changed = np.flatnonzero((state != before)[:, tables.SLOT] & playing)
    slots = np.rint(state[changed, tables.SLOT] * 8).astype(int)
    controls[changed, tables.HEADS["hotbar"][slots]] = 1
    frames = rng.normal(size=(length, tables.FRAME)).astype(np.float32)
    return Recording(frames, controls, state, np.arange(length) / 30)


@pytest.fixture(scope="module")
def prepared():
    recordings = [recording(80, 0), recording(50, 1), recording(33, 2)]
    return prepare(recordings, statistics=Statistics.of(prepare(recordings).known_rows))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ControlTransformer(Architecture(d_model=16, nhead=2, num_layers=1, dim_feedforward=16)).eval()


class Oracle:
    """Says what was really pressed, and keeps the inputs it was shown."""

    def __init__(self, prepared):
        self.by_time = {}
        truth = truth_of(prepared)
        last = prepared.starts + prepared.lengths - 1
        starts = np.array([a for a, b in prepared.spans for _ in range(b - a)])
        self.order = np.lexsort((np.arange(len(last)), last - starts[last]))
        self.answers = iter(truth.controls[self.order])
        self.seen = []

    def __call__(self, inputs, mask):
        self.seen += list(inputs)
        return Predictions.of_controls(np.stack([next(self.answers) for _ in inputs]))


def test_an_own_history_of_the_true_controls_is_the_recorded_one(prepared):
    oracle = Oracle(prepared)
    found = roll_out(oracle, prepared, Thresholds())
    np.testing.assert_array_equal(found.action, truth_of(prepared).head("action"))
    expected = prepared.batch(oracle.order).inputs.copy()
    # windows begin to be predicted at the third frame: what was pressed before is not in an own history
    late = prepared.starts[oracle.order] + prepared.lengths[oracle.order] - 1
    starts = np.array([a for a, b in prepared.spans for _ in range(b - a)])
    whole = late - starts[late] >= 29 + tables.HISTORY_FRAMES + 2
    assert whole.sum() > 40
    np.testing.assert_allclose(np.stack(oracle.seen)[whole], expected[whole], atol=2e-5)


def test_a_history_never_reaches_into_the_next_recording():
    rows = np.zeros((20, tables.INPUT), np.float32)
    write_history(rows, np.array([9, 13]), np.array([12, 19]), np.ones((2, 28), np.float32), None)
    assert np.flatnonzero(rows.any(1)).tolist() == [10, 11, 14, 15, 16, 17, 18]
    history = rows[:, tables.INPUTS["history"]].reshape(20, tables.HISTORY_FRAMES, 28)
    assert history[10, -1].all()  # the newest comes last
    assert not history[10, :-1].any()
    assert history[18, 0].all()


def test_a_roll_out_begins_without_a_history_and_leaves_the_recorded_rows_alone(prepared):
    before, seen = prepared.rows.copy(), []

    def everything(inputs, mask):
        seen.append(inputs)
        return Predictions.of_controls(np.ones((len(inputs), 28), np.float32))

    roll_out(everything, prepared, Thresholds())
    np.testing.assert_array_equal(prepared.rows, before)
    blank = prepared.blank[tables.INPUTS["history"]]
    np.testing.assert_array_equal(seen[0][:, :3, tables.INPUTS["history"]], np.tile(blank, (3, 3, 1)))


def test_what_is_held_belongs_to_the_mode_and_names_a_new_slot():
    state = np.tile(tables.DEFAULT_STATE, (3, 1))
    state[1, tables.SCREEN] = 1 / 3
    state[2, tables.SLOT] = 4 / 8
    sure = Predictions.of_controls(np.ones((3, 28), np.float32))
    sure.hotbar[:] = np.eye(9)[4]
    sure.look[0] = (0.05, -0.5)
    playing, screen, same_slot = held(sure, state, Thresholds())
    name = tables.NAMES.index
    assert playing[tables.HEADS["action"]].all()
    assert playing[tables.HEADS["look"]].tolist() == [0, -0.5]
    assert playing[name("hotbar_5")] == 1
    assert not playing[tables.HEADS["inventory"]].any()
    assert screen[tables.HEADS["action"]].sum() == screen[tables.OPEN_INVENTORY] == 1
    assert not screen[tables.HEADS["look"]].any()
    assert not screen[tables.HEADS["hotbar"]].any()
    assert screen[tables.HEADS["cursor"]].tolist() == [1, 1]
    assert same_slot[tables.HEADS["hotbar"]].sum() == 0


def test_predictions_do_not_depend_on_the_batch(prepared, model):
    whole, parts = (predict_all(of_model(model), prepared, size) for size in (500, 7))
    for a, b in zip(vars(whole).values(), vars(parts).values(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_losses_are_those_of_all_windows_whatever_the_batch(prepared, model):
    weights = PosWeights(torch.full((12,), 3.0), torch.ones(3))
    found = [judge_all(model, prepared, weights, size)[1] for size in (500, 7)]
    for name in found[0]:
        assert found[0][name].mean.item() == pytest.approx(found[1][name].mean.item(), rel=1e-5)


def test_copying_says_the_controls_of_the_frame_before(prepared):
    found = copy_last(prepared)
    last = prepared.starts + prepared.lengths - 1
    controls = prepared.frame_targets.controls
    np.testing.assert_array_equal(found.action, controls[last - 1][:, tables.HEADS["action"]])


def test_the_slot_held_before_is_read_from_the_standardised_rows(prepared):
    truth, plain = truth_of(prepared), truth_of(prepare([recording(80, 0), recording(50, 1), recording(33, 2)]))
    np.testing.assert_array_equal(truth.slot, plain.slot)
    assert len(set(truth.slot)) > 3
