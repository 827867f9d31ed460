"""Windows: what they hold, what they count for, and what is dropped."""

import itertools

import numpy as np
import pytest

from protege.controls.augment import Augmentation
from protege.controls.features import build_rows
from protege.controls.recordings import RecordingFile, write
from protege.controls.tables import HEADS, INPUTS, NAMES, OPEN_INVENTORY, OPEN_INVENTORY_ACTION, SCREEN
from protege.controls.windows import Statistics, prepare
from protege.errors import UserError

OPENED, CLOSED = 35, 45


@pytest.fixture
def with_screen(recording):
    """Sixty frames with a screen open from OPENED to CLOSED, as the recorder writes them."""
    made = recording(60)
    made.game_state[OPENED:CLOSED, SCREEN] = 0.33
    made.controls[[OPENED, CLOSED], OPEN_INVENTORY] = 1
    made.controls[OPENED:CLOSED, HEADS["cursor"]] = 0.5
    return made


def test_a_window_is_the_30_rows_up_to_its_target(recording):
    one, two = recording(60, 1), recording(50, 2)
    prepared = prepare([one, two])
    rows = [build_rows(r.frames, r.game_state, r.controls) for r in (one, two)]
    assert len(prepared) == (60 - 2) + (50 - 2)
    batch = prepared.batch(np.arange(len(prepared)))
    targets = [(r, t) for r, length in ((0, 60), (1, 50)) for t in range(2, length)]
    for number, (r, t) in enumerate(targets):
        start, length = max(0, t - 29), min(t + 1, 30)
        np.testing.assert_array_equal(batch.inputs[number, :length], rows[r][start : t + 1])
        assert not batch.inputs[number, length:].any()
        assert batch.mask[number].sum() == length
        assert batch.mask[number, :length].all()


def test_full_windows_only_are_those_of_the_origin(recording):
    prepared = prepare([recording(60), recording(12, 1)], first_target=29)
    assert len(prepared) == 31 + 1
    assert list(prepared.lengths) == [30] * 31 + [12]
    assert prepared.batch(np.array([31])).mask.sum() == 12


def test_the_frame_that_opens_the_inventory_trains_open_inventory(with_screen):
    targets = prepare([with_screen], first_target=0).targets()
    assert targets.gameplay[OPENED]
    assert targets.controls[OPENED, OPEN_INVENTORY] == 1
    assert not targets.screen_open[OPENED]
    assert not targets.idle[OPENED]
    assert list(np.flatnonzero(targets.screen_open)) == list(range(OPENED + 1, CLOSED))
    assert list(np.flatnonzero(~targets.gameplay)) == list(range(OPENED + 1, CLOSED + 1))
    mask = targets.action_mask
    assert mask[:, OPEN_INVENTORY_ACTION].all()
    np.testing.assert_array_equal(
        np.delete(mask, OPEN_INVENTORY_ACTION, 1), np.repeat(targets.gameplay[:, None], 11, 1)
    )


def test_what_counts_as_a_look_and_as_a_change(recording):
    made = recording(40)
    yaw, pitch = HEADS["look"]
    made.controls[10, [yaw, pitch]] = 0.07
    made.controls[11, yaw] = -0.09
    made.controls[12, HEADS["hotbar"][8]] = 1
    made.controls[13, NAMES.index("attack")] = 1
    targets = prepare([made], first_target=0).targets()
    assert list(np.flatnonzero(targets.look_active)) == [10, 11]
    assert list(np.flatnonzero(prepare([made], first_target=0, look_rule="any").targets().look_active)) == [11]
    assert list(np.flatnonzero(targets.hotbar_changed)) == [12]
    assert list(np.flatnonzero(~targets.idle)) == [13]


def test_a_dropped_history_is_gone_from_the_whole_window(played):
    prepared = prepare([played])
    indices = np.arange(len(prepared))
    kept = prepared.batch(indices).inputs
    dropped = prepared.batch(indices, np.random.default_rng(0)).inputs
    history = INPUTS["history"]
    gone = np.abs(dropped[:, :, history]).max(axis=(1, 2)) == 0
    had = np.abs(kept[:, :, history]).max(axis=(1, 2)) > 0
    assert 0.25 < gone[had].mean() < 0.35
    np.testing.assert_array_equal(dropped[~gone], kept[~gone])
    np.testing.assert_array_equal(dropped[:, :, : history.start], kept[:, :, : history.start])


