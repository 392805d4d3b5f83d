"""The search spaces, configurations and plans that come with the package: the repository's `search_spaces/`."""

from pathlib import Path

from rfe.errors import ConfigError
from rfe.suggestions import nearest, unknown

FOLDER = Path(__file__).parents[1] / "search_spaces"
"""In a checkout a link to the folder at its top; in an installed package a copy of it."""


def ready_made() -> dict[str, Path]:
    """Name -> file: `everything`, ..., configurations as `baselines/concat_mlp`, plans as `ablations/encoders`.

    Examples:
        >>> [name for name in ready_made() if "/" not in name][:3]
        ['adaptation', 'boosting', 'concat_mlp']
    """
    return {path.relative_to(FOLDER).with_suffix("").as_posix(): path for path in sorted(FOLDER.rglob("*.yaml"))}


def find_space(given: str | Path, group: str = "") -> Path:
    """Find the file that `given` names: a path, or a ready-made space.

    Args:
        given: as the user gave it.
        group: folder of the ready-made ones that may be named without it.

    Raises:
        ConfigError: neither.

    Examples:
        >>> find_space("everything").name
        'everything.yaml'
    """
    path, known = Path(given), ready_made()
    if group:
        inside = {name.removeprefix(f"{group}/"): file for name, file in known.items() if name.startswith(f"{group}/")}
        known = {**known, **inside} if str(given) in known else inside
    if path.is_file():
        return path
    if str(given) in known:
        return known[str(given)]
    if path.suffix in (".yaml", ".yml") or path.is_dir() or ("/" in str(given) and nearest(str(given), known) is None):
        what = "is a folder" if path.is_dir() else "does not exist"
        names = [name for name in known if group or not name.startswith("ablations/")]
        raise ConfigError(f"{given} {what}; give a YAML file, or the name of a ready-made one: {', '.join(names)}")
    kind = "plan" if group == "ablations" else "search space"
    raise ConfigError(unknown(f"{kind} or file", str(given), known))
