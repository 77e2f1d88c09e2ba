import importlib
import inspect
import pkgutil
import re
from pathlib import Path

from stablellava.evaluation import official

PAGE = Path(__file__).parents[4] / "docs" / "scorers.md"


def test_the_page_names_every_public_function_and_no_other() -> None:
    named = set(re.findall(r"^\| `(\w+\.\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    public = set()
    for module_info in pkgutil.iter_modules(official.__path__):
        module = importlib.import_module(f"{official.__name__}.{module_info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                public.add(f"{module_info.name}.{name}")
    helpers = ("report_figure", "resample_totals", "interval_of_totals")
    assert named == public - {f"aggregating.{name}" for name in helpers}