def test_frames_of_history_can_be_dropped_one_by_one(played):
    prepared = prepare([played])
    indices = np.arange(len(prepared))
    kept = prepared.batch(indices).inputs[:, :, INPUTS["history"]].reshape(len(indices), 30, 5, 28)
    batch = prepared.batch(indices, np.random.default_rng(0), history_block=False)
    left = batch.inputs[:, :, INPUTS["history"]].reshape(kept.shape)
    had, has = (np.abs(history).max(axis=(1, 3)) > 0 for history in (kept, left))
    assert 0.25 < 1 - has[had].mean() < 0.35
    assert any(0 < row.sum() < 5 for row in has[had.all(axis=1)])


def test_rows_are_standardised_with_the_training_recordings_statistics(played):
    plain = prepare([played])
    statistics = Statistics.of(plain.known_rows)
    prepared = prepare([played], statistics=statistics)
    rows = prepared.known_rows
    moving = statistics.std != 1
    assert moving.sum() > 400
    np.testing.assert_allclose(rows[:, moving].mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(rows[:, moving].std(axis=0), 1, atol=1e-3)
    blank = prepared.batch(np.arange(400), np.random.default_rng(1), history_dropout=1.0)
    expected = (0 - statistics.mean) / statistics.std
    np.testing.assert_allclose(
        blank.inputs[399, 0, INPUTS["history"]], expected[INPUTS["history"]], rtol=1e-4, atol=1e-6
    )
    assert not blank.inputs[0, 3:].any()  # empty rows stay empty


def test_statistics_are_the_mean_and_deviation_and_leave_constant_columns():
    rows = np.random.default_rng(0).normal(5, 2, (5000, 4)).astype(np.float32)
    rows[:, 2] = 1000
    statistics = Statistics.of(rows)
    np.testing.assert_allclose(statistics.mean, rows.astype(np.float64).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(statistics.std[[0, 1, 3]], rows[:, [0, 1, 3]].std(axis=0), rtol=1e-4)
    assert statistics.std[2] == 1


def test_augmentation_is_new_at_each_call_and_the_same_for_a_seed(played):
    def rows(seed, times=1):
        rng = np.random.default_rng(seed)
        return [prepare([played], Augmentation(), rng).rows for _ in range(times)]

    first, second = rows(0, 2)
    assert first.shape != second.shape or (first != second).any()
    np.testing.assert_array_equal(first, rows(0)[0])
    with pytest.raises(ValueError, match="rng"):
        prepare([played], Augmentation())


def test_a_damaged_file_is_skipped_and_named(recording, tmp_path):
    good, bad = write(recording(40), tmp_path / "good.npz"), write(recording(40), tmp_path / "bad.npz")
    data = bytearray(bad.read_bytes())
    data[len(data) // 2] ^= 0xFF
    bad.write_bytes(data)
    files = [RecordingFile(path, 40, 30.0, "mixed") for path in (bad, good)]
    prepared = prepare(files)
    assert [skip.path for skip in prepared.skipped] == [bad]
    assert len(prepared) == 38
    with pytest.raises(UserError, match=r"1 skipped: .*bad\.npz"):
        prepare(files[:1])


def test_a_recording_that_changes_meanwhile_is_an_error(recording, tmp_path):
    path = write(recording(40), tmp_path / "r.npz")
    with pytest.raises(UserError, match=r"r\.npz: it has changed"):
        prepare([RecordingFile(path, 41, 30.0, "mixed")])


def test_windows_never_cross_from_one_recording_into_another(recording):
    recordings = [recording(length, length) for length in (31, 33, 35)]
    prepared = prepare(recordings)
    spans = list(itertools.pairwise([0, *np.cumsum([31, 33, 35])]))
    assert list(prepared.spans) == spans
    for start, length in zip(prepared.starts, prepared.lengths, strict=True):
        assert sum(a <= start and start + length <= b for a, b in spans) == 1
