"""scripts/system_packages.sh asks only for what is needed here."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "system_packages.sh"


@pytest.fixture
def run(tmp_path):
    """The script on a machine that has nothing, not even a package manager."""

    def run(*packages, **environment):
        patched = tmp_path / "script.sh"
        patched.write_text(SCRIPT.read_text().replace('PATH="$PATH:/usr/games"\n', ""))
        command = ["/bin/sh", str(patched), *packages]
        return subprocess.run(
            command, check=False, env={"PATH": str(tmp_path), **environment}, capture_output=True, text=True
        )

    return run


@pytest.mark.parametrize("screen", ["DISPLAY", "WAYLAND_DISPLAY"])
def test_a_machine_with_a_screen_needs_no_xvfb_for_the_demo(run, screen):
    assert run("xvfb-unless-display", **{screen: ":0"}).returncode == 0


def test_one_without_a_screen_does_and_so_do_the_tests(run):
    for done in (run("xvfb-unless-display"), run("xvfb", DISPLAY=":0")):
        assert done.returncode == 1
        assert done.stderr.startswith("missing: xvfb. Install")
