"""MMBench's upload: one XLSX row a pass, answers as they came.

Columns follow LLaVA's ``convert_mmbench_for_submission.py``: what the server does not need is left out and
the prediction stands at place 6.
"""

import io
from collections.abc import Sequence

from stablellava.core.errors import BackendMissing
from stablellava.evaluation.benchmarks.base import Answered, Submission

_COLUMNS = ("index", "question", "A", "B", "C", "D", "prediction", "answer", "split")


def render(answered: Sequence[Answered]) -> dict[str, bytes]:
    """Return the workbook. Raises: BackendMissing without openpyxl."""
    try:
        from openpyxl import Workbook
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    except ImportError as exc:
        raise BackendMissing("XLSX files need openpyxl: pip install 'stablellava[xlsx]'") from exc
    book = Workbook()
    sheet = book.active
    sheet.append(_COLUMNS)
    for row, entry in enumerate(answered, start=2):
        item = entry.item
        texts = [item.question, *(item.options.get(letter, "") for letter in "ABCD"), entry.text or ""]
        texts += [*(item.reference or ("",)), item.fields.get("split", "")]
        # XML has no control characters, and a model may say some.
        sheet.cell(row, 1, int(item.item_id))
        for column, text in enumerate(texts, start=2):
            # A leading "=" would make a spreadsheet compute the answer.
            sheet.cell(row, column, ILLEGAL_CHARACTERS_RE.sub("", text)).data_type = "s"
    data = io.BytesIO()
    book.save(data)
    return {"": data.getvalue()}


SUBMISSION = Submission("XLSX for the MMBench server", ".xlsx", render)
