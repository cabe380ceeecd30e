"""Which model: configs/models/*.yaml, resolved to one checkpoint, and where its weights are."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from bench.cache import cache_folder
from bench.config import build, did_you_mean, find, load_yaml, shipped
from bench.envs import interpreter
from bench.errors import ModelError, UsageError, naming
from bench.fusion.presets import FusionSpec
from bench.hashing import FileDigests, files_digest, folder_digest
from bench.hub import resolve_commit
from bench.model_file import Checkpoint, Folder, FrameworkModel, FusionChoice, InputSize, ModelFile, Published
from bench.needs import check_packages
from bench.own_folder import taken_for
from bench.routes import no_checkpoint
from bench.spaces import load_space
from bench.types import Categories

IMAGES_ALONE = "images alone"  # in place of a data set, for images that have no labels

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class ModelSpec:
    """One model, resolved: what an adapter is built from and what a run records. `yaml` is the file that names it."""

    name: str
    adapter: str
    method: str
    checkpoint: str
    source: str
    local: bool
    revision: str | None
    categories: str
    input: InputSize
    fusion: FusionSpec
    precision: Precision = "fp32"
    published: Published | None = None
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parts: Mapping[str, ModelSpec] = field(default_factory=dict)
    env: str | None = None
    deadline: float = 300.0
    url: str | None = None
    framework: FrameworkModel | None = None
    files: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    weightless: bool = False
    yaml: str = ""

    @property
    def own_code(self) -> bool:
        """The adapter is a user's file, not one that ships."""
        return spec_file(self.adapter) is not None

    @property
    def space(self) -> Categories:
        return load_space(self.categories).scored


def resolve_model(
    name: str,
    dataset: str | None,
    *,
    base: str = "",
    space: str = "",
    checkpoint: str | None = None,
    precision: Precision = "fp32",
    overrides: Mapping[str, Any] | None = None,
    part: bool = False,
) -> ModelSpec:
    """`mask2former`, `mask2former/cityscapes/swin-large` or `./mine.yaml`, with its checkpoint for `dataset`.

    `checkpoint` is the name of another checkpoint of the family, or a folder in hub format. A derived data set
    takes the checkpoint of its `base` where the family names none for itself; no data set at all takes the family's
    first, and `IMAGES_ALONE` the only one. Where there is none, the error says what leads to the label space `space`.
    A `part` of a composed model may not be composed itself.
    """
    family, _, named = name.partition("/") if not name.endswith((".yaml", ".yml")) else (name, "", "")
    path = find("models", family)
    file = load_yaml(path, ModelFile, overrides)
    names = () if dataset is None else (dataset, Path(base).stem)
    usual = next((file.defaults[name] for name in names if name in file.defaults), None)
    first = dataset is None or (dataset == IMAGES_ALONE and len(file.checkpoints) == 1)
    wanted = checkpoint or named or usual or (next(iter(file.checkpoints), None) if first else None)
    if wanted is None:
        spaces = {name: known.categories for name, known in file.checkpoints.items()}
        raise ModelError(no_checkpoint(family, dataset or "any data set", space, spaces))
    if wanted not in file.checkpoints:  # the folder of a checkpoint that has a name
        here = {
            _local(path, known).resolve(): known_name for known_name, known in file.checkpoints.items() if known.path
        }
        wanted = here.get(Path(wanted).resolve(), wanted)
    asked = _fusion_asked(overrides or {})
    if wanted in file.checkpoints:
        found = file.checkpoints[wanted]
        if part and found.parts:
            raise UsageError(f"{name}: is composed itself, so it cannot be a part")
        parts = _parts(path, found, dataset, base, precision)
        return _spec(path, file, wanted, found, parts, asked, precision)
    if Path(wanted).exists():
        own = _of_folder(path, file, usual, names, wanted)
        return _spec(path, file, Path(wanted).name, own, {}, asked, precision)
    hint = did_you_mean(wanted, file.checkpoints)
    raise ModelError(f"{family} has no checkpoint {wanted!r} and there is no such folder; {hint}")


