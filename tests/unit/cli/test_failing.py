import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import Result

from stablellava.cli.failing import report_failures
from stablellava.core.errors import BackendMissing, ConfigError

Invoke = Callable[..., Result]


def raising(error: BaseException) -> Callable[..., None]:
    def verb(as_json: bool = False) -> None:
        raise error

    return report_failures(verb)


def exit_code_of(verb: Callable[..., None], as_json: bool = False) -> int:
    with pytest.raises(typer.Exit) as caught:
        verb(as_json=as_json)
    return caught.value.exit_code


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (ConfigError("no such key 'x'."), 2, "no such key 'x'."),
        (BackendMissing("painter needs torch"), 3, "painter needs torch"),
        (KeyboardInterrupt(), 130, "the same command goes on from there"),
        (OSError(errno.ENOSPC, "No space left on device", "shard.parquet"), 2, "the disk is full"),
        (ModuleNotFoundError("No module", name="torch.nn"), 3, "pip install 'stablellava[train]'"),
    ],
    ids=["user", "backend", "interrupt", "disk", "extra"],
)
def test_a_failure_is_one_line_and_an_exit_code(
    error: BaseException, exit_code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(raising(error)) == exit_code

    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("synthesize", "--preset", "quick", "--run", "taken"), "'taken' is a file, and a folder is needed"),
        (("train", "configs", "--out", "taken/below"), "'taken' is a file, and a folder is needed"),
    ],
)
def test_a_path_that_is_taken_by_something_else_is_one_line(
    arguments: tuple[str, ...], said: str, invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "taken").touch()
    result = invoke(*arguments)
    assert result.exit_code == 2, result.exception
    assert result.stderr.splitlines()[-1] == f"stablellava: {said}; name another path."


def test_a_folder_where_a_file_is_to_be_put_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, folder = tmp_path / ".tmp-page.html", tmp_path / "pages"
    page.touch()
    folder.mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        page.replace(folder)

    assert exit_code_of(raising(caught.value)) == 2
    assert f"'{folder}' is a folder, and a file is needed" in capsys.readouterr().err


def test_a_full_disk_names_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code_of(raising(OSError(errno.ENOSPC, "No space left on device", "shard.parquet")))

    assert "shard.parquet" in capsys.readouterr().err


def test_machines_get_the_failure_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code_of(raising(ConfigError("bad")), as_json=True)

    error = json.loads(capsys.readouterr().out)["error"]
    assert error == {"kind": "ConfigError", "message": "bad", "exit_code": 2}


@pytest.mark.parametrize("bug", [ZeroDivisionError(), OSError(errno.EACCES, "denied"), ModuleNotFoundError(name="x")])
def test_a_bug_keeps_its_traceback(bug: Exception) -> None:
    with pytest.raises(type(bug)):
        raising(bug)()
