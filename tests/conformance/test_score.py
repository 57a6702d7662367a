from tests.conformance.score import Score, below


def test_a_score_at_its_floor_is_no_complaint() -> None:
    assert below([Score("suite", 10, 7)], {"suite": 7}) == []


def test_a_score_below_its_floor_is_a_complaint() -> None:
    assert below([Score("suite", 10, 6)], {"suite": 7}) == ["suite: 6 passed, the floor is 7"]


def test_a_suite_that_was_not_run_is_a_complaint() -> None:
    assert below([], {"suite": 7}) == ["suite: was not run"]


def test_a_suite_without_a_floor_is_a_complaint() -> None:
    assert below([Score("new", 1, 1)], {}) == ["new: has no floor"]
