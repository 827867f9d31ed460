"""A recording in a real browser: played at its speed, stepped, cut, deleted and taken back."""

from dataclasses import replace

import pytest

from protege.core.events import Focus, Pause
from protege.core.session import Session
from protege.core.transaction import TRASH
from protege.studio.recordings import described
from protege.studio.segments import identity
from tests.labeling.recordings import HOLD, record
from tests.labeling.test_label import tree
from tests.studio.conftest import NASTY, make, serving


@pytest.fixture
def project(tmp_path):
    return make(tmp_path / "p", seconds=6)


@pytest.fixture
def player(page, project):
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/recordings/{identity('s')}/play")
        page.wait_for_function("() => document.getElementById('of').textContent !== ''")
        yield page


def frame(page):
    return int(page.locator("#picture").get_attribute("src").rsplit("/", 1)[1].split(".")[0])


def lit(page):
    return page.locator("#caps .lit").all_inner_texts()


def test_stepping_shows_each_frame_with_the_keys_it_holds(player, project):
    session = Session.open(project.raw / "s")
    actions = session.info.space.decode(session.actions())
    for i in range(1, 12):
        player.keyboard.press(".")
        assert frame(player) == i
        assert set(lit(player)) == actions[i]
    player.keyboard.press(",")
    assert frame(player) == 10
    assert player.locator("#at").inner_text() == "0:01.0"


def test_it_plays_at_its_own_speed_and_ends(player):
    took = player.evaluate(
        """() => new Promise((done) => {
            document.getElementById('speed').value = '4';
            const since = performance.now();
            document.getElementById('toggle').click();
            const look = () => document.getElementById('toggle').textContent === 'Play'
                ? done(performance.now() - since) : setTimeout(look, 20);
            look();
        })"""
    )
    assert took >= 6000 / 4  # never faster; how much slower is the machine's business
    assert frame(player) == 59


def test_the_marked_part_becomes_a_recording_and_undo_takes_it_away(player, project):
    before = tree(project.raw)
    for _ in range(10):
        player.keyboard.press(".")
    player.keyboard.press("i")
    for _ in range(9):
        player.keyboard.press(".")
    player.keyboard.press("o")
    assert player.locator("#trim").inner_text() == "Keep only 0:01.0 to 0:02.0"
    player.click("#trim")
    player.wait_for_url(f"**/{identity('s_trim')}/play")
    made = Session.open(project.raw / "s_trim")
    assert (len(made), made.path(0).read_bytes()) == (10, Session.open(project.raw / "s").path(10).read_bytes())
    player.click("#undo")
    player.wait_for_function("() => document.getElementById('said').textContent.includes('went to the trash')")
    assert {k: v for k, v in tree(project.raw).items() if TRASH not in str(k)} == before


def test_split_and_delete_and_undo(player, project):
    before = tree(project.raw)
    player.keyboard.press("ArrowRight")
    player.click("#split")
    player.wait_for_url(f"**/{identity('s_1')}/play")
    assert [len(Session.open(project.raw / name)) for name in ("s_1", "s_2")] == [10, 50]
    player.click("#undo")
    player.wait_for_function("() => document.getElementById('said').textContent !== ''")
    player.go_back()
    player.wait_for_function("() => document.getElementById('of').textContent !== ''")
    player.click("#delete")
    player.wait_for_function("() => document.getElementById('said').textContent.includes('s is in the trash')")
    assert not (project.raw / "s").exists()
    player.click("#undo")
    player.wait_for_function("() => document.getElementById('said').textContent.includes('s is back')")
    assert {k: v for k, v in tree(project.raw).items() if TRASH not in str(k)} == before


def test_pauses_lost_focus_and_missing_frames_are_on_the_timeline(tmp_path):
    folder = record(tmp_path, [HOLD["w"]] * 40, pauses=(20,))
    session = Session.open(folder)
    found = described(session)
    assert found["pauses"][0] == [2000, 3000, "the player paused it"]
    t = int(session.t_ns[0])
    events = [Focus(t + 10**9, False), Focus(t + 2 * 10**9, True)]
    kept = tuple(e for e in session.events if not isinstance(e, Pause))
    changed = replace(session, events=tuple(sorted((*kept, *events), key=lambda e: e.t_ns)))
    found = described(changed)
    assert found["blurs"] == [[1000, 2000]]
    assert found["missing"] == [[1900, 3000]]


def test_a_hostile_name_and_title_are_text(page, tmp_path):
    project = make(tmp_path / "p", seconds=4, sessions=("a&b'c",))
    folder = project.raw / "a&b'c"
    info = Session.open(folder).info
    replace(info, window={"title": NASTY}, verdict=(NASTY,), extra={"model": NASTY}).save(folder)
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/recordings/{identity(folder.name)}/play")
        page.wait_for_function("() => document.getElementById('of').textContent !== ''")
        assert page.locator("h1").inner_text() == "a&b'c"
        assert NASTY in page.locator(".bar .fine").inner_text()
        page.goto(served.base)
        assert page.get_by_role("link", name="a&b'c").count() == 1
        assert page.locator("img[src=x]").count() == 0


def test_a_recording_that_cannot_be_read_says_why(page, project):
    (project.raw / "s" / "frames.jsonl").write_text("nonsense\n")
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/recordings/{identity('s')}/play")
        assert "repair with: protege doctor" in page.locator(".why").inner_text()
