"""Two real processes train one model: as one process does, stopped at either, gone on with, and failing together."""

# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from protege.cloning import hosts
from protege.cloning.checkpoint import last_about, load_model
from protege.cloning.config import from_fields, load
from protege.cloning.train import train
from protege.core.card import ModelCard
from protege.errors import ProtegeError, UserError
from tests import compiled
from tests.cloning.stores import store
from tests.cloning.tiny import WIDTHS

ROOT = Path(__file__).parents[2]


def free_port(ports=(0,)):
    for port in ports:
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return tried.getsockname()[1]
    raise AssertionError("no free port")


def options(data, folder, *more):
    """Of a run whose every step is logged and whose rate does not depend on where it ends."""
    fixed = (f"dataset.path={data}", f"training.checkpoint_dir={folder}", "training.batch_size=8")
    rate = ("training.learning_rate=0.0003", "training.lr_schedule={type: constant, warmup_epochs: 0}")
    widths = (f"model.{text}" for text in WIDTHS["pure_cnn"])
    return [*fixed, *rate, *widths, "logging.log_every_n_steps=1", "training.num_epochs=10000", *more]


@pytest.fixture
def started(compile_cache):
    """Starts a process of its own, on one device, which compiles as these tests do."""

    def start(command, **more):
        env = compiled.environment(compile_cache, PYTHONPATH=str(ROOT), **more)
        piped = subprocess.PIPE
        return subprocess.Popen([sys.executable, *command], stdout=piped, stderr=piped, text=True, env=env, cwd=ROOT)

    return start


def ended(processes):
    """[(exit code, what it printed, what it complained of)], each process waited for."""
    try:
        texts = [process.communicate(timeout=200) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *text) for process, text in zip(processes, texts, strict=True)]


def command(overrides):
    return ["-m", "protege.cli", "clone", "train", "--config", "configs/pure_cnn.yaml", *overrides]


def logged(folder):
    path = folder / "log.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(row["step"], row["loss"]) for row in rows if "loss" in row]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return store(tmp_path_factory.mktemp("data") / "e.zarr", (12, 9, 15, 7), size=(24, 16))


def test_two_processes_learn_what_one_does_and_stop_and_go_on_together(data, tmp_path, started):
    """Started with the keys of the configuration, stopped by Ctrl-C at the second one alone, gone on with as Slurm does
    it. The cache is shared, too: both build it.
    """
    two = tmp_path / "two"
    address = (f"system.coordinator=127.0.0.1:{free_port()}", "system.num_processes=2", "system.compile_cache=null")
    processes = [started(command([*options(data, two, *address), f"system.process_id={i}"])) for i in (0, 1)]
    while len(logged(two)) < 5 and processes[0].poll() is None:
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGINT)
    found = ended(processes)
    assert [code for code, *_ in found] == [130, 130], found
    assert "press Ctrl-C again" in found[1][2]
    assert "press Ctrl-C again" not in found[0][2]
    assert ("step 3 of" in found[0][2], "step 3 of" in found[1][2]) == (True, False)
    reached = len(logged(two))

    last = reached + 3
    port = free_port(range(65535 - 2**12 + 1, 65535))
    slurm = {"SLURM_JOB_ID": str(port - 65535 + 2**12 - 1), "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2"}
    auto = options(data, two, "system.coordinator=auto", f"training.max_steps={last}", "system.compile_cache=null")
    found = ended([started(command(auto), **slurm, SLURM_PROCID=i, SLURM_LOCALID="0") for i in "01"])
    assert [code for code, *_ in found] == [0, 0], found
    assert f"going on after step {reached}" in found[0][2]

    one = tmp_path / "one"
    train(load(None, options(data, one, f"training.max_steps={last}", "system.compile_cache=null")))
    assert [step for step, _ in logged(two)] == list(range(1, last + 1))
    assert [loss for _, loss in logged(two)] == pytest.approx([loss for _, loss in logged(one)], rel=1e-3)
    ours, theirs = load_model(one), load_model(two)
    assert theirs.about.get("scores", {})["loss"] == pytest.approx(ours.about.get("scores", {})["loss"], rel=1e-2)
    assert (two / "card.json").exists()
    about = last_about(two)
    stored = load(two / "config.yaml").system, from_fields(about["config"]).system, load_model(two).config.system
    assert {(system.coordinator, system.num_processes, system.process_id) for system in stored} == {(None, None, None)}
    assert ModelCard.load(two).config["system"]["coordinator"] is None


