"""Home says where one is and what is next; every page is fit for keyboard and screen reader, in both themes."""

import json
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe

from protege.core.actions import KEYBOARD_12
from protege.core.card import ModelCard
from protege.labeling.report import write_report
from protege.learn.pages import STYLE, render
from protege.studio.segments import identity
from protege.studio.verdict import verdict
from protege.studio.where import look
from tests.labeling.recordings import HOLD, record
from tests.studio.conftest import NASTY, make, put, serving

SCORES = {
    "samples": 200,
    "first_action_accuracy": 0.8,
    "exact_chunk": 0.5,
    "done_recall": 0.9,
    "confusion": [[0] * 12 for _ in range(12)],
    "keys": {"w": {"support": 100, "precision": 0.9, "recall": 0.8}, "none": {"support": 9, "recall": None}},
    "goal_swap": {"changed": 0.4, "effect": 0.1, "interval": [0, 1], "samples": 9},
    "baselines": {"majority": {"first_action_accuracy": 0.5}},
}


def with_model(project, scores=None, name="tiny"):
    folder = project.root / "models" / name
    folder.mkdir()
    ModelCard("vision", NASTY).save(folder)
    if scores is not None:
        (folder / "metrics.json").write_text(json.dumps(scores))
    return folder


def test_what_is_next_follows_the_way_from_recording_to_playing(tmp_path):
    project = make(tmp_path / "p", seconds=8)
    labeled, raw = project.labeled, project.raw
    hidden = tmp_path / "hidden"
    labeled.rename(hidden)
    assert look(project.root).next.command == "protege label"
    hidden.rename(labeled)
    assert look(project.root).next.command == "protege review"
    for name in ("s_seg000", "s_seg001"):
        put(project, project.segment(name), status="labeled", why="", seen=True)
    assert look(project.root).next.command == "protege train"
    with_model(project, SCORES)
    assert look(project.root).next.command.startswith("protege play --model ")
    assert look(project.root).next.command.endswith("models/tiny --goal 'Open the door'")
    shutil.rmtree(raw)
    assert look(project.root).next.command == "protege record"


def test_corrections_that_were_not_trained_on_are_counted(tmp_path):
    project = make(tmp_path / "p", seconds=8, waiting=False)
    with_model(project, SCORES)
    record(project.root / "dataset" / "agent_runs", [HOLD["w"]] * 40, "run")
    folder = project.root / "dataset" / "agent_runs" / "run"
    text = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    text[1:1] = ['{"t_ns": 0, "by": "agent"}\n']
    text += ['{"t_ns": 2000000000, "by": "human"}\n']
    (folder / "events.jsonl").write_text("".join(sorted(text, key=lambda line: json.loads(line)["t_ns"])))
    where = look(project.root)
    assert where.new_corrections == 20
    assert where.next.command == "protege label --corrections"


def test_an_empty_folder_says_how_to_begin(run_protege):
    done = run_protege()
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "next: protege record"
    assert len(done.stdout.splitlines()) == 5


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "It presses what the player pressed in 80 of 100 moments"),
        ({"confusion": [[50] + [0] * 11] * 2 + [[0] * 12] * 10}, "It only walks straight: record turning."),
        ({"confusion": [[0] * 11 + [50]] + [[0] * 12] * 11}, "It presses hardly any key"),
        ({"camera_accuracy": 0.1}, "It hardly ever turns where the player did (10 of 100 times)"),
        ({"keys": {"space": {"support": 50, "recall": 0.0, "precision": None}}}, "It never presses space"),
        ({"done_recall": 0.1}, "It seldom notices that a goal is reached"),
        ({"goal_swap": {"changed": 0.0}}, "It does the same whatever the goal"),
        ({"first_action_accuracy": 0.5}, "It has learned nothing yet"),
    ],
)
def test_a_models_scores_are_said_in_words(changed, words):
    assert verdict({**SCORES, **changed}, KEYBOARD_12).first.startswith(words)


def test_a_model_without_scores_says_so():
    assert verdict(None, KEYBOARD_12).first == "Not scored yet: nothing says how good it is."


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    project = make(tmp_path_factory.mktemp("pages") / "p", seconds=12, sessions=("s", "t"))
    put(project, project.segment("s_seg000"), goal=NASTY, why=NASTY)
    put(project, project.segment("s_seg001"), status="labeled", why="", seen=True)
    wrong = {"file": "s_seg000/frame_0003.jpg", "goal": NASTY, "pressed": "w", "predicted": "none"}
    with_model(project, {**SCORES, "worst": [wrong]})
    with_model(project, None, "other")
    record(project.root / "dataset" / "agent_runs", [HOLD["w"]] * 20, "run")
    with serving(project.root) as found:
        yield found


PAGES = {
    "home": "/",
    "labels": "/labels?show=all",
    "no labels": "/labels?show=aside",
    "recording": f"/recordings/{identity('s')}/play",
    "run": f"/runs/{identity('run')}/play",
    "model": f"/models/{identity('tiny')}",
    "pair": f"/models/{identity('tiny')}?beside={identity('other')}",
    "differ": "/labels?show=differ",
    "unscored": f"/models/{identity('other')}",
    "live": "/live",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(page, served, name, scheme):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(served.url)
    page.goto(served.base + PAGES[name])
    page.wait_for_load_state("load")
    page.wait_for_timeout(300)  # scripts fill in what they show
    found = Axe().run(page).response["violations"]
    serious = [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")]
    assert serious == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_window_and_pictures_have_a_size(page, served, name, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(served.url)
    page.goto(served.base + PAGES[name])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every((i) => i.getAttribute('width') && i.getAttribute('height'))")


def test_pages_ask_no_other_host_for_anything(page, served):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(served.url)
    for path in PAGES.values():
        page.goto(served.base + path)
    assert {url.split("/")[2] for url in asked} == {f"127.0.0.1:{served.port}"}


def test_long_work_shows_its_progress_and_survives_a_reload(page, tmp_path):
    project = make(tmp_path / "p", seconds=8)
    project.labeled.rename(tmp_path / "away")
    with serving(project.root) as served:
        page.goto(served.url)
        page.click("main .next button")
        page.wait_for_selector("#work:not(.hidden)")
        page.reload()
        assert page.locator("#work-command").inner_text() == "protege label"
        page.wait_for_function(
            "() => document.getElementById('work-words').textContent.includes('exit code')", timeout=60_000
        )
        assert page.locator("#work-line").inner_text() != ""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Pages that are files of their own."""
    folder = tmp_path_factory.mktemp("alone")
    project = make(folder / "p", seconds=8, waiting=False)
    write_report(project.labeled, folder / "report.html")
    values = {"controls": [], "table": "a  b", "curves": "", "absent": "", "frames": "9", "hotbar": 0.5, "number": str}
    (folder / "scores.html").write_text(render("controls/page.html.jinja", name=NASTY, **values))
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report", "scores"])
def test_pages_that_are_files_carry_the_studios_stylesheet_in_both_themes(page, alone, name, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto((alone / f"{name}.html").as_uri())
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(243, 245, 248)", "dark": "rgb(17, 22, 27)"}[scheme]
    found = Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")] == []
    assert STYLE.read_text().strip() in (alone / f"{name}.html").read_text()
