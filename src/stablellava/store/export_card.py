"""The card of an export: the data's own card, with the header by which Hugging Face reads the folder."""

import re
from pathlib import Path
from typing import Any

import yaml

from stablellava.store.export_parquet import COLUMNS
from stablellava.store.files import write_atomic
from stablellava.store.manifest import DataManifest, manifest_path, read_manifest

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LICENCE = re.compile(r"\bCC[ -]?(BY(?:-(?:NC|SA|ND))*|0)[ -](\d\.\d)\b")
_PATTERNS = {"parquet": "data/train-*.parquet", "webdataset": "train-*.tar"}


def write_export_card(data_dir: Path, out_dir: Path, form: str, num_samples: int, num_files: int) -> None:
    """Write ``README.md``: header with licence, split and size, how to read the files, and the data's card."""
    manifest = read_manifest(data_dir) if manifest_path(data_dir).is_file() else None
    header, body = _split_card(data_dir, manifest)
    header |= {
        "license": _name_licence(manifest.attribution if manifest else ""),
        "size_categories": [next((name for limit, name in _SIZES if num_samples < limit), "n>1M")],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": _PATTERNS[form]}]}],
    }
    reading = _tell_parquet() if form == "parquet" else _tell_tars(num_files)
    text = f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n{body.strip()}\n\n{reading}\n"
    write_atomic(out_dir / "README.md", text.encode())


def _split_card(data_dir: Path, manifest: DataManifest | None) -> tuple[dict[str, Any], str]:
    """Return header and text of the data's card; of a run that is not finished, what is owed at least."""
    path = data_dir / "card.md"
    if path.is_file():
        _, header, body = path.read_text(encoding="utf-8").split("---\n", 2)
        return dict(yaml.safe_load(header)), body
    owed = (manifest.attribution if manifest else "") or "The painter names no licence that has to be carried on."
    body = f"# Synthesized image-dialogue data\n\nExported before the run was finished.\n\n## Licences\n\n{owed}"
    return {"tags": ["synthetic", "stablellava"]}, body


def _name_licence(attribution: str) -> str:
    """Return the licence as the Hub names it: "cc-by-sa-4.0"; "other" for one told in words, "unknown" for none."""
    found = _LICENCE.search(attribution)
    if found:
        kind, version = found.groups()
        return f"cc0-{version}" if kind == "0" else f"cc-{kind.lower()}-{version}"
    return "other" if attribution else "unknown"


def _tell_parquet() -> str:
    rows = "\n".join(f"| `{name}` | {said} |" for name, said in COLUMNS.items())
    return (
        "## Reading the files\n\n"
        '```python\nimport datasets\n\nrows = datasets.load_dataset("THIS_FOLDER", split="train")\n'
        'rows[0]["images"][0].show()\n```\n\n'
        f"| column | |\n|---|---|\n{rows}"
    )


def _tell_tars(num_files: int) -> str:
    last = f"{max(num_files - 1, 0):06d}"
    pattern = f"train-{{000000..{last}}}.tar" if num_files > 1 else "train-000000.tar"
    return (
        "## Reading the files\n\n"
        "```python\nimport webdataset\n\n"
        f'rows = webdataset.WebDataset("THIS_FOLDER/{pattern}", shardshuffle=False).decode("pil")\n```\n\n'
        "Each sample is a `.json` and its pictures: `000000000.png`, or `000000000.0.png`, `000000000.1.png` where "
        "there are several. The JSON is a row of LLaVA (`id`, `image`, `conversations`; `image` names members of the "
        "tar) with `capability`, `keyword`, `setting`, `prompts`, and `provenance`, itself JSON: the writer, each "
        "picture's digest, seed and painter, and the checks' scores."
    )
