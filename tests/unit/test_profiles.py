"""Profiles: those that ship, and what is refused of a user's own, with file and line."""

from pathlib import Path

import pytest

from bench import workloads
from bench.errors import UsageError
from bench.profiles import SHIPPED, load

GOOD = "question: Does it?\nworkloads:\n  - tcp-rr\n"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_profile_that_ships_answers_a_question_which_its_head_says(name: str) -> None:
    profile = load(name)
    assert profile.question.endswith("?")
    assert workloads.chosen(profile.workloads)
    file = Path(__file__).parents[2] / f"bench/profiles/{name}.yaml"
    assert file.read_text().startswith("# ")


def test_several_values_of_a_parameter_are_as_many_workloads(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"{GOOD}  - tcp-rr:size=64/1024\nduration: 9\n")
    found = load(str(file))
    assert found.name == "mine"
    assert found.workloads == ("tcp-rr", "tcp-rr:size=64", "tcp-rr:size=1024")
    assert (found.blocks, found.duration, found.warmup) == (None, 9, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"mine\.yaml: is empty"),
        ("workloads: [tcp-rr]\n", r"mine\.yaml: has no question"),
        ("question: Why?\n", r"mine\.yaml: has no workloads"),
        ("question: 7\nworkloads: [tcp-rr]\n", r"mine\.yaml:1: question is a number"),
        (GOOD + "block: 3\n", r"mine\.yaml:4: unknown key 'block'; a profile has question"),
        (GOOD + "blocks: 0\n", r"mine\.yaml:4: blocks is 0; write a whole number from 1"),
        (GOOD + "warmup: yes please\n", r"mine\.yaml:4: warmup is 'yes please'"),
        (GOOD + "warmup: true\n", r"mine\.yaml:4: warmup is True"),
        (GOOD + "duration: 3\nduration: 4\n", r"mine\.yaml:5: duration is there twice"),
        (GOOD + "  - ftp\n", r"mine\.yaml:4: unknown workload 'ftp'; known are"),
        (GOOD + "  - tcp-rr:size=1\n", r"mine\.yaml:4: tcp-rr is there twice"),
        (GOOD + "  - 3\n", r"mine\.yaml:4: a workload is a number"),
        ("question: Why?\nworkloads: tcp-rr\n", r"mine\.yaml:2: workloads is a string"),
        ("- tcp-rr\n", r"mine\.yaml: holds a list where a mapping is meant; a profile has"),
        ("question: [\n", r"mine\.yaml:\d: not valid YAML"),
    ],
)
def test_what_is_no_profile_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        load(str(file))
    assert "\n" not in str(caught.value)
    assert "inventory" not in str(caught.value)


def test_an_unknown_name_lists_the_known_and_a_missing_file_is_named() -> None:
    with pytest.raises(UsageError, match="unknown profile 'fast'; known are: quick, standard, th"):
        load("fast")
    with pytest.raises(UsageError, match=r"none\.yaml: no such file; a profile has"):
        load("./none.yaml")
