"""Model name and data set → ModelSpec; the error message if there is no checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.datasets.label_map_files import MapFile
from bench.datasets.label_spaces import load_space, space_name
from bench.errors import ModelError, UsageError, error_context
from bench.fusion.presets import PRESETS
from bench.io.config import did_you_mean, find_config, from_dict, load_yaml, shipped_configs
from bench.io.files import cache_folder
from bench.models.checkpoint_folder import family_of, settings_for_folder
from bench.models.hub import resolve_commit
from bench.models.model_file import Checkpoint, CheckpointFolder, FusionOverrides, InputSize, ModelFile
from bench.models.spec import NO_QUERIES, ModelSpec, adapter_file
from bench.models.weights import check_available, weights_file
from bench.types import Precision


def missing_checkpoint_message(family: str, dataset: str, space: str, checkpoints: Mapping[str, str]) -> str:
    """Return the error message for a missing checkpoint, with all alternatives: training, label maps, own folders.

    `space` is the data set's label space, "" if unknown; then every checkpoint is listed. `checkpoints` is
    name → label space.
    """
    ways = [f"train one (bench train {name} --out DIR) and give --checkpoint DIR" for name in _recipes(family, dataset)]
    sources = {source: label_map_chain(source, space) for source in dict.fromkeys(checkpoints.values())}
    chains = {name: sources[source] for name, source in checkpoints.items()}
    for chain in dict.fromkeys(chain for chain in chains.values() if chain is not None):
        names = " or ".join(name for name, leads in chains.items() if leads == chain)
        ways.append(f"give --checkpoint {names}" + (f" (mapped by {', then '.join(chain)})" if chain else ""))
    if not space and checkpoints:
        ways.append(f"give --checkpoint {' or '.join(checkpoints)}")
    ways.append("give --checkpoint DIR, a folder of your own")
    return f"{family} has no checkpoint for {dataset}: {', or '.join(ways)}"


def _recipes(family: str, dataset: str) -> list[str]:
    return [name for name in shipped_configs("train") if name.startswith(f"{family}-") and name.endswith(f"-{dataset}")]


def label_map_chain(source: str, target: str) -> tuple[str, ...] | None:
    """Return at most two shipped label maps that lead from one label space to another, by name.

    () if the spaces are the same, None if no maps lead there.
    """
    if source == target:
        return ()
    files = {name: load_yaml(path, MapFile) for name, path in shipped_configs("labels").items() if "-to-" in name}
    last = [name for name, file in files.items() if file.target == target]
    direct = [(name,) for name in last if files[name].source == source]
    pairs = [
        (first, second)
        for second in last
        for first, file in files.items()
        if file.source == source and file.target == files[second].source
    ]
    return next(iter([*direct, *pairs]), None)


# Takes the place of a data set for images that have no labels.
IMAGES_ALONE = "images alone"


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
    """Return the ModelSpec of `mask2former`, `mask2former/cityscapes/swin-large` or `./mine.yaml` for `dataset`.

    A folder that training wrote is a model, too. `checkpoint` is the name of another checkpoint of the family, or a
    folder in hub format. A derived data set uses the checkpoint of its `base` if the family has none for itself. If
    `dataset` is None, the family's first checkpoint is used; for `IMAGES_ALONE`, its only one. Raises ModelError if
    there is none, with ways to the label space `space`.
    A `part` of a composed model must not be composed itself.

    `overrides` are keys of the YAML; `fusion.…` and `input.…` are those of the checkpoint. If one side of the input is
    given, the other follows in proportion.
    """
    family, _, named = name.partition("/") if not name.endswith((".yaml", ".yml", ".py")) else (name, "", "")
    if family not in shipped_configs("models") and Path(name).is_dir():
        family, named = family_of(Path(name)), ""
        checkpoint = checkpoint or name
    path = find_config("models", family)
    asked, keys = _of_checkpoint(overrides or {})
    file = load_yaml(path, ModelFile, keys)
    names = () if dataset is None else (dataset, Path(base).stem)
    usual = next((file.defaults[name] for name in names if name in file.defaults), None)
    only = len(file.checkpoints) == 1 and (dataset == IMAGES_ALONE or not file.defaults)
    first = dataset is None or only
    wanted = checkpoint or named or usual or (next(iter(file.checkpoints), None) if first else None)
    if wanted is None:
        spaces = {name: space_name(known.categories) for name, known in file.checkpoints.items()}
        raise ModelError(missing_checkpoint_message(family, dataset or "any data set", space, spaces))
    # A path to the folder of a named checkpoint is that checkpoint, with its settings.
    if wanted not in file.checkpoints:
        here = {_local(path, known): known_name for known_name, known in file.checkpoints.items() if known.path}
        wanted = here.get(Path(wanted).resolve(), wanted)
    if wanted in file.checkpoints:
        found = file.checkpoints[wanted]
        if part and found.parts:
            raise UsageError(f"{name}: is composed itself, so it cannot be a part")
        parts = _parts(path, found, dataset, base, precision)
        spec = _spec(path, file, wanted, found, parts, asked, precision)
        return replace(spec, changed=_changed(overrides or {}))
    if Path(wanted).exists():
        own = _of_folder(path, file, usual, names, wanted)
        spec = _spec(path, file, Path(wanted).name, own, {}, asked, precision)
        return replace(spec, changed=_changed(overrides or {}))
    hint = did_you_mean(wanted, file.checkpoints)
    raise ModelError(f"{family} has no checkpoint {wanted!r} and there is no such folder; {hint}")


def ensure_resolved(model: ModelSpec | str, dataset: str, base: str = "", space: str = "") -> ModelSpec:
    """Return the ModelSpec of a model on a data set. Raises ModelError if its weights or packages are missing."""
    spec = resolve_model(model, dataset, base=base, space=space) if isinstance(model, str) else model
    check_available(spec)
    return spec


def _of_folder(path: Path, file: ModelFile, usual: str | None, names: Collection[str], folder: str) -> Checkpoint:
    kind = settings_for_folder(file, Path(folder), usual, names, ships=path in shipped_configs("models").values())
    return Checkpoint(
        kind.categories,
        kind.input,
        path=str(Path(folder).resolve()),
        fusion=kind.fusion,
        files=kind.files if isinstance(kind, CheckpointFolder) else (),
        framework=kind.framework if isinstance(kind, Checkpoint) else None,
    )


@dataclass(frozen=True)
class SidesAsked:
    """Keys of an input size to replace."""

    shorter: int | None = None
    longer: int | None = None
    divisor: int | None = None

    def apply(self, size: InputSize) -> InputSize:
        """Return the size with these keys. If one side is given, the other follows in proportion."""
        shorter, longer = self.shorter, self.longer
        if shorter is None and longer is not None and size.longer:
            shorter = max(1, round(size.shorter * longer / size.longer))
        elif longer is None and shorter is not None and size.shorter:
            longer = max(1, round(size.longer * shorter / size.shorter))
        asked = (("shorter", shorter), ("longer", longer), ("divisor", self.divisor))
        return replace(size, **{name: value for name, value in asked if value is not None})


@dataclass(frozen=True)
class Asked:
    """Overrides of whichever checkpoint is taken."""

    fusion: FusionOverrides
    input: SidesAsked


def _of_checkpoint(overrides: Mapping[str, Any]) -> tuple[Asked, dict[str, Any]]:
    """Return the overrides of the checkpoint, and the keys of the YAML."""
    fusion, sides = (_below(name, overrides) for name in ("fusion", "input"))
    asked = Asked(
        replace(from_dict(FusionOverrides, fusion, "--set fusion"), preset=None),
        from_dict(SidesAsked, sides, "--set input"),
    )
    return asked, {key: value for key, value in overrides.items() if not key.startswith("input.")}


def _below(name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {key[len(name) + 1 :]: value for key, value in overrides.items() if key.startswith(f"{name}.")}


def _changed(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides that change the model, not where it is computed."""
    return {key: value for key, value in overrides.items() if key not in ("env", "deadline", "postprocess")}


