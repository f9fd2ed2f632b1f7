"""A check in several processes: the rules in their order, and the processes' ends."""

import os
from pathlib import Path

import pytest

from chatwright import ChatEndpoint
from chatwright.checks.rulebook import rules
from chatwright.checks.run.engine import Options
from chatwright.checks.run.process import Supervised

ONLY = ("B", "S", "T", "O", "M", "K", "R", "E")


class Noting(ChatEndpoint):
    """Notes the process that it answers in."""

    def _generate(self, *args, **kwargs):
        note(os.environ["NOTES"], "asked")
        return super()._generate(*args, **kwargs)


def note(path, what):
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()} {what}\n")


def noted(path):
    lines = [line.split() for line in path.read_text().splitlines()]
    return {pid for pid, what in lines if what != "refused"}


def found_of(named):
    return Noting


def found_once(named):
    """Be found by the first process; those beside it are refused, and then the next ones not."""
    path = Path(os.environ["NOTES"])
    if path.exists() and len(path.read_text().splitlines()) < 4:
        note(path, "refused")
        raise RuntimeError("it is taken")
    note(path, "found")
    return ChatEndpoint


class DiesInAnother(ChatEndpoint):
    """Ends the process where it is asked for structured output by a rule of that section."""

    def with_structured_output(self, *args, **kwargs):
        if kwargs.get("include_raw"):
            os._exit(7)
        return super().with_structured_output(*args, **kwargs)


def found_deadly(named):
    return DiesInAnother


def report(find, named="m", only=ONLY):
    trying = []
    options = Options(only=only)
    check = Supervised(find, named, {"model": "m"}, options, trying=trying.append)
    told = []
    return check.report(told.append), told, trying


@pytest.fixture
def notes(tmp_path, monkeypatch):
    path = tmp_path / "notes"
    monkeypatch.setenv("NOTES", str(path))
    return path


def test_several_processes_try_the_rules_and_tell_them_in_order(notes):
    whole, told, trying = report(found_of)
    order = [each.id for each in rules(ONLY)]
    assert [each.rule for each in whole.findings] == order == trying
    assert told == whole.findings
    assert len(noted(notes)) == 4
    assert whole.calls > 200


def test_few_rules_are_tried_in_one_process(notes):
    report(found_of, only=("B1", "B2", "O1", "O2"))
    assert len(noted(notes)) == 1


def test_what_ends_another_process_is_a_finding_and_the_rest_is_tried():
    whole, _, _ = report(found_deadly)
    assert [each.rule for each in whole.findings] == [each.id for each in rules(ONLY)]
    ended = [each for each in whole.findings if "ended, or blocked, the process" in each.got]
    assert ended
    assert {each.section for each in ended} <= {"Structured output", "Content"}
    assert whole.findings[-1].rule.startswith("E")
    assert "the process" not in whole.findings[-1].got


def test_what_processes_can_not_have_at_once_is_tried_by_one_after_the_other(notes):
    whole, _, _ = report(found_once)
    assert [each.rule for each in whole.findings] == [each.id for each in rules(ONLY)]
    assert not [each for each in whole.findings if "it is taken" in each.got]
    assert notes.read_text().count("refused") == 3
    assert len(noted(notes)) == 4
