"""The commands in processes of their own: what they say first, what they ask the hub, and when unsloth is left out."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from protege.learn.interrupt import ctrl_c
from protege.learn.progress import silent
from protege.training.data import LabeledData
from protege.training.model import load_trainable
from protege.training.outlook import outlook
from protege.training.run import known_warnings, make_trainer
from protege.vlm.tiny import build_tiny
from protege.vlm.unsloth import ON_CPU, Loader
from tests.training.conftest import label
from tests.training.peak import Peak

from .test_unsloth import config


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    return label(tmp_path_factory.mktemp("labeled"))


@pytest.fixture
def asked():
    """(environment, lines) of a hub on the loopback that has nothing, and is the proxy to everything else, too."""
    lines = []

    class Hub(BaseHTTPRequestHandler):
        def answer(self):
            lines.append(self.requestline)
            self.send_error(404)

        do_GET = do_HEAD = do_POST = do_CONNECT = answer  # noqa: N815

        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_address[1]}"
    kept = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "NO_PROXY", "no_proxy")}
    yield {**kept, "HF_ENDPOINT": here, "HTTP_PROXY": here, "HTTPS_PROXY": here}, lines
    server.shutdown()
    server.server_close()


def options(tiny, labeled, output):
    fixed = [f"model.base={tiny}", f"data.folder={labeled}", f"output={output}", "model.device=cpu", "data.workers=0"]
    return [
        *fixed,
        "model.four_bit=false",
        "data.validation=0",
        "training.max_steps=1",
        "training.report_to=none",
        "training.gradient_checkpointing=false",
    ]


def test_training_says_what_it_uses_first_and_asks_the_hub_nothing(tiny, labeled, tmp_path, asked):
    environment, lines = asked
    done = run("-m", "protege.cli", "train", *options(tiny, labeled, tmp_path / "run"), env=environment)
    assert "loader: unsloth (it is installed" in done.stderr
    assert ": as tested" in done.stderr
    assert (tmp_path / "run" / "adapter_model.safetensors").is_file()
    assert lines == []


LABEL_THEN_PLAY = """
import sys
import numpy as np
from protege.agent.vision import VisionAgent, VisionOptions
from protege.core import Frame
from protege.labeling import Transformers
from protege.labeling.backends.base import Question
way, model = sys.argv[1:]
if way == "label":
    print(next(iter(Transformers(model, device="cpu", max_tokens=2).answers([Question(1, "What is it?", None)]))))
else:
    agent = VisionAgent(model, "Go", VisionOptions(backend="unsloth", device="cpu"))
    print(agent.predict(Frame(np.zeros((64, 64, 3), np.uint8), 0), "Go"))
print("unsloth" in sys.modules)
"""


@pytest.mark.parametrize("way", ["label", "play"])
def test_a_model_in_a_folder_is_not_looked_up_on_the_hub(tiny, asked, way):
    environment, lines = asked
    done = run("-c", LABEL_THEN_PLAY, way, str(tiny), env=environment)
    assert done.stdout.splitlines()[-1] == "True"
    assert lines == []


def test_on_a_cpu_that_was_asked_for_the_labeler_leaves_it_out(tiny):
    done = run("-c", LABEL_THEN_PLAY, "label", str(tiny), env={**os.environ, ON_CPU: "0"})
    assert done.stdout.splitlines()[-1] == "False"


def test_several_processes_train_without_it(tiny, labeled, tmp_path):
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "protege.cli", "train"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    done = run(*launch, *options(tiny, labeled, tmp_path / "run"), env=environment)
    assert "loader: transformers + peft (several processes train together" in done.stderr
    assert (tmp_path / "run" / "adapter_model.safetensors").is_file()


def test_the_doctor_says_that_it_is_used(tiny):
    done = run(
        "-m",
        "protege.cli",
        "doctor",
        "--train",
        "--set",
        f"model.base={tiny}",
        "--set",
        "model.device=cpu",
        env=os.environ,
    )
    found = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert found["loader"].startswith("unsloth (it is installed, and a short training")
    assert found["versions"].endswith("as tested")


def test_memory_is_estimated_within_15_percent_of_a_real_run(labeled, tmp_path):
    base = build_tiny(tmp_path / "base", size="small")
    chosen = config(base, labeled, tmp_path / "run", "training.max_steps=2", "data.validation=0")
    data = LabeledData.open(labeled)
    with known_warnings(), ctrl_c() as asked:
        trainer = make_trainer(chosen, load_trainable(chosen), data, data.take(np.arange(0)), asked, silent)
        with Peak(trainer.network) as peak:
            trainer.train()
    needs = outlook(chosen, Loader(True, "tested here"), (64, 64)).needs
    print(f"memory_estimate_error {abs(needs.memory.total / peak.most - 1):.3f}")
    assert needs.memory.total == pytest.approx(peak.most, rel=0.15)


def run(*arguments, env):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments], check=False, capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done
