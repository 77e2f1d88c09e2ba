"""Answers that other tools had a model give: found again among a task's items, to be scored here."""

from stablellava.evaluation.answer_files.reading import FORMATS, match_answers, read_answers

__all__ = ["FORMATS", "match_answers", "read_answers"]
