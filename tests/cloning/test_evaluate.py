"""Predictions of whole episodes: their numbers, the page, and the videos with keys drawn beside the pictures."""

import io
import json
import re
from base64 import b64decode
from dataclasses import replace

import av
import numpy as np
import pytest

from protege.cloning import cache, loader, pages
from protege.cloning.film import HELD, PANEL, RIGHT, WRONG, boxes, drawn
from protege.cloning.pages import (
    action_rows,
    chosen,
    episode_parts,
    held_and_predicted,
    page_of,
    timeline_png,
    write_files,
)
from protege.cloning.predictions import Predictions, Scored, collect, cross_entropy, judge
from protege.cloning.store import Dataset
from protege.cloning.writer import Writer
from protege.learn.video import encode

KEYS = ("left", "right", "attack", "never")
LENGTHS = (30, 21, 40)


def episode(rng, length):
    """Frames whose first pixels are their actions: what a perfect model would read off."""
    t = np.arange(length)
    actions = np.stack([t % 7 < 4, t // 4 % 3 == 1, (t >= 8) & (t < 14), t < 0], axis=1)
    frames = rng.integers(0, 200, (length, 3, 16, 25), dtype=np.uint8)
    frames[:, 0, 0, :4] = actions * 255
    return frames, actions


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    writer = Writer(folder / "episodes.zarr", KEYS)
    rng = np.random.default_rng(3)
    for length in LENGTHS:
        writer.episode(*episode(rng, length))
    return cache.build(Dataset.open(folder / "episodes.zarr"))


def reads(batch):
    """A model that reads the actions off the picture and is 90 % sure; of a later slot it knows nothing."""
    now = batch.frames[:, -1, 0, 0, :4] > 200
    return np.stack([np.where(now, 0.9, 0.1)] + [np.full(now.shape, 0.2)] * (batch.actions.shape[1] - 1), axis=1)


@pytest.fixture(scope="module")
def predictions(held):
    options = loader.LoaderOptions(batch_size=16, shuffle=False, threads=0)
    return collect(loader.batches(held, ["episode_2", "episode_0"], options), reads, KEYS, held.offsets)


@pytest.fixture(scope="module")
def evaluation(held, predictions):
    about: Scored = {"model": "reader", "dataset": "episodes.zarr", "split": "test"}
    return judge(predictions, np.array([0.5, 0.5, 0.95, 0.5]), held.actions[held.rows(["episode_1"])], about)


def test_every_real_frame_is_predicted_once_and_knows_its_episode(held, predictions):
    assert predictions.episodes == ("episode_0", "episode_2")
    assert len(predictions.rows) == LENGTHS[0] + LENGTHS[2]  # 70: the last batch of 16 is filled up
    assert sorted(predictions.rows) == sorted(held.rows(["episode_0", "episode_2"]))
    for e, name in enumerate(predictions.episodes):
        assert sorted(predictions.rows[predictions.episode == e]) == list(held.rows([name]))
    assert (predictions.truth[:, 0] == held.actions[predictions.rows]).all()


def test_scores_are_those_of_the_thresholds(evaluation):
    found = evaluation.to_json()
    assert found["actions"]["left"]["f1"] == found["actions"]["right"]["f1"] == 1.0
    assert found["actions"]["attack"]["recall"] == 0.0  # its threshold lies above everything
    assert found["others"]["at 0.5"]["exact_match"] == 1.0
    assert found["absent"] == ["never"]
    assert found["thresholds"]["attack"] == 0.95
    assert found["cross_entropy"] == pytest.approx(-np.log(0.9))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_baselines_stand_beside_the_model(held, evaluation):
    train = held.actions[held.rows(["episode_1"])]
    rows, counts = np.unique(train, axis=0, return_counts=True)
    same = (evaluation.truth == rows[counts.argmax()]).all(1).mean()
    assert evaluation.others["majority"].exact_match == pytest.approx(same)
    assert evaluation.others["copy previous"].onsets.start_recall == 0.0
    assert evaluation.others["copy previous"].exact_match > same


def test_a_model_of_several_slots_is_scored_by_its_first_and_each_slot_is_reported(held):
    options = loader.LoaderOptions(batch_size=8, shuffle=False, horizon=3, threads=0)
    found = collect(loader.batches(held, ["episode_0"], options), reads, KEYS, held.offsets)
    assert found.truth.shape == (LENGTHS[0], 3, 4)  # past the end no key is held
    judged = judge(found, np.full(4, 0.5), held.actions, {"model": "m"})
    idle = [float((~found.truth[:, h]).all(1).mean()) for h in range(3)]
    assert judged.slots == pytest.approx((1.0, idle[1], idle[2]))
    assert judged.scores.exact_match == 1.0


def test_cross_entropy_is_a_mean_over_frames_and_never_infinite():
    probs, truth = np.array([[0.8], [0.5], [0.0]]), np.array([[1], [0], [1]], bool)
    assert cross_entropy(probs, truth) == pytest.approx(-(np.log(0.8) + np.log(0.5) + np.log(1e-7)) / 3)


def test_the_page_has_numbers_time_lines_and_videos_that_play(evaluation, held):
    text = page_of(evaluation, held.frames, "70 frames of episodes.zarr")
    assert "never (absent)" in text
    assert "copy previous" in text
    assert "<p>70 frames of episodes.zarr</p>" in text
    assert len(re.findall(r'src="data:image/png', text)) == 3  # confusion and two time lines
    videos = re.findall(r"data:video/mp4;base64,([^\"]+)", text)
    lengths = []
    for video in videos:
        with av.open(io.BytesIO(b64decode(video)), "r") as container:
            lengths.append(sum(1 for _ in container.decode(video=0)))
    assert sorted(lengths) == [30, 40]


def by_hand(truth, pred, episode):
    """The evaluation of predictions that are sure; truth, pred: rows of three actions."""
    probs = np.where(np.array(pred, bool), 0.9, 0.1).astype(np.float32)[:, None]
    names = tuple(f"episode_{e}" for e in sorted(set(episode)))
    count = np.arange(len(truth))
    found = Predictions(KEYS[:3], names, probs, np.array(truth, bool)[:, None], count, np.array(episode))
    return judge(found, np.full(3, 0.5), np.array(truth, bool), {"model": "m"})


def test_what_is_predicted_while_an_action_is_held_by_hand():
    truth = [[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]]
    pred = [[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]]
    used, parts = held_and_predicted(by_hand(truth, pred, [0] * 5))
    assert used.tolist() == [0, 1]
    assert parts.tolist() == [[0.75, 0.25, 0], [0, 0, 0]]


def test_a_line_of_an_action_counts_held_before_predicted():
    rows = action_rows(by_hand([[1, 0, 0]] * 3 + [[0, 0, 0]], [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]], [0] * 4))
    assert rows[0]["cells"][:6] == ["3", "1", "1", "0", "2", "1"]


def test_episodes_without_pictures_are_not_shown():
    found = by_hand([[1, 0, 0]] * 4, [[1, 0, 0]] * 2 + [[0, 0, 0], [1, 0, 0]], [0, 0, 1, 2])
    rows = np.array([0, 1, -1, 2])
    assert list(chosen(replace(found, predictions=replace(found.predictions, rows=rows)))) == [0, 2]


def filmed(parts):
    """The pictures (h, w, 3) of an episode's video."""
    with av.open(io.BytesIO(b64decode(parts["film"].partition(",")[2])), "r") as container:
        return [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]


def test_only_the_beginning_of_a_long_episode_is_filmed():
    count = pages.FILM_FRAMES + 5
    found = by_hand([[1, 0, 0]] * count, [[1, 0, 0]] * count, [0] * count)
    flat = np.zeros((count, 3, 2, 480), np.uint8)
    assert len(filmed(episode_parts(found, flat, 0, "", 10.0, True))) == pages.FILM_FRAMES


def test_of_several_episodes_the_best_the_worst_and_the_one_between_are_shown():
    truth, wrong = [[1, 0, 0]] * 4, [[0, 1, 0]]
    episodes = [truth, wrong * 4, truth[:2] + wrong * 2, truth[:3] + wrong, truth[:1] + wrong * 3]
    found = by_hand(truth * 5, [row for rows in episodes for row in rows], [e for e in range(5) for _ in range(4)])
    titles = chosen(found)
    assert [(e, title.split(", ")[1].split(":")[0]) for e, title in titles.items()] == [
        (0, "the best"),
        (1, "the worst"),
        (2, "in between"),
    ]


def test_an_episode_is_shown_with_its_own_pictures_in_seconds(evaluation, held):
    own = held.frames[held.rows(["episode_2"])]
    shown = filmed(episode_parts(evaluation, held.frames, 1, "", 10.0, True))
    height, width = own.shape[2:]
    scale = round(480 / width)
    small = [picture[scale // 2 :: scale, scale // 2 :: scale][:height, :width].transpose(2, 0, 1) for picture in shown]
    assert np.abs(np.array(small) - own.astype(float)).mean() < 8
    places = np.flatnonzero(evaluation.predictions.episode == 1)
    assert timeline_png(evaluation, held.frames, places, 10.0) != timeline_png(evaluation, held.frames, places, 20.0)


def test_files_are_written_together_or_not_at_all(tmp_path):
    one, other = tmp_path / "new" / "a.json", tmp_path / "page.html"
    write_files({one: "1", other: "2"})
    assert (one.read_text(), other.read_text()) == ("1", "2")
    other.unlink()
    other.mkdir()
    with pytest.raises(OSError, match=r"page\.html"):
        write_files({one: "3", other: "4"})
    assert one.read_text() == "1"
    assert not list(tmp_path.rglob(".*"))


def test_the_best_and_the_worst_episode_are_shown(evaluation):
    titles = chosen(evaluation)
    share = [(evaluation.pred == evaluation.truth)[evaluation.predictions.episode == e].all(1).mean() for e in range(2)]
    assert list(titles) == [int(np.argmax(share)), int(np.argmin(share))]
    assert "the best" in titles[int(np.argmax(share))]
    assert "the worst" in titles[int(np.argmin(share))]


def test_pressed_and_predicted_keys_are_drawn_beside_the_picture():
    frame = np.full((3, 16, 25), 77, np.uint8)
    truth = np.array([[1, 0, 1, 0]], bool)
    pred = np.array([[1, 1, 0, 0]], bool)
    (picture,) = drawn([frame], truth, pred, KEYS)
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    assert (picture[: 16 * 19, : 25 * 19] == 77).all()
    panel = picture[:, -PANEL:].reshape(-1, 3)
    assert (panel == RIGHT).all(1).sum() > 300  # left, pressed and predicted: a whole box
    assert (panel == WRONG).all(1).sum() > 400  # right, predicted only: a whole box; attack, missed: a frame
    (nothing,) = drawn([frame], truth[:, ::-1] & False, pred & False, KEYS)
    assert not ((nothing == RIGHT).all(2) | (nothing == WRONG).all(2)).any()


def test_every_box_has_its_colour_in_its_column():
    truth, pred = np.array([[1, 0, 1, 0]], bool), np.array([[1, 1, 0, 0]], bool)
    (picture,) = drawn([np.zeros((3, 3, 25), np.uint8)], truth, pred, KEYS)
    assert picture.shape[0] % 2 == 0
    panel = picture[:, -PANEL:]
    ground = tuple(panel[0, 0])
    colours = [[tuple(panel[top + 7, left + 7]) for left, top, _, _ in boxes(row)] for row in range(4)]
    assert colours == [[HELD, RIGHT], [ground, WRONG], [HELD, ground], [ground, ground]]
    left, top = boxes(2)[1][:2]
    assert tuple(panel[top, left + 7]) == WRONG  # the frame of a key that was missed


def test_a_video_holds_the_pictures_at_its_rate():
    pictures = [np.full((32, 64, 3), 40 * n, np.uint8) for n in range(5)]
    with av.open(io.BytesIO(encode(pictures, 12.5)), "r") as container:
        assert container.streams.video[0].average_rate == pytest.approx(12.5)
        found = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(found) == 5
    for picture, decoded in zip(pictures, found, strict=True):
        assert np.abs(picture.astype(int) - decoded).mean() < 4


def test_the_score_says_how_the_model_plays_too(held):
    """Where every key stays below its threshold, scoring holds none and playing the likeliest."""
    options = loader.LoaderOptions(batch_size=16, shuffle=False, threads=0)
    found = collect(loader.batches(held, ["episode_0"], options), reads, KEYS, held.offsets)
    judged = judge(found, np.full(4, 0.95), held.actions[held.rows(["episode_1"])], {"model": "m"})
    truth = found.truth[:, 0]
    assert judged.scores.exact_match == pytest.approx((~truth.any(1)).mean())
    assert judged.others["as played"].exact_match > judged.scores.exact_match
