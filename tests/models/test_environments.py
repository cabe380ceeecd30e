"""Environments: what their files say, how they are made, what an archive may bring."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from pathlib import Path

import pytest

from bench.errors import ModelError, UsageError
from bench.models import environments
from bench.models.environments import (
    EnvFile,
    SourceArchive,
    check_env,
    create_env,
    env_files,
    environment_status,
    extract,
    interpreter,
    read_env,
)


@pytest.fixture(autouse=True)
def envs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_ENVS", str(tmp_path / "envs"))
    return tmp_path / "envs"


def write(folder: Path, text: str) -> str:
    file = folder / "mine.txt"
    file.write_text(text)
    return str(file)


def test_shipped_files_say_what_to_check() -> None:
    assert {"mmdet", "detectron2"} <= set(env_files())
    assert all(read_env(name).check for name in env_files())
    (archive,) = read_env("detectron2").unpack
    assert archive.folder == "detectron2" and len(archive.sha256) == 64


def test_names_and_lines_that_are_wrong_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'mmdet'"):
        read_env("mmdt")
    with pytest.raises(UsageError, match="cannot be read"):
        read_env(str(tmp_path / "none.txt"))
    for line in ("#: unpack it==1", "#: unpack it==1 md5:0 it", "#: unpack it sha256:0 it"):
        with pytest.raises(UsageError, match="write it as"):
            read_env(write(tmp_path, line))


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[EnvFile, list[list[str]]]:
    """An environment whose commands are noted, not run, but for the interpreter that they would leave."""
    ran: list[list[str]] = []

    def note(command: list[str], on_output: object, more: object = None) -> list[str]:
        ran.append(list(command))
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)
        return []

    monkeypatch.setattr(environments, "_command", note)
    return read_env(write(tmp_path, "#: check json\nnumpy\n")), ran


def test_an_environment_is_made_once_and_again_when_its_file_changes(
    tmp_path: Path, envs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, ran = made(tmp_path, monkeypatch)
    assert environment_status(env) == "missing"
    assert create_env(env) == envs / "mine"
    assert environment_status(env) == "ready" and [command[2] for command in ran] == ["venv", "pip"]
    create_env(env)
    assert len(ran) == 2
    changed = read_env(write(tmp_path, "#: check json\nnumpy\npillow\n"))
    assert environment_status(changed) == "outdated"
    create_env(changed, python="/other/python")
    assert environment_status(changed) == "ready" and ran[2][0] == "/other/python"


def test_one_that_was_cut_short_is_missing_and_made_anew(
    tmp_path: Path, envs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, ran = made(tmp_path, monkeypatch)
    create_env(env)
    (envs / "mine" / "bench-requirements.sha256").unlink()
    assert environment_status(env) == "missing"
    create_env(env)
    assert len(ran) == 4 and environment_status(env) == "ready"


def test_a_check_imports_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        env, _ = made(tmp_path, patched)
        create_env(env)
    assert check_env(env)["json"] == "2.0.9"
    broken = read_env(write(tmp_path, "#: check json no_such_module\n"))
    with pytest.raises(ModelError, match="No module named 'no_such_module'"):
        check_env(broken)


def test_an_interpreter_is_a_name_a_file_or_a_folder(tmp_path: Path, envs: Path) -> None:
    assert interpreter(sys.executable) == Path(sys.executable)
    assert interpreter(sys.prefix) == Path(sys.prefix) / "bin" / "python"
    with pytest.raises(ModelError, match="bench env create mine"):
        interpreter("mine")
    with pytest.raises(ModelError, match="no executable Python"):
        interpreter(str(tmp_path / "none"))


def archive(folder: Path, members: dict[str, bytes]) -> Path:
    file = folder / "it-1.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("it-1/it/link.py")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return file


def test_of_an_archive_only_code_and_configuration_of_the_folder_come(tmp_path: Path) -> None:
    file = archive(
        tmp_path,
        {
            "it-1/setup.py": b"raise SystemExit",
            "it-1/it/__init__.py": b"a = 1",
            "it-1/it/sub/it.yaml": b"a: 1",
            "it-1/it/fast.so": b"binary",
            "it-1/it/../../out.py": b"no",
            "/etc/it/abs.py": b"no",
            "it-1/other/x.py": b"no",
        },
    )
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    extract(file, SourceArchive("it==1", digest, "it"), tmp_path / "site")
    found = {str(p.relative_to(tmp_path / "site")) for p in (tmp_path / "site").glob("**/*") if p.is_file()}
    assert found == {"it/__init__.py", "it/sub/it.yaml"}
    assert not (tmp_path / "out.py").exists()


def test_an_archive_of_another_hash_is_refused(tmp_path: Path) -> None:
    file = archive(tmp_path, {"it-1/it/__init__.py": b"a = 1"})
    with pytest.raises(ModelError, match="sha256"):
        extract(file, SourceArchive("it==1", "0" * 64, "it"), tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_command_that_fails_says_its_last_words() -> None:
    script = "import sys; print('working'); print('ERROR: no such package'); print('bye'); sys.exit(2)"
    lines: list[str] = []
    with pytest.raises(ModelError, match="ERROR: no such package"):
        environments._command([sys.executable, "-c", script], lines.append)
    assert lines == ["working", "ERROR: no such package", "bye"]
    with pytest.raises(ModelError, match="cannot be run"):
        environments._command(["/no/such/python"], None)
