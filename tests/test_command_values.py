"""Every number and size that a command takes, whichever command it is, refuses what is none: one line, exit code 2."""

import click
import pytest

from protege import cli
from protege.commands.types import Count, Number, Region, Seconds, Size

NUMERIC = (Number, Count, Size, Region, Seconds)
NONE = {
    Number: ("nan", "-nan", "inf", "-inf", "1e400", "one", ""),
    Count: ("nan", "inf", "1.5", "-1", "9" * 30, "9" * 5_000, "one", ""),
    Size: (
        "0x0",
        "0x480",
        "640x0",
        "-1x5",
        "nan",
        "nanxnan",
        "640",
        "640x480x3",
        "9" * 5_000 + "x1",
        "100000x100000",
        "10000x10000",
        "",
    ),
    Region: ("0,0,0,0", "0,0,-1,5", "nan,0,1,1", "0,0,1", "9" * 5_000 + ",0,1,1", f"{10**30},0,1,1", ""),
    Seconds: ("nan", "inf", "-1", "1:nan", "1:2:3:4", "1e400", "one", ""),
}


def commands(group, path=()):
    """(words of its command line, command) of every command there is."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        words = (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, words)
        else:
            yield words, command


EVERY = list(commands(cli.cli))
OPTIONS = [(words, option) for words, command in EVERY for option in command.params if isinstance(option, click.Option)]


def test_no_option_takes_a_number_of_click_s_own_kind():
    """Those let nan through, and numbers of any size."""
    kinds = (click.types.IntParamType, click.types.FloatParamType)
    own = [
        f"{' '.join(words)} {option.opts[0]}"
        for words, option in OPTIONS
        if isinstance(option.type, kinds) and not isinstance(option.type, NUMERIC) and not option.count
    ]
    assert own == []
    assert sum(isinstance(option.type, NUMERIC) for _, option in OPTIONS) > 40


@pytest.mark.parametrize(
    ("words", "option"),
    [
        pytest.param(*each, id="-".join((*each[0], each[1].name)))
        for each in OPTIONS
        if isinstance(each[1].type, NUMERIC)
    ],
)
def test_what_is_no_number_is_refused_by_name(words, option, capsys):
    (kind,) = (kind for kind in NUMERIC if isinstance(option.type, kind))
    for value in NONE[kind]:
        assert cli.run([*words, f"{option.opts[0]}={value}"]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert option.opts[0] in said
        assert len(said) < 400


@pytest.mark.parametrize("words", [("play",), ("bench", "arena", "--model=x")])
def test_a_way_to_decode_that_there_is_not_is_refused(words, capsys):
    assert cli.run([*words, "--decoding=careful"]) == 2
    said = capsys.readouterr().err
    assert "--decoding" in said
    assert "'auto', 'greedy'" in said
