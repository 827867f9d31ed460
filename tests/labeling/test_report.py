"""The report: figures on data whose figures are known, warnings in words, a page that a browser shows."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from protege.core.labeled import LabeledSegment, find_segments
from protege.errors import UserError
from protege.labeling import Given, label
from protege.labeling.measure import entropy_bits, measure
from protege.labeling.pieces import open_contents
from protege.labeling.report import write_report
from tests.conftest import need
from tests.labeling.recordings import HOLD, record

W, RIGHT, LEFT, NONE = HOLD["w"], HOLD["right"], frozenset({"left"}), HOLD["none"]
VARIED = ([W] * 10 + [RIGHT] * 6 + [W] * 10 + [LEFT] * 6 + [HOLD["wr"]] * 2 + [NONE] * 6) * 3


def session(root, actions, name="s", goal="Go to the lantern", **kwargs):
    goals = [(0, goal, len(actions), "success")] if goal else []
    return record(root / "raw", actions, name=name, goals=goals, **kwargs)


def labeled(root, actions=VARIED, **kwargs):
    label([session(root, actions, **kwargs)], root / "out", Given())
    return root / "out"


def words(report):
    return "\n".join(str(warning) for warning in report.warnings)


def test_the_figures_are_those_of_the_recording(tmp_path):
    raw = write_report(session(tmp_path, VARIED).parent).measured
    label([tmp_path / "raw" / "s"], tmp_path / "out", Given())
    for data in (raw, write_report(tmp_path / "out").measured):
        assert data.frames == 120
        assert dict(data.held) == {"w": 66, "right": 24, "left": 18}
        assert data.idle_frames == 18
        assert dict(data.chord_frames) == {"w+right": 6}
        assert data.hold_s("left") == (3, 0.6, 0.6)
        assert data.hold_s("right") == (6, pytest.approx(0.4), 0.6)
        assert data.hold_s("w") == (9, 1.0, 1.0)
        assert data.turning == {"up": 0, "down": 0, "left": 0.15, "right": 0.2}
        assert data.constant["w"] == 4 * 6
        assert sum(data.first.values()) == data.windows == sum(data.chunks.values())
        assert data.goals["Go to the lantern"].segments == 3


def test_a_hold_across_two_segments_is_one_hold(tmp_path):
    contents, pieces = open_contents(session(tmp_path, [W] * 70 + [NONE] * 10))
    assert measure(pieces).hold_s("w") == (1, 7.0, 7.0)
    assert [s.name for s in contents.sessions] == ["s"]


def test_entropy_counts_in_bits():
    assert entropy_bits([5]) == 0
    assert entropy_bits([1, 1, 1, 1]) == 2
    assert entropy_bits([]) == 0
    assert entropy_bits([3, 1, 0]) == pytest.approx(0.8113, abs=1e-4)


def test_walking_straight_is_warned_about_with_the_remedy(tmp_path):
    text = words(write_report(labeled(tmp_path, [W] * 115 + [RIGHT] * 5)))
    assert re.search(r"9\d % of windows are only w: the agent will walk straight; record turning, or train with", text)
    assert 'one goal, "Go to the lantern", has 100 % of samples' in text
    assert "of the recommended 2 to 3 hours" in text


def test_turning_one_way_only_is_warned_about(tmp_path):
    text = words(write_report(labeled(tmp_path, ([W] * 5 + [LEFT] * 6) * 12 + [RIGHT] * 2)))
    assert "left 54 %, right 1 %: the agent will spin left" in text


def test_never_turning_and_lost_chords_are_warned_about(tmp_path):
    text = words(write_report(labeled(tmp_path, ([W] * 3 + [frozenset({"w", "space"})] * 2) * 20)))
    assert "the camera keys (up, down, left, right) are held in 0 % of frames" in text
    assert "several keys at once in 40 % of frames, and a slot names one" in text


def test_keys_that_are_pressed_for_an_instant_and_seldom_are_warned_about(tmp_path):
    use = frozenset({"enter"})
    text = words(write_report(labeled(tmp_path, ([W] * 40 + [use] + [LEFT] * 8 + [RIGHT] * 8) * 2)))
    assert "enter is pressed 2 times, for 0.1 s (median), in 2 % of frames: a model hardly learns to press it" in text
    assert "hold it for 0.3 s or longer, press it again until it works, and record more of it" in text
    longer = words(write_report(labeled(tmp_path / "longer", ([W] * 70 + [use] * 3 + [LEFT] * 8) * 2)))
    assert "a model hardly learns" not in longer


def test_the_door_s_key_in_the_built_in_game_is_held_long_enough_to_be_learned(tmp_path):
    pytest.importorskip("vizdoom")
    from protege.arena.record import record_episodes
    from protege.arena.tasks import Task

    episodes = [
        episode
        for task, count in ((Task.OPEN_DOOR, 2), (Task.GO_TO, 4))
        for episode in record_episodes(tmp_path / "raw", count, 5_000, (160, 120), noise=0, task=task)
    ]
    label([episode.folder for episode in episodes], tmp_path / "out", Given())
    for folder in (tmp_path / "raw", tmp_path / "out"):
        report = write_report(folder)
        assert not report.measured.momentary
        assert "momentary" not in words(report)


def test_equal_frames_and_segments_to_review_are_warned_about(tmp_path):
    folder = session(tmp_path, VARIED)
    for path in sorted((folder / "frames").iterdir())[1:]:
        shutil.copyfile(folder / "frames" / "000000.jpg", path)
    label([folder], tmp_path / "out", Given())
    path = find_segments(tmp_path / "out")[0]
    waiting = replace(LabeledSegment.load(path), status="needs_review", why="it has 1 words")
    (path / "segment.json").write_text(json.dumps(waiting.to_json()))
    text = words(write_report(tmp_path / "out"))
    assert "100 % of neighbouring frames are equal" in text
    assert "1 of 3 segments need review" in text
    assert "1 of 1 sessions are not good" in text


def test_good_data_gets_no_warning_but_about_its_amount(tmp_path):
    plays = [VARIED + [NONE] * 8, (VARIED + [NONE] * 8)[10:], VARIED[20:] + [NONE] * 8]
    folders = [
        session(tmp_path, play, name=f"s{i}", goal=f"Go to door {i}", size=(64, 48)) for i, play in enumerate(plays)
    ]
    label(folders, tmp_path / "out", Given())
    report = write_report(tmp_path / "out")
    assert [w.found.split(" ")[1] for w in report.warnings] == ["minutes"]


def test_a_video_without_keys_and_a_broken_session_stand_in_the_report(tmp_path):
    record(tmp_path / "raw", [NONE] * 40, name="v", extra={"keys": False})
    broken = session(tmp_path, VARIED, name="b")
    (broken / "events.jsonl").write_text("rubbish\n")
    report = write_report(tmp_path / "raw")
    assert len(report.contents.unread) == 2
    assert "no training windows at all" in words(report)


def test_a_folder_with_nothing_in_it_is_refused(tmp_path):
    with pytest.raises(UserError, match="protege record"):
        write_report(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        write_report(tmp_path / "none")
    with pytest.raises(UserError, match=r"--out .*cannot be written"):
        write_report(labeled(tmp_path), tmp_path / "no" / "folder.html")


def test_words_of_a_goal_cannot_become_markup(tmp_path):
    evil = '<script src="http://example.org/x.js"></script>'
    report = write_report(labeled(tmp_path, goal=evil))
    text = report.page.read_text()
    assert "<script" not in text
    assert "&lt;script" in text


def test_the_printed_essence_holds_the_figures_and_every_warning(tmp_path):
    report = write_report(labeled(tmp_path))
    text = "\n".join(report.lines())
    assert "turning           up 0 %, down 0 %, left 15 %, right 20 %" in text
    assert text.count("warning: ") == len(report.warnings) > 0


LINK = re.compile(r"""(?:src|href|action|poster|data|srcset)\s*=\s*["']?([^"'\s>]+)|url\(([^)]*)\)|@import""")


def test_the_page_names_no_other_host(tmp_path):
    text = write_report(labeled(tmp_path)).page.read_text()
    for match in LINK.finditer(text):
        assert (match.group(1) or match.group(2) or "x").startswith("data:"), match.group(0)
    assert "http" not in re.sub(r"base64,[\w+/=]+", "", text).replace("http-equiv", "")
    assert "<script" not in text
    assert "default-src 'none'" in text


def browse(page, tmp_path):
    """(picture of a page in chromium, the addresses on other hosts that the page itself asked for)."""
    shot, log = tmp_path / "shot.png", tmp_path / "net.json"
    options = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
        --disable-component-update --disable-sync --no-pings --disable-default-apps --window-size=1100,2400"""
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND"
    command = [need("chromium", "chromium"), *options.split(), nowhere, f"--user-data-dir={tmp_path / 'profile'}"]
    command += [f"--log-net-log={log}", f"--screenshot={shot}", page.as_uri()]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    asked = set()
    for event in json.loads(log.read_text())["events"]:
        fields = event.get("params") or {}
        by_a_page = fields.get("initiator", "not an origin") != "not an origin"  # else the browser's own business
        if by_a_page and not fields["url"].startswith(("file:", "data:")):
            asked.add(fields["url"])
    return np.asarray(Image.open(shot).convert("RGB")).astype(int), asked


def test_a_browser_shows_the_page_and_the_page_asks_no_host_for_anything(tmp_path):
    picture, asked = browse(write_report(labeled(tmp_path)).page, tmp_path)
    warning = np.array([253, 240, 225])
    assert (np.abs(picture - warning).max(axis=2) < 3).mean() > 0.01  # the box of warnings
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 500  # the contact sheets
    assert asked == set()


def test_the_browser_test_would_notice_a_request(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<img src="http://example.org/x.png">')
    assert browse(page, tmp_path)[1] == {"http://example.org/x.png"}
