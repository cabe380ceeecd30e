"""Virtual environments of other frameworks: locate, create, check.

`configs/envs/NAME.txt` is a pip requirements file. Two kinds of comment lines are read besides:

    #: unpack NAME==VERSION sha256:HEX FOLDER    copy FOLDER (code, YAML, JSON) from the sdist; no setup is run
    #: check MODULE ...                          modules that must import
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

from bench.errors import ModelError, UsageError
from bench.io.config import did_you_mean
from bench.io.files import cache_folder

MARKER = "bench-requirements.sha256"


@dataclass(frozen=True)
class SourceArchive:
    """The code and configuration files of `folder` in the source archive of `requirement` (name==version)."""

    requirement: str
    sha256: str
    folder: str


@dataclass(frozen=True)
class EnvFile:
    """A parsed file of configs/envs."""

    name: str
    path: Path
    unpack: tuple[SourceArchive, ...]
    check: tuple[str, ...]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def envs_folder() -> Path:
    """Return `$BENCH_ENVS`, else a folder in the cache."""
    chosen = os.environ.get("BENCH_ENVS")
    return Path(chosen) if chosen else cache_folder() / "envs"


def interpreter(env: str) -> Path:
    """Return the Python of an environment, given its name, its folder, or the path of an interpreter.

    Raises ModelError if there is none.
    """
    if "/" not in env:
        python = envs_folder() / env / "bin" / "python"
        if not python.exists():
            raise ModelError(f"there is no environment {env!r} ({python}); create it with `bench env create {env}`")
        return python.absolute()
    path = Path(env).expanduser()
    # absolute() and not resolve(): the python of a virtual environment is a link, and its target is another
    # environment.
    python = path / "bin" / "python" if path.is_dir() else path
    if not os.access(python, os.X_OK):
        raise ModelError(f"env: {env}: there is no executable Python; name an interpreter or an environment")
    return python.absolute()


def env_files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(Path(str(files("bench.configs"))).glob("envs/*.txt"))}


def read_env(name: str) -> EnvFile:
    """Read a shipped environment by name, or a requirements file by a path ending in .txt. Raises UsageError."""
    path = Path(name) if name.endswith(".txt") else env_files().get(name)
    if path is None:
        raise UsageError(f"there is no environment {name!r}; {did_you_mean(name, env_files())}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    said = [line[2:].split() for line in lines if line.startswith("#:")]
    unpack = tuple(_unpack(path, words[1:]) for words in said if words[:1] == ["unpack"])
    return EnvFile(path.stem, path, unpack, tuple(m for words in said if words[:1] == ["check"] for m in words[1:]))


def _unpack(path: Path, words: list[str]) -> SourceArchive:
    if len(words) != 3 or not words[1].startswith("sha256:") or "==" not in words[0]:
        raise UsageError(f"{path}: write it as `#: unpack NAME==VERSION sha256:HEX FOLDER`")
    return SourceArchive(words[0], words[1].removeprefix("sha256:"), words[2])


def environment_status(env: EnvFile) -> str:
    """Return `ready`, `outdated` (its file has changed since) or `missing`."""
    folder = envs_folder() / env.name
    marker = folder / MARKER
    if not marker.is_file():
        return "missing"
    return "ready" if marker.read_text(encoding="utf-8") == env.digest else "outdated"


OnOutput = Callable[[str], None]
KEPT = (".py", ".yaml", ".json")  # of an unpacked archive
# pip prepares the metadata of a source archive before it downloads it, and no option leaves that out. detectron2's own
# setup would import torch and compile. So pip finds this build backend, which gives name and version alone.
BACKEND = """\
import pathlib
class __legacy__:
    def prepare_metadata_for_build_wheel(directory, config_settings=None):
        folder = pathlib.Path(directory, "{folder}.dist-info")
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        return folder.name
"""


def create_env(env: EnvFile, python: str | None = None, on_output: OnOutput | None = None) -> Path:
    """Create the environment (minutes) unless it is ready, from the interpreter `python` or the running one."""
    folder = envs_folder() / env.name
    if environment_status(env) == "ready":
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _command([python or sys.executable, "-m", "venv", str(folder)], on_output)
    own = folder / "bin" / "python"
    _command([str(own), "-m", "pip", "install", "--progress-bar", "off", "-r", str(env.path)], on_output)
    for archive in env.unpack:
        unpack(archive, own, on_output)
    # Last: an environment that was cut short has no marker and is made anew.
    (folder / MARKER).write_text(env.digest, encoding="utf-8")
    return folder


def check_env(env: EnvFile) -> dict[str, str]:
    """Return module → version, imported by the environment's own Python. Raises ModelError if an import fails."""
    python = interpreter(env.name)
    names = ", ".join(repr(name) for name in env.check)
    script = f"import importlib\nfor n in ({names},):\n m = importlib.import_module(n)\n"
    script += " print(n, getattr(m, '__version__', '?'))\n"
    lines = _command([str(python), "-I", "-c", script], None)
    versions = dict(line.split(maxsplit=1) for line in lines if line.split(" ")[0] in env.check)
    return {"python": str(python), **versions}


