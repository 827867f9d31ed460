"""What a setting may be: every error names it, what was found and what was expected."""

from dataclasses import dataclass

import pytest

from protege.errors import UserError
from protege.learn.checks import all_within, not_empty, one_of, strictly_within, within


@dataclass
class Options:
    batch: int = 0


@pytest.mark.parametrize(
    ("check", "error"),
    [
        (
            lambda: one_of("training.loss", "x", ("answer", "actions")),
            "training.loss is one of answer, actions; got 'x'",
        ),
        (lambda: within("data.limit", 0, 1, 1e12), "data.limit lies between 1 and 1e[+]12, got 0"),
        (lambda: within("data.limit", float("nan"), 1, 2), "data.limit lies between 1 and 2, got nan"),
        (lambda: strictly_within("training.learning_rate", 1.0, 0, 1), "rate lies between 0 and 1, got 1.0"),
        (lambda: all_within("training", Options(), ("batch",), 1, 2), "training.batch lies between 1 and 2, got 0"),
        (lambda: not_empty("output", " ", "a folder"), "output is empty; give a folder"),
    ],
)
def test_a_setting_that_cannot_be_is_named(check, error):
    with pytest.raises(UserError, match=error):
        check()


def test_a_setting_that_can_be_passes():
    one_of("a", "b", ("b",))
    within("a", 1, 1, 2)
    all_within("a", Options(batch=2), ("batch",), 1, 2)
    not_empty("a", "b", "c")
