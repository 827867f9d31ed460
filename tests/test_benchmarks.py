"""What we claim stands in docs/benchmarks.md under the keys that the benchmarks print."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLAIMED = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
SECTIONS = set(re.findall(r"`(?:protege|python -m) bench (\w+)`", CLAIMED))


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_every_figure_of_a_benchmark_is_written_down(name):
    places = (ROOT / "bench", ROOT / "src" / "protege" / "evaluation")
    sources = [path for place in places for path in sorted(place.glob(f"{name}*.py"))]
    keys = {key for path in sources for key in re.findall(r'Figure\(\s*"(\w+)"', path.read_text(encoding="utf-8"))}
    assert keys
    missing = sorted(key for key in keys if f"`{key}`" not in CLAIMED)
    assert not missing