def _parts(
    path: Path, checkpoint: Checkpoint, dataset: str | None, base: str, precision: Precision
) -> dict[str, ModelSpec]:
    if checkpoint.parts is None:
        return {}
    parts = {}
    for role, part in (("semantic", checkpoint.parts.semantic), ("instances", checkpoint.parts.instances)):
        spec = resolve_model(
            part.model,
            dataset,
            base=base,
            checkpoint=part.checkpoint,
            precision=precision,
            overrides=part.set,
            part=True,
        )
        if spec.space != load_space(checkpoint.categories).evaluated:
            wanted = space_name(checkpoint.categories)
            raise UsageError(f"{path}: the part {role} has the classes of {spec.categories}, not of {wanted}")
        parts[role] = spec
    return parts


def _spec(
    path: Path, file: ModelFile, name: str, checkpoint: Checkpoint,
    parts: Mapping[str, ModelSpec], asked: Asked, precision: Precision,
) -> ModelSpec:  # fmt: skip
    if file.deadline <= 0:
        raise UsageError(f"{path}: deadline: {file.deadline:g} s is no time; give a positive number")
    with error_context(path):
        fusion = asked.fusion.apply(checkpoint.fusion.apply(file.fusion.apply(PRESETS["none"])))
        space = load_space(checkpoint.categories).evaluated
        if parts and asked.input != SidesAsked():
            raise UsageError("input: a composed model has the sizes of its parts; give them by `set` of the parts")
        size = asked.input.apply(checkpoint.input or (parts["semantic"].input if parts else InputSize(0, 0)))
        # An adapter without weights reads neither; the other shipped ones read both.
        if adapter_file(file.adapter) is None and checkpoint.weights != "none":
            needs = {
                "input: {shorter: PX, longer: PX}": not size.longer,
                "fusion: {preset: NAME}": fusion.rule == "none",
            }
            if absent := " and ".join(f"`{key}`" for key, lacks in needs.items() if lacks):
                raise UsageError(f"the adapter {file.adapter} needs {absent}; write it into the YAML")
        if file.postprocess == "device" and fusion.rule in NO_QUERIES:
            raise UsageError("postprocess: only queries are fused on a device, and this model has none; leave it out")
    return ModelSpec(
        name=path.stem,
        adapter=file.adapter,
        method=file.method,
        checkpoint=name,
        source="" if parts else checkpoint.repo or str(_local(path, checkpoint)),
        local=checkpoint.repo is None,
        revision=checkpoint.revision,
        categories=space_name(checkpoint.categories),
        space=space,
        input=size,
        fusion=fusion,
        precision=precision,
        published=checkpoint.published,
        needs=checkpoint.needs,
        parts=parts,
        env=file.env,
        deadline=file.deadline,
        url=checkpoint.url,
        framework=checkpoint.framework,
        files=checkpoint.files,
        reads=tuple(str(Path(name).resolve()) for name in file.reads),
        weightless=checkpoint.weights == "none",
        postprocess=file.postprocess,
        yaml=str(path.resolve()),
    )