def unpack(archive: SourceArchive, python: Path, on_output: OnOutput | None = None) -> None:
    """Download a source archive with pip, check its hash, and copy its files into site-packages. No setup is run."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        name, version = archive.requirement.split("==")
        backend = folder / "setuptools" / "build_meta.py"
        backend.parent.mkdir()
        (backend.parent / "__init__.py").touch()
        text = BACKEND.format(folder=f"{name.replace('-', '_')}-{version}", name=name, version=version)
        backend.write_text(text, encoding="utf-8")
        (folder / "it.txt").write_text(f"{archive.requirement} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
        _command(
            [str(python), "-m", "pip", "download", "--no-deps", "--no-build-isolation", "--use-pep517",
             "--no-binary", name, "--require-hashes", "-r", str(folder / "it.txt"), "-d", str(folder / "got")],
            on_output, {"PYTHONPATH": str(folder)},
        )  # fmt: skip
        (file,) = (folder / "got").iterdir()
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = Path(_command([str(python), "-I", "-c", where], None)[-1])
        extract(file, archive, site)


def extract(file: Path, archive: SourceArchive, site: Path) -> None:
    """Copy code and configuration files of `archive.folder` into `site`. Raises ModelError if the hash differs."""
    if hashlib.sha256(file.read_bytes()).hexdigest() != archive.sha256:
        raise ModelError(f"{file.name}: its sha256 is not that of {archive.requirement}")
    with tarfile.open(file) as tar:
        for member in tar.getmembers():
            parts = PurePosixPath(member.name).parts[1:]  # below the archive's own folder
            # Nothing above the folder, and code and configuration alone: an archive could hold any path and any file.
            wanted = parts[:1] == (archive.folder,) and ".." not in parts and parts[-1].endswith(KEPT)
            content = tar.extractfile(member) if wanted and member.isfile() else None
            if content is not None:
                target = site.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())


def _command(command: Sequence[str], on_output: OnOutput | None, more: dict[str, str] | None = None) -> list[str]:
    """Run a command, pass its output lines to `on_line`, and return them. Raises ModelError if it fails."""
    # A PYTHONPATH of the caller would bring its packages into the environment.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**environment, **(more or {})}
        )
    except OSError as error:
        raise ModelError(f"{command[0]}: cannot be run ({error.strerror})") from None
    with process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if on_output:
                on_output(lines[-1])
    if process.returncode:
        raise ModelError(f"{' '.join(command[:4])} ... failed: {_last_words(lines)}")
    return lines


def _last_words(lines: list[str]) -> str:
    errors = [line for line in lines if line.upper().startswith("ERROR") or "Error:" in line]
    return (errors or [line for line in lines if line] or ["no output"])[-1]
