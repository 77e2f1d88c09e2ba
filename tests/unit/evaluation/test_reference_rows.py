import pytest

from stablellava.core.score import ItemScore, TaskEntry, TaskItem, TaskLog, TaskLogHeader, TaskReport
from stablellava.evaluation.benchmarks.registry import find_task
from stablellava.evaluation.reference_rows import load_reference_rows, matching_rows


def build_log(task: str, report: str = "", split: str = "", num_items: int = 5, **header: object) -> TaskLog:
    name = f"{task}:llava{'/' if report else ''}{report}"
    figure = TaskReport(name=name, value=0.5, ci_low=0.4, ci_high=0.6, num_items=num_items)
    fields: dict[str, object] = {
        "task": task, "variant": "llava", "model": "m", "model_fingerprint": "w", "data_path": "x",
        "data_fingerprint": "d", "num_items": 1, "package_version": "0", "reports": (figure,),
    }  # fmt: skip
    item = TaskItem(item_id="1", form="short", prompt="?", question="?", fields={"split": split})
    entry = TaskEntry(item=item, answer=None, score=ItemScore(item_id="1", value=0.5))
    return TaskLog(header=TaskLogHeader.model_validate({**fields, **header}), entries=(entry,))


def published(log: TaskLog) -> dict[str, float]:
    return {row.name: figure.value for row in matching_rows(log) for figure in row.figures}


SHOWN = [
    (build_log("pope", "mean_f1", num_items=9000), True),
    (build_log("pope", "mean_f1", num_items=8910), True),
    (build_log("pope", "mean_f1", num_items=12), False),
    (build_log("pope", "all/f1"), False),
    (build_log("pope", "mean_f1", num_items=9000, variant="official"), False),
    (build_log("pope", "mean_f1", num_items=9000, limit=100), False),
    (build_log("pope", "mean_f1", num_items=9000, left_out=("row 3",)), False),
    (build_log("mmbench", split="dev", num_items=1164), True),
    (build_log("mmbench", split="test", num_items=1164), False),
    (build_log("mmbench", split="dev", num_items=1163), False),
    (build_log("mmvet", num_items=218, judge="gpt-4-0613"), True),
    (build_log("mmvet", num_items=218, judge="qwen2.5-7b"), False),
    (build_log("vizwiz", split="val"), False),
]


@pytest.mark.parametrize(("log", "is_shown"), SHOWN, ids=range(len(SHOWN)))
def test_published_figures_stand_beside_the_same_protocol_alone(log: TaskLog, is_shown: bool) -> None:
    assert bool(published(log)) is is_shown


def test_parts_of_a_file_of_another_size_are_not_compared_either() -> None:
    whole, part = (build_log("mmbench", split="dev", num_items=num_items) for num_items in (1164, 20))
    level = TaskReport(name="mmbench:llava/L2/CP", value=0.5, ci_low=0.4, ci_high=0.6, num_items=5)
    figures = [
        {figure.report for row in matching_rows(TaskLog(header=header, entries=log.entries)) for figure in row.figures}
        for log in (whole, part)
        for header in (log.header.model_copy(update={"reports": (*log.header.reports, level)}),)
    ]
    assert figures == [{"", "L2/CP"}, set()]


def test_the_papers_figures_are_there_with_their_baselines() -> None:
    found = published(build_log("mmbench", split="dev", num_items=1164))
    assert found["StableLLaVA-13B (as in the paper)"] == 69.1
    assert found["LLaVA-1.5-13B (full)"] == 67.7
    assert found["LLaVA-1.5-13B (LoRA)"] == 68.5


def test_every_row_has_a_source_and_names_tasks_and_variants_that_exist() -> None:
    for row in load_reference_rows():
        assert row.source
        for figure in row.figures:
            assert figure.variant in find_task(figure.task).variants
