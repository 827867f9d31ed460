"""Every command that the README shows is run, in the order in which it is shown."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from protege.core.actions import KEYBOARD_12
from protege.demo import window
from protege.demo.places import Places
from protege.devices.windows import find_window
from protege.devices.x11 import XWindow
from protege.devices.x11_keys import keys_down
from tests.recorder.test_live import Recording, start_doom

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line.strip()
]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


@pytest.fixture(scope="module")
def project(tmp_path_factory, xvfb):
    """A folder with the project's shape, so that recordings go there."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "dataset").mkdir()
    (folder / "models").mkdir()
    (folder / "src").mkdir()
    for script in (ROOT / "src").glob("*.py"):
        shutil.copy(script, folder / "src")
    for script in ("agent.py", "train_vision_agent.py", "train_controls.py"):
        shutil.copy(ROOT / script, folder)
    shutil.copytree(ROOT / "configs", folder / "configs")
    return folder


@pytest.fixture(scope="module")
def doom(xvfb, tmp_path_factory):
    game = start_doom(tmp_path_factory.mktemp("doom"))
    yield game
    game.kill()
    game.wait()


def sh(line, cwd, timeout=240):
    """Run a line as a reader would, with this environment's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    return subprocess.run(["bash", "-c", line], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout)  # noqa: PLW1510


def runs(line, project):
    result = sh(line, project)
    assert result.returncode == 0, result.stderr
    return result


def make_target(line, project):
    """The target is there with all its steps; running `make test` from a test would never end."""
    result = sh(line.replace("make", "make -n", 1), ROOT)
    assert result.returncode == 0, result.stderr


def make_demo(line, project):
    """Its recording, on which the commands below work; tests/test_demo.py runs all of it."""
    make_target(line, project)
    made = window.record(Places(project / "dataset").window, 5.0)
    assert made.quality.good


def installs(line, project):
    """Not run, since it would change the environment of the tests: but every extra it names exists."""
    named = re.findall(r"--extra (\w+)", line) + [
        e for group in re.findall(r"\[(.*?)\]", line) for e in group.split(",")
    ]
    assert named
    assert set(named) <= set(EXTRAS)


def doctor(line, project):
    result = sh(line, project)
    assert result.returncode in (0, 1)
    assert "display" in result.stdout


def focus_doom():
    """What clicking on the game does; there is no window manager to hand the keyboard on when another window closes."""
    window = find_window("chocolate doom")
    assert isinstance(window, XWindow)
    window.raise_and_focus()
    window.close()


def record(line, project):
    focus_doom()
    options = shlex.split(line)[2:]
    recording = Recording(project / "dataset" / "readme", *options, "--start-now", "--stop-after", "0.5")
    code, out, err = recording.stop(None)
    assert code == 0, err
    assert "recording:" in out


def review_list(line, project):
    assert "need review" in runs(line, project).stdout


def recorder_script(line, project):
    focus_doom()
    result = runs(f"{line} --start-now --stop-after 0.5", project)
    assert "dataset/raw_playthrough/" in result.stdout
    assert len(list((project / "dataset" / "raw_playthrough").iterdir())) >= 2


SMALL = (
    "model.four_bit=false data.frame_size=[160,128] data.workers=0 data.limit=60 training.max_steps=1 training.batch=2 "
    "training.accumulation=1 training.gradient_checkpointing=false training.score_samples=4 training.report_to=none"
)
"""What makes a training run short; the 8B model of the first command becomes the tiny one."""


def label(line, project):
    """A Qwen VLM of billions of parameters is no test; the rooms' own goals take its place."""
    runs("protege arena record --episodes 6 --seed 6000 --task go_to --size 320x240", project)
    runs(f"{line} --backend given", project)
    assert list((project / "dataset" / "labeled_segments").glob("*/samples.jsonl"))


def train_small(line, project):
    runs("protege tiny-base models/small", project)
    runs(f"{line} model.base=models/small {SMALL}", project)
    assert (project / "models" / "gameplay_agent_lora" / "adapter_model.safetensors").exists()


def play(line, project):
    """The model of `train_small` holds keys in a real game for three seconds."""
    focus_doom()
    result = runs(f"{line} --countdown 0 --max-minutes 0.05", project)
    assert "ended: " in result.stdout
    assert keys_down(KEYBOARD_12.pressable) == set()


