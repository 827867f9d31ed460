"""What real servers answer becomes a goal, is asked for again, or needs review with a reason in words."""

import pytest

from protege.core.labeled import LABELED, NEEDS_REVIEW, LabeledSegment, find_segments
from protege.errors import UserError
from protege.labeling import Given, OpenAIServer, approve, label
from protege.labeling.backends.base import BackendError, Question
from tests.labeling.recordings import HOLD, record
from tests.labeling.server import serving

GOAL = "Go to the lantern"
USED = {
    "plain": ({"content": GOAL}, "stop"),
    "json": ({"content": '{"goal": "Go to the lantern"}'}, "stop"),
    "fence": ({"content": "```text\nGo to the lantern\n```"}, "stop"),
    "fenced json": ({"content": '```json\n{"goal": "go to the lantern."}\n```'}, "stop"),
    "think_tail": ({"content": "It turns.\nThen it walks.\n</think>\n\n" + GOAL}, "stop"),
    "parts": ({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": GOAL}]}, "stop"),
}
NOT_USED = {
    "cut": (({"content": "Go to the lantern and"}, "length"), 3, "cut off at the length limit of 200 tokens"),
    "cut where it looks whole": (({"content": GOAL}, "length"), 3, "cut off at the length limit"),
    "reasoning_only": (
        ({"content": "", "reasoning_content": "It walks to"}, "length"), 3,
        "still thinking at the length limit of 200 tokens; raise it with --max-tokens",
    ),
    "unfinished thought": (({"content": "<think>It walks to"}, "stop"), 3, "it is empty"),
    "garbage": (
        ({"content": '{"{"{"actionsactionsrightright", "right", "right'}, "stop"), 3, "it has the character '{'"
    ),
    "words": (({"content": "Banana lantern {{{{"}, "stop"), 3, "it has the character '{'"),
    "breaks off": (({"content": "Go to the lantern and"}, "stop"), 3, 'it breaks off after "and"'),
    "repeats": (({"content": "Right right right"}, "stop"), 3, 'it says "right" 3 times'),
    "other json": (({"content": '{"goal": ["Go", "there"]}'}, "stop"), 3, "it has the character"),
    "withheld": (({"content": ""}, "content_filter"), 3, "content filter"),
    "empty": ((None, "stop"), 3, "the server sent no answer"),
    "no text": (({"content": None}, "stop"), 3, "the model's answer is empty"),
    "a number": (({"content": 3}, "stop"), 3, "no chat completion"),
}  # fmt: skip


def labeled(tmp_path, reply):
    """(the one segment of a short recording, how often a server that always answers `reply` was asked)."""
    folder = record(tmp_path / "raw", [HOLD["w"]] * 30)
    with serving(lambda n, _: reply) as (chat, url):
        result = label([folder], tmp_path / "out", OpenAIServer(url, "m", retries=0))
    assert not result.problems
    (path,) = find_segments(tmp_path / "out")
    return LabeledSegment.load(path), len(chat.requests)


@pytest.mark.parametrize("reply", USED.values(), ids=USED)
def test_an_answer_in_any_of_the_forms_that_servers_send_is_the_goal(tmp_path, reply):
    segment, asked = labeled(tmp_path, reply)
    assert (segment.goal, segment.status, asked) == (GOAL, LABELED, 1)


@pytest.mark.parametrize(("reply", "asked", "why"), NOT_USED.values(), ids=NOT_USED)
def test_what_is_no_goal_is_asked_for_again_and_then_needs_review_with_the_reason(tmp_path, reply, asked, why):
    segment, times = labeled(tmp_path, reply)
    assert (segment.status, times) == (NEEDS_REVIEW, asked)
    assert why in segment.why
    assert not (tmp_path / "out" / "s_seg000" / "samples.jsonl").exists()


def test_a_person_s_goal_is_checked_the_same_way_unless_they_insist(tmp_path):
    label([record(tmp_path / "raw", [HOLD["w"]] * 30)], tmp_path / "out", Given("Explore the cellar"))
    folder = tmp_path / "out" / "s_seg000"
    before = (folder / "segment.json").read_bytes()
    with pytest.raises(UserError, match=r'--goal "The lantern": it is not an instruction.*--force'):
        approve(folder, "The lantern")
    for goal in ("", "Open\nthe door", "Open the \x1b[31mdoor", "Open the \udc80 door"):
        with pytest.raises(UserError, match="--goal"):
            approve(folder, goal, force=True)
    assert (folder / "segment.json").read_bytes() == before
    approve(folder, "The lantern", force=True)
    assert LabeledSegment.load(folder).goal == "The lantern"


def test_a_stored_goal_that_would_steer_a_terminal_needs_review(tmp_path):
    folder = record(tmp_path / "raw", [HOLD["w"]] * 30, goals=[(0, "Open \x1b]0;x\x07door", 30, "success")])
    label([folder], tmp_path / "out", Given())
    (found,) = [LabeledSegment.load(path) for path in find_segments(tmp_path / "out")]
    assert (found.status, found.why) == (NEEDS_REVIEW, "it has control characters")


KEY = "sk-very-secret-1234"


@pytest.mark.parametrize("status", [401, 403, 404, 400, 500])
def test_a_key_that_the_server_echoes_is_not_repeated_and_nothing_of_it_steers_a_terminal(status):
    with serving(lambda n, _: status) as (chat, url):
        try:
            (answer,) = OpenAIServer(url, "m", retries=0, api_key=KEY).answers([Question(0, "?")])
            said = str(answer.problem)
        except BackendError as error:
            said = str(error)
    assert chat.keys == [f"Bearer {KEY}"]
    assert KEY not in said
    assert "\x1b" not in said
    assert "***" in said


def test_a_key_in_an_answer_does_not_come_into_the_data(tmp_path):
    folder = record(tmp_path / "raw", [HOLD["w"]] * 30)
    with serving(lambda n, _: f"Open {KEY} door") as (_, url):
        label([folder], tmp_path / "out", OpenAIServer(url, "m", retries=0, api_key=KEY))
    assert KEY not in (tmp_path / "out" / "s_seg000" / "segment.json").read_text()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/v1",
        "127.0.0.1:8000",
        "ftp://x/v1",
        "http://",
        "http://[::1",
        "http://a b/",
        "http://x:0/",
    ],
)
def test_a_url_that_is_none_is_one_line(url):
    with pytest.raises(UserError, match=r"--url .*not a server's address"):
        OpenAIServer(url)


def test_a_login_in_a_url_is_masked():
    with pytest.raises(BackendError) as caught:
        list(OpenAIServer("http://me:secret@127.0.0.1:1/v1?token=secret", "m", retries=0).answers([Question(0, "?")]))
    assert "secret" not in str(caught.value)
    assert "http://***@127.0.0.1:1/v1" in str(caught.value)
    with pytest.raises(UserError, match=r"--url http://\*\*\*@x:99999"):
        OpenAIServer("http://me:secret@x:99999/v1")


@pytest.mark.parametrize("key", ["ключ", "a\nb", " "])
def test_a_key_that_no_header_can_hold_is_one_line(key):
    with pytest.raises(UserError, match="--api-key"):
        OpenAIServer(api_key=key)
