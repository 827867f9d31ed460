"""Labels by keys, in a real browser on real files."""

import os
import signal
from dataclasses import replace
from shutil import copytree

import pytest

from bench.studio import sitting
from protege.core.labeled import ASIDE, LABELED, NEEDS_REVIEW, LabeledSegment, find_segments
from protege.labeling.store import write_segment
from tests.labeling.test_label import tree
from tests.studio.conftest import NASTY, make, put, serving, started

MOST_KEYS = 1.5


@pytest.fixture
def project(tmp_path):
    return make(tmp_path / "p")


@pytest.fixture
def labels(page, project):
    """The page of what needs review; counts the keys that are pressed in it."""
    with serving(project.root) as served:
        page.goto(served.url.replace("/?", "/labels?"))
        page.goto(f"{served.base}/labels?show=review")
        page.wait_for_selector(".card.current")
        yield page


def said(page, text):
    """Wait until the page says so."""
    page.wait_for_function("text => document.getElementById('said').textContent.includes(text)", arg=text)


def decided(page, count):
    page.wait_for_function("n => document.getElementById('undos').textContent === String(n || '')", arg=count)


def test_return_accepts_and_goes_on(labels, project):
    put(project, project.segment("s_seg002"), goal="", status=NEEDS_REVIEW, why="empty")
    for _ in range(2):
        labels.keyboard.press("Enter")
    decided(labels, 2)
    assert labels.locator(".tabs b").all_inner_texts() == ["1", "0", "2", "0", "3"]
    for name in ("s_seg000", "s_seg001"):
        segment = project.segment(name)
        assert (segment.status, segment.seen, segment.goal) == (LABELED, True, "Open the door")
    assert labels.locator(".card.current").get_attribute("data-state") == "review"
    labels.keyboard.press("Enter")
    said(labels, "has no goal yet")
    assert project.segment("s_seg002").status == NEEDS_REVIEW


def test_the_goal_is_edited_in_place_and_becomes_a_recent_one(labels, project):
    labels.keyboard.press("e")
    labels.keyboard.type("Find the exit")
    labels.keyboard.press("Enter")
    decided(labels, 1)
    assert project.segment("s_seg000").goal == "Find the exit"
    recent = labels.locator("#recent span").all_inner_texts()
    assert recent == ["Open the door", "Find the exit"]
    labels.keyboard.press("2")
    decided(labels, 2)
    assert project.segment("s_seg001").goal == "Find the exit"


def test_escape_leaves_the_goal_as_it_is(labels, project):
    before = tree(project.labeled)
    labels.keyboard.press("e")
    labels.keyboard.type("Find the exit")
    labels.keyboard.press("Escape")
    assert labels.locator(".card.current .goal").inner_text() == "Open the door"
    assert tree(project.labeled) == before


def test_a_goal_that_a_model_would_be_asked_again_for_is_refused_in_words(labels, project):
    labels.keyboard.press("e")
    labels.keyboard.type("door")
    labels.keyboard.press("Enter")
    said(labels, "it has 1 words")
    assert project.segment("s_seg000").status == NEEDS_REVIEW


def test_x_sets_aside_a_range_and_undo_goes_back_through_the_sitting(labels, project):
    before = tree(project.labeled)
    labels.keyboard.press("1")
    labels.keyboard.press("Shift+ArrowRight")
    labels.keyboard.press("x")
    decided(labels, 2)
    assert [project.segment(f"s_seg00{i}").why for i in (1, 2)] == [ASIDE, ASIDE]
    labels.keyboard.press("u")
    decided(labels, 1)
    assert [project.segment(f"s_seg00{i}").status for i in (1, 2)] == [NEEDS_REVIEW, NEEDS_REVIEW]
    labels.reload()
    labels.wait_for_selector(".card.current")
    labels.keyboard.press("u")
    said(labels, "taken back")
    assert tree(project.labeled) == before
    labels.keyboard.press("u")
    said(labels, "nothing to undo")


def test_brackets_move_the_edge_to_the_neighbour(labels, project):
    labels.keyboard.press("]")
    decided(labels, 1)
    first, second = project.segment("s_seg000"), project.segment("s_seg001")
    assert (first.stop, second.start) == (45, 45)
    assert (len(project.pictures("s_seg000")), len(project.pictures("s_seg001"))) == (45, 35)
    labels.keyboard.press("[")
    decided(labels, 2)
    assert project.segment("s_seg000").stop == 40


def test_thumbnails_move_and_are_pictures_of_the_segment(labels):
    strip = labels.locator(".card.current .film img")
    labels.wait_for_function("i => i.complete && i.naturalWidth", arg=strip.element_handle())
    assert strip.evaluate("i => [i.naturalWidth, i.naturalHeight]") == [8 * 192, 144]
    assert strip.evaluate("i => i.getAnimations()[0].playState") == "running"


