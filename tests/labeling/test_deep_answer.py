"""A server whose answer is JSON without end."""

from protege.labeling import OpenAIServer
from protege.labeling.backends.base import Question
from tests.fuzz.case import serve
from tests.labeling.recordings import picture


def test_an_answer_nested_without_end_is_no_answer(tmp_path):
    (tmp_path / "answers.json").write_text('{"choices": ' + "[" * 200_000)
    (answer,) = OpenAIServer(serve(tmp_path), "m", retries=0).answers([Question(0, "question", picture(0))])
    assert "no chat completion" in str(answer.problem)