def _local(path: Path, checkpoint: Checkpoint) -> Path:
    """Return the local path of weights: in the cache for a URL; the folder of the YAML if it names none."""
    if checkpoint.url is not None:
        return cache_folder() / "weights" / path.stem / checkpoint.url.rpartition("/")[2]
    return Path(checkpoint.path or path.parent).resolve()


def with_commits(spec: ModelSpec) -> ModelSpec:
    """Return the ModelSpec with hub revisions resolved to commits. Raises ModelError if that fails."""
    parts = {role: with_commits(part) for role, part in spec.parts.items()}
    hub = not (spec.local or spec.parts)
    return replace(spec, parts=parts, revision=resolve_commit(spec.source, spec.revision) if hub else spec.revision)


def shipped_models(dataset: str) -> list[ModelSpec]:
    """Return the shipped families with a default checkpoint for `dataset` inside the package, sorted by name."""
    found = (_usual(family, dataset) for family in shipped_configs("models"))
    return [spec for spec in found if spec is not None and _has_weights(spec)]


def _usual(family: str, dataset: str) -> ModelSpec | None:
    try:
        return resolve_model(family, dataset)
    except ModelError:
        # The family has no checkpoint for this data set.
        return None


def _has_weights(spec: ModelSpec) -> bool:
    return spec.local and not spec.parts and spec.env is None and weights_file(Path(spec.source)) is not None