APART = """
import os
import sys
from protege.cloning import hosts
from protege.cloning.config import from_fields, load
from protege.cloning.train import train
from protege.errors import ProtegeError, UserError
from protege.core.card import ModelCard

number = int(sys.argv[1])
folder = f"{sys.argv[2]}/{number}"
os.makedirs(folder, exist_ok=True)
os.chdir(folder)

def config(*more):
    return load(None, [*sys.argv[3:], f"system.process_id={number}", *more])

hosts.join(config().system)

def work():
    if number:
        raise UserError("a disk is missing")
    return "done"

for tried in (
    lambda: hosts.together(work),
    lambda: hosts.require_alike({"left": 1, "right": number}),
    lambda: train(config(f"system.seed={number}")),
    lambda: train(config("training.checkpoint_dir=not_shared", "training.resume=never")),
    lambda: train(config("system.devices=1", "training.resume=never")),
    lambda: train(config("model.horizon=99", "training.resume=never")),
):
    try:
        tried()
    except ProtegeError as error:
        print(f"{type(error).__name__}: {error}")
"""


def test_what_stops_one_process_stops_the_other(data, tmp_path, started):
    """And a model that is there stays, though training.resume=never says to start over."""
    models = [tmp_path / name / "checkpoints" / "7" / "model" for name in ("m", "0/not_shared")]
    for model in models:
        model.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    address = (f"system.coordinator=127.0.0.1:{free_port()}", "system.num_processes=2", "system.compile_cache=null")
    overrides = options(data, tmp_path / "m", *address)
    found = ended([started(["-c", APART, str(i), str(tmp_path), *overrides]) for i in (0, 1)])
    assert [code for code, *_ in found] == [0, 0], found
    first, second = ([line for line in out.splitlines() if "Error: " in line] for _, out, _ in found)
    assert first[0] == "ProtegeError: stopped, since process 1 did; its own message says why"
    assert second[0] == "UserError: a disk is missing"
    assert first[1:] == second[1:]
    assert first[1].startswith("UserError: not the same in all processes: right; start them with one")
    assert first[2].startswith("UserError: not the same in all processes: system; start them with one")
    assert first[3].startswith("UserError: not the same in all processes: training.checkpoint_dir; start them with one")
    assert first[4] == "UserError: system.devices is 1, which leaves whole hosts out; use 0 for all"
    assert "the longest training episode has" in first[5]
    assert sorted(path for path in tmp_path.rglob("*") if path.name != "1") == before, "nothing was made or deleted"


def test_a_launcher_that_nobody_knows_is_named():
    with pytest.raises(ProtegeError, match=r"system\.coordinator=auto: .*; start every process with the same address"):
        hosts.join(load(None, ["system.coordinator=auto"]).system)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("system.coordinator=host0",), "system.coordinator is host:port, with system.num_processes"),
        (("system.coordinator=host0:1234",), "got 'host0:1234' with None and None"),
        (("system.process_id=0",), "go with system.coordinator=host:port"),
        (("system.coordinator=auto", "system.num_processes=2"), "go with system.coordinator=host:port"),
        (
            ("system.coordinator=host0:1234", "system.num_processes=2", "system.process_id=2"),
            "system.process_id lies between 0 and 1, got 2",
        ),
    ],
)
def test_addresses_that_do_not_fit_are_named(overrides, words):
    with pytest.raises(UserError) as found:
        load(None, overrides)
    assert words in str(found.value)