def resolved(model: ModelSpec | str, dataset: str, base: str = "", space: str = "") -> ModelSpec:
    """The specification itself, or what a name means on a data set; the weights must be where it says."""
    spec = resolve_model(model, dataset, base=base, space=space) if isinstance(model, str) else model
    check_source(spec)
    return spec


def _of_folder(path: Path, file: ModelFile, usual: str | None, names: Collection[str], folder: str) -> Checkpoint:
    """A folder of the user's, with the settings that fit it."""
    kind = taken_for(file, Path(folder), usual, names, ships=path in shipped("models").values())
    return Checkpoint(
        kind.categories,
        kind.input,
        path=str(Path(folder).resolve()),
        fusion=kind.fusion,
        files=kind.files if isinstance(kind, Folder) else (),
        framework=kind.framework if isinstance(kind, Checkpoint) else None,
    )


def _fusion_asked(overrides: Mapping[str, Any]) -> FusionChoice:
    """The thresholds that --set names; they hold against a checkpoint's own, too."""
    asked = {key.removeprefix("fusion."): value for key, value in overrides.items() if key.startswith("fusion.")}
    return replace(build(FusionChoice, asked, "--set fusion"), preset=None)


def _parts(
    path: Path, checkpoint: Checkpoint, dataset: str | None, base: str, precision: Precision
) -> dict[str, ModelSpec]:
    """The parts, resolved; names of files that start with a dot are beside the YAML."""
    if checkpoint.parts is None:
        return {}
    parts = {}
    for role, part in (("semantic", checkpoint.parts.semantic), ("instances", checkpoint.parts.instances)):
        model, own = _beside(path, part.model), _beside(path, part.checkpoint) if part.checkpoint else None
        spec = resolve_model(
            model, dataset, base=base, checkpoint=own, precision=precision, overrides=part.set, part=True
        )
        if spec.categories != checkpoint.categories:
            raise UsageError(
                f"{path}: the part {role} has the classes of {spec.categories}, not of {checkpoint.categories}"
            )
        parts[role] = spec
    return parts


def _beside(path: Path, name: str) -> str:
    """What starts with a dot lies beside the YAML."""
    return str((path.parent / name).resolve()) if name.startswith(".") else name


def _spec(
    path: Path, file: ModelFile, name: str, checkpoint: Checkpoint,
    parts: Mapping[str, ModelSpec], asked: FusionChoice, precision: Precision,
) -> ModelSpec:  # fmt: skip
    if file.deadline <= 0:
        raise UsageError(f"{path}: deadline: {file.deadline:g} s is no time; give a positive number")
    size = checkpoint.input or parts["semantic"].input
    with naming(path):
        fusion = asked.applied_to(checkpoint.fusion.applied_to(file.fusion.applied_to(None)))
        load_space(checkpoint.categories)
    beside, model = path.parent.resolve(), checkpoint.framework
    env = str(beside / file.env) if file.env and file.env.startswith(".") else file.env  # a link to a Python stays one
    return ModelSpec(
        name=path.stem,
        adapter=_beside(path, file.adapter),
        method=file.method,
        checkpoint=name,
        source="" if parts else checkpoint.repo or str(_local(path, checkpoint)),
        local=checkpoint.repo is None,
        revision=checkpoint.revision,
        categories=checkpoint.categories,
        input=size,
        fusion=fusion,
        precision=precision,
        published=checkpoint.published,
        needs=checkpoint.needs,
        parts=parts,
        env=env,
        deadline=file.deadline,
        url=checkpoint.url,
        framework=model and replace(model, config=_beside(path, model.config)),
        files=checkpoint.files,
        reads=tuple(str((path.parent / name).resolve()) for name in file.reads),
        weightless=checkpoint.weights == "none",
        yaml=str(path.resolve()),
    )