def test_filters_show_what_they_say(labels, project):
    labels.keyboard.press("Enter")
    decided(labels, 1)
    base = labels.url.split("/labels")[0]
    for show, count in (("review", 2), ("seen", 1), ("unseen", 0), ("aside", 0), ("all", 3)):
        labels.goto(f"{base}/labels?show={show}")
        assert labels.locator(".card").count() == count
    labels.goto(f"{base}/labels?show=all&goal=nothing")
    assert labels.locator(".card").count() == 0


def test_a_segment_that_cannot_be_read_does_not_hide_the_others(labels, project):
    (project.labeled / "s_seg001" / "segment.json").write_text("{")
    labels.goto(labels.url.replace("review", "all"))
    assert labels.locator(".card").count() == 3
    assert "cannot be read" in labels.locator(".card.broken .why").inner_text()


def test_a_writer_elsewhere_is_named_and_nothing_is_lost(labels, project):
    from protege.core.files import locked

    with locked(project.labeled, "protege label"):
        labels.keyboard.press("Enter")
        said(labels, "protege label (process")
    assert project.segment("s_seg000").status == NEEDS_REVIEW


def test_hostile_goals_and_makers_are_text(page, tmp_path):
    project = make(tmp_path / "p")
    put(project, project.segment("s_seg000"), goal=NASTY, by=f'"><script>alert(1)</script>{NASTY}', why=NASTY)
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/labels?show=all&goal=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        page.goto(f"{served.base}/labels?show=all&by={NASTY}")
        page.goto(f"{served.base}/labels?show=all")
        assert page.locator(".card .goal").first.inner_text() == NASTY
        assert page.locator("main img[src=x], main script").count() == 0
        page.wait_for_selector(".card.current")
        page.keyboard.press("1")
        page.keyboard.press("2")
        decided(page, 2)
        assert page.locator("#recent img, #recent script").count() == 0


def test_a_script_in_a_page_would_not_run(labels):
    labels.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran=1\">')")
    labels.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.ran=1'; document.body.append(s)"
    )
    labels.wait_for_timeout(200)
    assert labels.evaluate("window.ran") is None


KILLS = 3


@pytest.mark.parametrize("after", range(1, KILLS + 1))
def test_killed_at_any_moment_every_decision_is_whole(page, tmp_path, after):
    project = make(tmp_path / "p", seconds=32)
    with started(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/labels?show=review")
        page.wait_for_selector(".card.current")
        for i in range(8):
            page.keyboard.press("]" if i % 3 == 2 else "Enter")
            if i == 2 * after - 1:
                os.kill(served.process.pid, signal.SIGKILL)
    segments = [LabeledSegment.load(path) for path in find_segments(project.labeled)]
    assert len(segments) == 8
    assert [s.stop for s in segments[:-1]] == [s.start for s in segments[1:]]
    assert all(len(project.pictures(s.name)) == len(s) for s in segments)
    assert {(s.status, s.seen) for s in segments} <= {(LABELED, True), (NEEDS_REVIEW, False)}


def test_a_segment_takes_at_most_one_and_a_half_keys(page, tmp_path):
    project = make(tmp_path / "p", seconds=240)
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/labels?show=review")
        page.wait_for_selector(".card.current")
        keys = sitting(page)
    segments = [LabeledSegment.load(path) for path in find_segments(project.labeled)]
    assert len(segments) == 60
    assert all(segment.seen for segment in segments)
    assert {s.goal for s in segments} == {"Open the door", "Find the exit"}
    assert keys / len(segments) <= MOST_KEYS


def test_what_two_models_say_differently_is_a_list_of_its_own_and_o_takes_the_others_goal(page, project):
    names = [path.name for path in find_segments(project.labeled)]
    for name in names:
        put(project, project.segment(name), by="first model")
    copytree(project.labeled, project.root / "dataset" / "labeled_by_another")
    for name, goal in zip(names, [NASTY, "open the door.", "Go left"], strict=True):
        segment = LabeledSegment.load(project.root / "dataset" / "labeled_by_another" / name)
        pictures = sorted((project.labeled / name).glob("frame_*.jpg"))
        write_segment(
            project.root / "dataset" / "labeled_by_another", replace(segment, goal=goal, by="second"), pictures
        )
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/labels?show=differ")
        page.wait_for_selector(".card.current")
        assert page.locator(".card").count() == 2
        assert f"second: “{NASTY}”" in page.locator(".card").first.inner_text()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("o")
        said(page, "Go left")
        assert page.locator("[data-count=differ]").inner_text() == "1"
    assert project.segment(names[2]).goal == "Go left"
    assert project.segment(names[2]).seen
