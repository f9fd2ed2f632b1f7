"""What the rules rest on: each has its entry, and what an entry names is there."""

import re
from pkgutil import resolve_name

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from chatwright.checks.rulebook import OURS, rules
from chatwright.checks.sources import SOURCES

IN_BACKTICKS = re.compile(r"`((?:langchain|langchain_core|langchain_tests|langgraph)(?:\.\w+)+)`")
SUITES = (ChatModelUnitTests, ChatModelIntegrationTests)
NAMED = sorted({name for source in SOURCES.values() for name in IN_BACKTICKS.findall(source)})
TESTS = sorted(
    {name for source in SOURCES.values() for name in re.findall(r"`(test_\w+)`", source)}
)


def test_each_rule_of_ours_has_an_entry_and_each_entry_a_rule():
    assert {*SOURCES} == {each.id for each in rules() if each.test.__module__.startswith(OURS)}


def test_entries_are_short():
    assert {rule_id: len(source) for rule_id, source in SOURCES.items() if len(source) > 400} == {}


def test_quotations_are_short():
    for rule_id, source in SOURCES.items():
        for quotation in re.findall(r"(?<!\w)'(.+?)'(?!\w)", source):
            assert len(quotation.split()) < 25, (rule_id, quotation)


@pytest.mark.parametrize("name", NAMED)
def test_what_is_named_is_there(name):
    assert resolve_name(name) is not None


@pytest.mark.parametrize("name", TESTS)
def test_the_tests_that_are_named_are_there(name):
    assert any(hasattr(suite, name) for suite in SUITES)


def test_names_are_found_at_all():
    assert len(NAMED) > 40
    assert len(TESTS) > 20
