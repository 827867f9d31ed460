"""python -m bench studio in small: its figures are there, nothing hostile passes, and a segment takes few keys."""

from bench import studio


def test_the_studio_benchmark_reports_every_key():
    figures = {f.key: f.value for f in studio.run(segments=30, hours=0.02, seeks=3, say=lambda text: None)}
    assert figures.keys() == {
        "first_page_ms", "labels_page_ms", "seek_ms", "memory_mb", "keystrokes_per_segment", "axe_serious",
        "hostile_requests", "hostile_requests_refused",
    }  # fmt: skip
    assert figures["hostile_requests_refused"] == figures["hostile_requests"] >= 40
    assert figures["axe_serious"] == 0
    assert figures["keystrokes_per_segment"] <= 1.5
