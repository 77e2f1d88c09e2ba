"""The data card: what the data are, where they come from, what was dropped, what is owed to whom."""

from collections.abc import Mapping
from pathlib import Path

from stablellava.store.files import write_atomic
from stablellava.store.manifest import DataManifest


def write_card(data_dir: Path, manifest: DataManifest, coverage: Mapping[str, Mapping[str, int]]) -> None:
    """Write ``card.md`` below the data folder; ``coverage`` is capability -> keyword -> accepted samples."""
    sections = [
        _front(manifest),
        _counts(manifest),
        _coverage(coverage),
        _rejects(manifest),
        _making(manifest),
        _licences(manifest),
    ]
    write_atomic(data_dir / "card.md", "\n\n".join(section for section in sections if section).encode() + b"\n")


def _front(manifest: DataManifest) -> str:
    total = sum(counts.accepted for counts in manifest.counts.values())
    return (
        "---\ntask_categories:\n- visual-question-answering\n- image-to-text\n"
        "tags:\n- synthetic\n- stablellava\n---\n\n"
        "# Synthesized image-dialogue data\n\n"
        f"{total:,} samples. A writer drafted a paint prompt and the dialogue that belongs to it, a painter painted "
        "the prompt, and checks compared the two. The method follows arXiv 2308.10253 (StableLLaVA).\n\n"
        f"Fingerprint: `{manifest.fingerprint}`"
    )


def _counts(manifest: DataManifest) -> str:
    rows = [
        f"| {name} | {counts.accepted:,} | {sum(counts.rejected.values()):,} |"
        for name, counts in manifest.counts.items()
    ]
    table = "\n".join(["| capability | accepted | rejected |", "|---|---|---|", *rows])
    unfilled = "\n".join(f"- {name}: {why}" for name, why in manifest.unfilled.items())
    return f"## Counts\n\n{table}" + (f"\n\nNot filled:\n\n{unfilled}" if unfilled else "")


def _coverage(coverage: Mapping[str, Mapping[str, int]]) -> str:
    lines = []
    for name, keywords in coverage.items():
        listed = sorted(keywords.items(), key=lambda entry: (-entry[1], entry[0]))
        shown = ", ".join(f"{keyword} {count}" for keyword, count in listed if count)
        missing = ", ".join(keyword for keyword, count in listed if not count)
        lines.append(f"### {name}\n\n{shown or 'nothing'}" + (f"\n\nWithout a sample: {missing}" if missing else ""))
    return "## Coverage per keyword\n\n" + "\n\n".join(lines)


def _rejects(manifest: DataManifest) -> str:
    rows = [
        f"| {name} | {reason} | {count:,} |"
        for name, counts in manifest.counts.items()
        for reason, count in counts.rejected.items()
    ]
    if not rows:
        return "## Rejected\n\nNothing was rejected."
    return "\n".join(["## Rejected", "", "| capability | reason | candidates |", "|---|---|---|", *rows])


def _making(manifest: DataManifest) -> str:
    settings = manifest.inputs.get("settings", {})
    lines = [f"- seed: {manifest.inputs.get('seed')}"]
    for role in ("writer", "painter"):
        backend = (settings.get(role) or {}).get("backend")
        if backend:
            revision = manifest.inputs.get(f"{role}_revision")
            lines.append(f"- {role}: {backend}" + (f" (revision {revision})" if revision else ""))
    for name, digest in sorted(manifest.inputs.get("sources", {}).items()):
        lines.append(f"- source: {name} (sha256 {digest})")
    return "## Made with\n\n" + "\n".join(lines)


def _licences(manifest: DataManifest) -> str:
    owed = manifest.attribution or "The painter names no licence that has to be carried on."
    return f"## Licences\n\n{owed}"
