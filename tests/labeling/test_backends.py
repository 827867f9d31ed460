"""Back ends for real: an HTTP server on loopback, the tiny Qwen3-VL on the CPU, a local Ray."""

import base64
import io
import re

import pytest
from PIL import Image

from protege.core.labeled import LABELED, NEEDS_REVIEW, LabeledSegment, find_segments
from protege.labeling import LabelOptions, OpenAIServer, RayCluster, Transformers, label
from protege.labeling.backends.base import Answer, BackendError, Question
from tests.labeling.recordings import HOLD, picture, record
from tests.labeling.server import picture_of, serving, words_of

W = HOLD["w"]


def questions(count):
    return [Question(i, f"question {i}", picture(i)) for i in range(count)]


def by_number(answers):
    return {answer.number: answer for answer in answers}


def test_a_server_gets_picture_and_text_and_its_model_is_found_out():
    with serving(lambda n, text: f"answer to {text}") as (chat, url):
        server = OpenAIServer(url, retries=0)
        assert server.name == "tiny-qwen"
        found = by_number(server.answers(questions(5)))
    assert {n: a.text for n, a in found.items()} == {i: f"answer to question {i}" for i in range(5)}
    body = next(b for b in chat.requests if words_of(b) == "question 3")
    assert body["model"] == "tiny-qwen"
    assert body["temperature"] == 0
    head, data = picture_of(body).split(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(data) == picture(3)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_as_many_requests_are_under_way_as_asked_for(concurrency):
    with serving(lambda n, _: 0.05) as (chat, url):
        found = list(OpenAIServer(url, "m", concurrency=concurrency).answers(questions(12)))
    assert len(found) == 12
    assert chat.most_busy == concurrency


def test_questions_are_made_only_as_they_are_needed():
    made = []

    def lazily():
        for question in questions(10):
            made.append(question.number)
            yield question

    with serving(lambda n, _: "Open the door") as (_, url):
        answers = OpenAIServer(url, "m", concurrency=2).answers(lazily())
        next(answers)
        assert len(made) <= 3
        del answers


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_for_a_moment_is_asked_again(status):
    with serving(lambda n, _: status if n == 0 else "Open the door") as (chat, url):
        (answer,) = OpenAIServer(url, "m", retries=2).answers(questions(1))
    assert answer == Answer(0, "Open the door")
    assert len(chat.requests) == 2


def test_a_server_that_keeps_failing_on_one_question_does_not_stop_the_others():
    with serving(lambda n, text: 500 if text.endswith("1") else "Open the door") as (_, url):
        found = by_number(OpenAIServer(url, "m", retries=1).answers(questions(3)))
    assert found[0].problem is None
    assert found[2].problem is None
    assert "status 500" in str(found[1].problem)


def test_a_slow_server_times_out_and_rubbish_is_no_answer():
    with serving(lambda n, text: 2.0 if text.endswith("0") else ("<html>rubbish</html>",)) as (_, url):
        found = by_number(OpenAIServer(url, "m", timeout_s=0.3, retries=0).answers(questions(2)))
    assert found[0].problem == "no answer within 0.3 s"
    assert re.search("no chat completion|failed", str(found[1].problem))


def test_a_server_that_is_not_there_or_refuses_us_stops_the_run_in_one_line():
    with pytest.raises(BackendError, match=r"127.0.0.1:1/v1: cannot be reached .*start the server or correct --url"):
        list(OpenAIServer("http://127.0.0.1:1/v1", "m", retries=0).answers(questions(2)))
    with pytest.raises(BackendError, match="does not name its model"):
        _ = OpenAIServer("http://127.0.0.1:1/v1", retries=0).name
    with serving(lambda n, _: 404) as (_, url), pytest.raises(BackendError, match="check --model"):
        list(OpenAIServer(url, "nosuch", retries=0).answers(questions(2)))


def test_a_server_that_fails_at_everything_counts_as_broken():
    with serving(lambda n, _: 500) as (chat, url), pytest.raises(BackendError, match="20 questions in a row failed"):
        list(OpenAIServer(url, "m", retries=0).answers(questions(40)))
    assert len(chat.requests) < 40


def test_a_whole_recording_is_labeled_through_a_server(tmp_path):
    def answer(n, text):
        return '"Go to the lantern."' if "You answered" in text else "The lantern"

    folder = record(tmp_path / "raw", [W] * 120)
    with serving(answer) as (chat, url):
        result = label([folder], tmp_path / "out", OpenAIServer(url, concurrency=4), LabelOptions())
    assert len(chat.requests) == 6
    found = [LabeledSegment.load(p) for p in find_segments(tmp_path / "out")]
    assert [(s.goal, s.by, s.status) for s in found] == [("Go to the lantern", "tiny-qwen", LABELED)] * 3
    assert result.samples > 0
    sheet = Image.open(io.BytesIO(base64.b64decode(picture_of(chat.requests[0]).split(",")[1])))
    assert sheet.width == 3 * 64 + 2 * 8


def test_the_key_of_a_server_is_never_shown():
    assert "secret" not in repr(OpenAIServer(api_key="secret"))


def test_the_tiny_model_answers_in_batches_as_it_does_alone(tiny):
    asked = [Question(0, "What is the goal?", picture(0)), Question(1, "And what is this other goal then?", picture(5))]
    together = by_number(
        Transformers(str(tiny), batch=2, device="cpu", max_tokens=4).answers([*asked, Question(2, "x")])
    )
    alone = by_number(Transformers(str(tiny), batch=1, device="cpu", max_tokens=4).answers(asked))
    assert set(together) == {0, 1, 2}
    assert all(together[n].text == alone[n].text for n in (0, 1))


def test_the_tiny_model_labels_a_recording_and_what_it_babbles_needs_review(tiny, tmp_path):
    folder = record(tmp_path / "raw", [W] * 80)
    label([folder], tmp_path / "out", Transformers(str(tiny), batch=2, device="cpu", max_tokens=4))
    found = [LabeledSegment.load(p) for p in find_segments(tmp_path / "out")]
    assert len(found) == 2
    assert all(s.status == NEEDS_REVIEW and s.by == str(tiny) for s in found)


def test_the_tiny_model_answers_behind_a_server(tiny):
    """The whole way: our client, HTTP, a real Qwen3-VL."""
    model = Transformers(str(tiny), device="cpu", max_tokens=4)
    expected = next(model.answers([Question(0, "question 0", picture(0))])).text

    def answer(n, text):
        return next(model.answers([Question(0, text, picture(0))])).text

    with serving(answer) as (_, url):
        (found,) = OpenAIServer(url).answers(questions(1))
    assert found.text == expected


class Echo:
    """A labeler that can be sent to a worker."""

    name = "echo"

    def answers(self, questions):
        for question in questions:
            assert question.picture == picture(question.number)
            bad = question.number == 3
            yield Answer(question.number, "" if bad else f"Do {question.text}", "no idea" if bad else None)


# Ray leaves sockets and files of its own processes to the garbage collector
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray", "ignore::UserWarning:ray")
def test_ray_data_spreads_the_questions_and_keeps_its_workers(tmp_path):
    import ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
    try:
        cluster = RayCluster(Echo(), cpus=0.5, batch=4)
        assert cluster.name == "echo"
        found = by_number(cluster.answers(questions(10)))
        workers = list(cluster._actors)
        assert by_number(cluster.answers(questions(2)))[1].text == "Do question 1"
        assert cluster._actors == workers
        assert list(cluster.answers([])) == []
        cluster.close()
    finally:
        ray.shutdown()
    assert {n: a.text for n, a in found.items() if n != 3} == {i: f"Do question {i}" for i in range(10) if i != 3}
    assert found[3].problem == "no idea"
