import pytest

from stablellava.studies.rater_agreement import cohen_kappa, fleiss_kappa, observed_agreement


def test_cohens_kappa_is_what_the_definition_gives_by_hand() -> None:
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed 0.7, by chance 0.5 x 0.6 + 0.5 x 0.4 = 0.5.
    rows = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert observed_agreement(rows) == pytest.approx(0.7)
    assert cohen_kappa(rows) == pytest.approx(0.4)


def test_fleiss_kappa_reproduces_the_worked_example_of_fourteen_raters() -> None:
    # The table that textbooks and Wikipedia's article on the measure work through: kappa 0.210.
    table = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    rows = [[label for label, count in enumerate(counts) for _ in range(count)] for counts in table]
    assert observed_agreement(rows) == pytest.approx(0.378, abs=5e-4)
    assert fleiss_kappa(rows) == pytest.approx(0.210, abs=5e-4)


def test_agreement_worse_than_chance_is_negative() -> None:
    assert cohen_kappa([("yes", "no"), ("no", "yes")]) == pytest.approx(-1.0)


def test_without_items_or_variety_there_is_no_kappa() -> None:
    assert cohen_kappa([]) is None
    assert cohen_kappa([("yes", "yes")] * 9) is None
    assert fleiss_kappa([("yes", "yes", "yes")] * 9) is None


def test_items_of_unequal_company_are_refused() -> None:
    with pytest.raises(ValueError, match="same number of labels"):
        fleiss_kappa([("yes", "no"), ("yes", "no", "no")])
