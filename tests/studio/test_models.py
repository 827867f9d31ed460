"""A model's page: the worst samples with their pictures, and another model beside it."""

import json

import pytest

from protege.studio.scores import side_by_side, worst_of
from protege.studio.segments import identity
from protege.studio.verdict import metrics_of
from tests.studio.conftest import NASTY, make, serving
from tests.studio.test_pages import SCORES, with_model

WRONG = {"file": "s_seg000/frame_0003.jpg", "goal": NASTY, "pressed": "w w w", "predicted": "none none none"}


@pytest.fixture
def project(tmp_path):
    return make(tmp_path / "p", seconds=8)


def test_the_worst_samples_are_shown_with_what_was_pressed_and_predicted(page, project):
    with_model(project, {**SCORES, "worst": [WRONG, {**WRONG, "file": "gone_seg000/frame_0000.jpg"}]})
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/models/{identity('tiny')}")
        assert page.locator(".wrong figure").count() == 1
        said = page.locator(".wrong figcaption").inner_text()
        assert NASTY in said
        assert "none none none" in said
        image = page.locator(".wrong img")
        image.scroll_into_view_if_needed()
        page.wait_for_function("() => document.querySelector('.wrong img').naturalWidth > 0")


def test_a_sample_names_no_file_but_a_segments_picture(page, project):
    for secret in ("secret.jpg", "frame_secret.jpg", "labeled_segments/s_seg000/secret.jpg"):
        (project.root / "dataset" / secret).write_bytes(b"\xff\xd8\xff")
    files = [
        "../frame_secret.jpg",
        "s_seg000/secret.jpg",
        "../secret.jpg",
        "/etc/passwd",
        "s_seg000/../../secret.jpg",
        "s_seg000/segment.json",
        "secret.jpg",
    ]
    with_model(project, {**SCORES, "worst": [{**WRONG, "file": file} for file in files] + [1, {}]})
    with serving(project.root) as served:
        page.goto(served.url)
        for number in range(-1, 10):
            path = f"{served.base}/models/{identity('tiny')}/worst/{number}.jpg"
            assert page.request.get(path).status == 404


def test_another_model_stands_beside_it_and_the_better_number_is_marked(page, project):
    with_model(project, SCORES)
    with_model(project, {**SCORES, "first_action_accuracy": 0.9, "samples": 50}, "better")
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/models/{identity('tiny')}")
        page.select_option("#beside", label="better")
        page.wait_for_url("**beside=**")
        row = page.locator("section:has(#pair) tr", has_text="first action").first
        assert row.locator("td").all_inner_texts()[:2] == ["80", "90"]
        assert row.locator("td.good").all_inner_texts() == ["90"]
        assert "protege compare models/tiny models/better" in page.locator("section:has(#pair) code").inner_text()


def test_scores_are_set_side_by_side_where_either_has_them():
    pairs = {pair.name: pair for pair in side_by_side(SCORES, {"first_action_accuracy": 0.801})}
    assert pairs["first action"].better is None
    assert pairs["whole plan"].values == (0.5, None)
    assert side_by_side(None, None) == []


def test_a_newer_score_counts_and_what_training_wrote_of_its_data_stays(project):
    folder = with_model(project, {**SCORES, "trained_on": {"by": "recording", "names": ["s"]}})
    (folder / "score.json").write_text(json.dumps({**SCORES, "first_action_accuracy": 0.1, "worst": [WRONG]}))
    found = metrics_of(folder)
    assert found is not None
    assert found["first_action_accuracy"] == 0.1
    assert found["trained_on"]["names"] == ["s"]
    assert [one.file for one in worst_of(found)] == [("s_seg000", "frame_0003.jpg")]


def test_a_model_without_scores_is_scored_by_a_button(page, project):
    with_model(project)
    with serving(project.root) as served:
        page.goto(served.url)
        page.goto(f"{served.base}/models/{identity('tiny')}")
        page.click("button[data-work=score]")
        page.wait_for_selector("#work:not(.hidden)")
        assert page.locator("#work-command").inner_text().startswith("protege score models/tiny --json models/tiny/")
        page.wait_for_function(
            "() => document.getElementById('work-words').textContent.includes('exit code')", timeout=90_000
        )
