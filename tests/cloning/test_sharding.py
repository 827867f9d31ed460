"""Four devices share a batch and learn what one does: in a process of its own, since devices are counted at start."""

# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportCallIssue=false
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

import json
import subprocess
import sys
from pathlib import Path

import pytest

from protege.cloning.steps import Devices
from protege.errors import UserError
from tests import compiled
from tests.cloning.stores import store

ROOT = Path(__file__).parents[2]
CODE = """
import json, sys
import jax
import numpy as np
from tests.cloning.tiny import run
from protege.cloning import loader
from protege.cloning.steps import Devices, Network, make_steps, to_arrays
from protege.cloning.train import Data, train
from protege.errors import UserError
found = {}
for number in (1, 4):
    config = run(sys.argv[1], f"{sys.argv[2]}/{number}", f"system.devices={number}", "training.max_steps=4")
    found[number] = [loss for _, loss in train(config).losses]
try:
    Devices(4, 6)
except UserError as error:
    refused = str(error)
data = Data.open(config)
steps = make_steps(Network(config, data.setting), Devices(4, 8), np.ones(4, np.float32), 4)
state = steps.init(jax.random.key(0))
batch = to_arrays(next(loader.batches(data.cache, data.splits.train, data.options)), data.setting)
whole = steps.probabilities(state.weights, state.stats, batch).sharding.is_fully_replicated
print(json.dumps([len(jax.devices()), found[1], found[4], refused, whole]))
"""


def test_four_devices_have_the_loss_of_one(tmp_path, compile_cache):
    """Batch statistics, dropout and the mask of the last batch included: 31 samples in batches of 8."""
    data = store(tmp_path / "e.zarr", (12, 9, 15, 7), size=(24, 16))
    flags = "--xla_force_host_platform_device_count=4"
    environment = compiled.environment(compile_cache, XLA_FLAGS=flags, PYTHONPATH=str(ROOT))
    command = [sys.executable, "-c", CODE, str(data), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    devices, one, four, refused, whole = json.loads(done.stdout.splitlines()[-1])
    assert devices == 4
    assert len(one) == 4
    assert four == pytest.approx(one, rel=1e-4)
    assert refused == "training.batch_size 6 is not a multiple of 4 devices"
    assert whole, "every device, and so every host, has the probabilities of the whole batch"


def test_more_devices_than_there_are_cannot_be_had():
    with pytest.raises(UserError, match=r"system\.devices is 99, but there are"):
        Devices(99, 8)
    assert Devices(1, 7).number == 1