def _local(path: Path, checkpoint: Checkpoint) -> Path:
    """Shipped weights lie with the adapters, those of a user's YAML beside it, what has a URL in the cache."""
    if checkpoint.url is not None:
        return cache_folder() / "weights" / path.stem / checkpoint.url.rpartition("/")[2]
    folder = checkpoint.path or ""
    if path in shipped("models").values():
        return Path(str(files("bench.adapters"))) / folder
    return (path.parent / folder).resolve()


def spec_file(adapter: str) -> Path | None:
    """The file of `/path/mine.py:Name`; None for a shipped module."""
    where = adapter.rpartition(":")[0]
    return Path(where) if where.endswith(".py") else None


def check_source(spec: ModelSpec) -> None:
    """Packages must be installed, a local checkpoint hold a config and weights, an environment a Python; before any
    import and download.

    What a user's own adapter needs in its folder is its own business.
    """
    check_packages(f"{spec.name}/{spec.checkpoint}", spec.needs)
    for part in spec.parts.values():
        check_source(part)
    if spec.env is not None:
        interpreter(spec.env)
    if not spec.local or spec.own_code or spec.parts or spec.weightless:
        return
    folder = Path(spec.source)
    if spec.framework is not None:
        if not folder.is_file():
            fetch = f"download {spec.url} to there" if spec.url else "copy it there"
            raise ModelError(f"{folder}: there is no such checkpoint; {fetch}, or give --checkpoint FILE")
        return
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: no config.json here; a checkpoint is a folder in hub format")
    if weights_file(folder) is None:
        raise ModelError(f"{folder}: no weights (model.safetensors or pytorch_model.bin) here; copy them there")


def weights_file(folder: Path) -> Path | None:
    """The weights that a loader would take: safetensors first."""
    stems = ("model.safetensors", "pytorch_model.bin")
    names = [name for stem in stems for name in (stem, f"{stem}.index.json")]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def with_commits(spec: ModelSpec) -> ModelSpec:
    """The specification with the hub's commit in place of a branch; ModelError where neither cache nor hub has it."""
    parts = {role: with_commits(part) for role, part in spec.parts.items()}
    hub = not (spec.local or spec.parts)
    return replace(spec, parts=parts, revision=resolve_commit(spec.source, spec.revision) if hub else spec.revision)


def weights_digest(spec: ModelSpec, exclude: Collection[Path] = (), digests: FileDigests | None = None) -> str:
    """What identifies the weights: sha256 of their files (see `folder_digest`), or hub repo and commit; of parts, both.

    `exclude` are files and folders below that of the weights which are something else.
    """
    digests = digests or FileDigests()
    if spec.parts:
        return " + ".join(weights_digest(part, exclude, digests) for part in spec.parts.values())
    if spec.weightless:
        return "none"
    if not spec.local:
        return f"{spec.source}@{resolve_commit(spec.source, spec.revision)}"
    if spec.framework is not None:
        configs = [(f"config {k}", path) for k, path in enumerate(_with_bases(Path(spec.framework.config)))]
        return files_digest([("weights", Path(spec.source)), *configs], digests)
    return folder_digest(Path(spec.source), spec.files, exclude, digests)


def _with_bases(config: Path) -> list[Path]:
    """A framework's config file and those that it is based on (`_base_` in Python, `_BASE_` in YAML), in this order."""
    if not config.is_file():
        return []
    text = config.read_text(encoding="utf-8", errors="replace")
    named = re.search(r"^_base_\s*=\s*(\[[^]]*\]|\S.*)$|^_BASE_\s*:\s*(.*)$", text, re.MULTILINE | re.IGNORECASE)
    bases = re.findall(r"[^\s'\"\[\](),]+", next(filter(None, named.groups()), "")) if named else []
    return [config, *(path for base in bases for path in _with_bases(config.parent / base))]
