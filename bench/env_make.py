"""Making and checking the environments of `bench.envs`: venv, pip, and Python files of a source archive."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from bench.envs import MARKER, EnvFile, Unpack, envs_folder, interpreter, state
from bench.errors import ModelError

OnLine = Callable[[str], None]
KEPT = (".py", ".yaml", ".json")  # of an unpacked archive
# What pip asks of a source archive's build, answered without looking at the archive.
METADATA_ONLY = """\
import os, sys
from types import SimpleNamespace
def get_requires_for_build_wheel(config_settings=None):
    return []
def prepare_metadata_for_build_wheel(directory, config_settings=None):
    name, version = os.environ["BENCH_UNPACK"].split("==")
    folder = name.replace("-", "_") + "-" + version + ".dist-info"
    os.makedirs(os.path.join(directory, folder))
    with open(os.path.join(directory, folder, "METADATA"), "w") as stream:
        stream.write("Metadata-Version: 2.1\\nName: %s\\nVersion: %s\\n" % (name, version))
    return folder
__legacy__ = SimpleNamespace(
    get_requires_for_build_wheel=get_requires_for_build_wheel,
    prepare_metadata_for_build_wheel=prepare_metadata_for_build_wheel,
)
"""


def create_env(env: EnvFile, python: str | None = None, on_line: OnLine | None = None) -> Path:
    """Makes the environment, in minutes; one that is ready is left alone. `python` is the interpreter to make it of."""
    folder = envs_folder() / env.name
    if state(env) == "ready":
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _command([python or sys.executable, "-m", "venv", str(folder)], on_line)
    own = folder / "bin" / "python"
    _command([str(own), "-m", "pip", "install", "--progress-bar", "off", "-r", str(env.path)], on_line)
    for archive in env.unpack:
        unpack(archive, own, on_line)
    (folder / MARKER).write_text(env.digest, encoding="utf-8")
    return folder


def check_env(env: EnvFile) -> dict[str, str]:
    """Module → version, as the environment's own Python imports them; what does not import is a ModelError."""
    python = interpreter(env.name)
    names = ", ".join(repr(name) for name in env.check)
    script = f"import importlib\nfor n in ({names},):\n m = importlib.import_module(n)\n"
    script += " print(n, getattr(m, '__version__', '?'))\n"
    lines = _command([str(python), "-I", "-c", script], None)
    versions = dict(line.split(maxsplit=1) for line in lines if line.split(" ")[0] in env.check)
    return {"python": str(python), **versions}


def unpack(archive: Unpack, python: Path, on_line: OnLine | None = None) -> None:
    """Python files of a source archive into site-packages: fetched by pip, its hash checked, its setup not run."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        backend = folder / "backend" / "setuptools"
        backend.mkdir(parents=True)
        (backend / "__init__.py").touch()
        (backend / "build_meta.py").write_text(METADATA_ONLY, encoding="utf-8")
        (folder / "it.txt").write_text(f"{archive.requirement} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
        name = archive.requirement.partition("==")[0]
        _command(
            [str(python), "-m", "pip", "download", "--no-deps", "--no-build-isolation", "--use-pep517",
             "--no-binary", name, "--require-hashes", "-r", str(folder / "it.txt"), "-d", str(folder / "got")],
            on_line, {"PYTHONPATH": str(backend.parent), "BENCH_UNPACK": archive.requirement},
        )  # fmt: skip
        (file,) = (folder / "got").iterdir()
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = Path(_command([str(python), "-I", "-c", where], None)[-1])
        extract(file, archive, site)


def extract(file: Path, archive: Unpack, site: Path) -> None:
    """The regular files of `archive.folder` that are code or configuration."""
    if hashlib.sha256(file.read_bytes()).hexdigest() != archive.sha256:
        raise ModelError(f"{file.name}: its sha256 is not that of {archive.requirement}")
    with tarfile.open(file) as tar:
        for member in tar.getmembers():
            parts = PurePosixPath(member.name).parts[1:]  # below the archive's own folder
            wanted = parts[:1] == (archive.folder,) and ".." not in parts and parts[-1].endswith(KEPT)
            content = tar.extractfile(member) if wanted and member.isfile() else None
            if content is not None:
                target = site.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())


def _command(command: Sequence[str], on_line: OnLine | None, more: dict[str, str] | None = None) -> list[str]:
    """Runs it and passes its lines on as they come; one that fails is a ModelError with its last words."""
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
            if on_line:
                on_line(lines[-1])
    if process.returncode:
        raise ModelError(f"{' '.join(command[:4])} ... failed: {_last_words(lines)}")
    return lines


def _last_words(lines: list[str]) -> str:
    errors = [line for line in lines if line.upper().startswith("ERROR") or "Error:" in line]
    return (errors or [line for line in lines if line] or ["it said nothing"])[-1]
