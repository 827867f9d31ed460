"""The page of an arena benchmark: one file with everything in it."""

import re

from protege.evaluation.episodes import Result
from protege.evaluation.figures import Figure
from protege.evaluation.page import write_page


def episode(seed, success, film=(), swapped_from=None):
    end = "success" if success else "wrong_object"
    return Result(seed, "door", "test", success, end, 40, None, swapped_from, ((0.0, 0.0), (64.0, 32.0)), film)


def test_a_page_holds_figures_films_and_maps_and_needs_nothing_beside_it(tmp_path):
    results = [episode(seed, seed % 2 == 0) for seed in range(30)]
    figures = [Figure("success_rate", 0.5, "50 %", "at least 40 %", True), Figure("<b>", 1, "1")]
    films = [episode(3, False, film=(b"one", b"two"), swapped_from="lantern")]
    path = write_page(tmp_path / "pages" / "page.html", "a <model>", figures, results, {"random": results[:2]}, films)
    text = path.read_text(encoding="utf-8")
    assert "<h1>a &lt;model&gt; in the arena</h1>" in text
    assert '<td class="met">met</td>' in text
    assert "<td>&lt;b&gt;</td>" in text
    assert text.count("data:image/jpeg;base64,") == 2
    assert text.count("<polyline") == 25  # the strip's, and those of the first 24 episodes
    assert text.count('stroke="#2a7"') == 12
    assert re.findall(r"<h3>(.*?)</h3>", text) == ["Open the door: wrong object after 4.0 s (seed 3)"]
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