def train_script(line, project):
    shutil.rmtree(project / "models" / "gameplay_agent_lora")
    base = "model.base=models/tiny-qwen3-vl"
    assert base in line
    runs(f"{line} {SMALL}", project)
    assert (project / "models" / "gameplay_agent_lora" / "adapter_model.safetensors").exists()


def score(line, project):
    result = runs(f"{line} --samples 8", project)
    assert "first action" in result.stdout


def bench_arena(line, project):
    result = runs(f"{line} --episodes 2 --swaps 1", project)
    for key in ("success ", "success_ci", "success_random", "success_expert", "goal_following"):
        assert key in result.stdout


def improve(line, project):
    result = runs(re.sub(r"--minutes \d+ --episodes \d+", "--minutes 0.1 --episodes 1", line), project)
    assert "next: protege play" in result.stdout


def clone_small(line, project):
    runs(f"{line} training.max_steps=1 training.batch_size=4", project)
    assert (project / "models" / "cloning" / "arena_goal" / "card.json").exists()


def synth_short(line, project):
    runs(f"{line} --recordings 6 --frames 100", project)


def train_controls_small(line, project):
    runs(f"{line} model.d_model=16 model.nhead=2 model.num_layers=1 training.epochs=1", project)
    assert (project / "models" / "control_policy_v2.pt").exists()


def play_features(line, project):
    assert '"type": "controls"' in runs(line, project).stdout


def clone_evaluate(line, project):
    runs(line, project)
    assert (project / "models" / "cloning" / "arena_goal" / "evaluation.html").exists()


def arena_play(line, project):
    result = runs(f"{line} --episodes 1 --seconds 1", project)
    assert "(seed 5000)" in result.stderr
    assert "timeout" in result.stderr


def fewer_episodes(line, project):
    runs(re.sub(r"--episodes \d+", "--episodes 6", line), project)


def bench(line, project):
    """It stands in the root of a clone, beside the package."""
    result = runs(f"{line} --seconds 2 --kills 1", ROOT)
    assert "label_agreement" in result.stdout


INTO_ZARR = "--zarr dataset/episodes.zarr --size 80x60 --noise 0.1 --corrected"
HOW = {
    'protege record --window "Chocolate Doom"': record,
    "protege label": label,
    "protege train": train_small,
    'protege play --goal "Open the door"': play,
    "make demo": make_demo,
    "uv run --extra record --extra arena --extra demo --extra vision --extra cloning protege demo": installs,
    "protege": runs,
    "protege review --list": review_list,
    'pip install -e ".[record]"': installs,
    "protege doctor": doctor,
    "cd src && python continuos_recoder.py": recorder_script,
    "protege game list": runs,
    "protege sessions": runs,
    "protege sessions trim demo --from 0:02 --to 0:10": runs,
    "protege doctor dataset/raw_playthrough/demo": runs,
    "protege label --backend given": runs,
    "protege report": runs,
    "protege export --to jsonl --out lanterns": runs,
    "protege tiny-base models/tiny-qwen3-vl": runs,
    "python train_vision_agent.py model.base=models/tiny-qwen3-vl model.four_bit=false data.frame_size=[160,128]": (
        train_script
    ),
    "protege score models/gameplay_agent_lora --only-held-back": score,
    "protege bench arena --model models/gameplay_agent_lora": bench_arena,
    'python agent.py --goal "Go to the lantern"': play,
    "protege improve --rounds 1 --minutes 1 --episodes 20": improve,
    f"protege arena record --episodes 430 {INTO_ZARR}": fewer_episodes,
    "python -m BC_training --config configs/arena_goal.yaml": clone_small,
    "protege clone evaluate models/cloning/arena_goal": clone_evaluate,
    "protege controls synth": synth_short,
    "python train_controls.py": train_controls_small,
    "python agent.py --model models/control_policy_v2.pt --features recordings/synth_0003_mixed.npz --dry-run": (
        play_features
    ),
    "protege arena play": arena_play,
    "protege arena record --episodes 20 --seed 5000": fewer_episodes,
    "protege arena goals": runs,
    "python -m bench record": bench,
    "make test": make_target,
}


def test_every_command_of_the_readme_is_tested_here():
    assert list(HOW) == COMMANDS


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_readme_works(line, project, doom):
    HOW[line](line, project)


def test_the_readmes_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)(.*?)\)", README):
        assert (ROOT / target).exists(), target


def test_the_readmes_python_runs(project):
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        result = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=False, cwd=project)
        assert result.returncode == 0, result.stderr
