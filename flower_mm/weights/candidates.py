"""Pretrained weights at hand: those of the table, of timm, and own files."""

from dataclasses import dataclass, replace
from pathlib import Path

from flower_mm.errors import UserError
from flower_mm.packaged_configs import short_names
from flower_mm.weights import pretrained_table
from flower_mm.weights.pretrained_table import TIMM_PREFIX, Entry

SUFFIXES = ('.pth', '.pt', '.safetensors')


@dataclass(frozen=True)
class Candidate:
    """Pretrained weights, and the words of `train` that start from them."""

    name: str
    entry: Entry
    words: tuple[str, ...]
    file: Path | None = None  # the user's own, which cannot be verified

    @property
    def image_size(self) -> int:
        preprocessing = self.entry.preprocessing
        return preprocessing.size if preprocessing else 224

    @property
    def cost(self) -> float:
        """Roughly proportional to the time of a photo."""
        return self.entry.parameters * self.image_size**2

    def path(self) -> Path | None:
        """Return the stored file, None where it is missing."""
        folder = pretrained_table.folder()
        return self.file or pretrained_table.present(self.entry, folder)


def find_candidates(names: list[str] | None) -> list[Candidate]:
    """Return the named backbones, or those of the table and stored files.

    Args:
        names: Names of `weights --list`, timm/NAME, or files of weights.
    """
    found = []
    for name in dict.fromkeys(names or pretrained_table.read_table()):
        if name.endswith(SUFFIXES):
            found.append(_of_file(Path(name)))
        else:
            found.append(_candidate(pretrained_table.find(name)))
    if not names:
        known = {home.file for each in found for home in each.entry.homes}
        for path in sorted(pretrained_table.folder().glob('*')):
            if path.suffix in SUFFIXES and path.name not in known:
                try:
                    found.append(_of_file(path))
                except UserError as error:
                    print(f'left out: {str(error).splitlines()[0]}')
    return sorted(found, key=lambda candidate: candidate.cost)


def _of_file(path: Path) -> Candidate:
    """Recognise timm's files by name, others by their parameters."""
    import timm

    from flower_mm.weights.load_into_model import architecture_in

    if not path.is_file():
        raise UserError(f'the file of weights {path} does not exist')
    if path.stem in timm.list_pretrained():
        entry = pretrained_table.find(TIMM_PREFIX + path.stem)
        stored = pretrained_table.present(entry, pretrained_table.folder())
        return _candidate(entry, None if stored == path else path)
    if name := architecture_in(path):
        return _candidate(pretrained_table.find(name), path)
    raise UserError(
        f'{path} has an unknown architecture.\nExpected the backbone of '
        f'{", ".join(pretrained_table.read_table())}'
    )


def _candidate(entry: Entry, file: Path | None = None) -> Candidate:
    from flower_mm.timm_record import count_parameters

    is_timm = entry.name.startswith(TIMM_PREFIX)
    has_config = entry.name in short_names()
    words = [entry.name]
    if not has_config:
        words = ['timm', '--backbone', entry.timm_model]
    if file or not (is_timm or has_config):
        words += ['--weights', str(file or entry.name)]
    if is_timm:
        entry = replace(entry, parameters=count_parameters(entry.timm_model))
    name = file.name if file else entry.name
    return Candidate(name, entry, tuple(words), file)
