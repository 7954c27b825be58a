"""The code, title and usual severity of every check.

The letters name the area, as in ruff: CFG config, RUN rehearsal, DATA
dataset, PRE preprocessing, LR learning rate, WGT weights, HOOK hooks, DISK
disk, MEM memory, HW hardware.
"""

from enum import IntEnum

from flower_mm.errors import UserError


class Severity(IntEnum):
    """An `error` is for what fails or trains on wrong data.

    A poor recipe is a `warning`: it may be what somebody wants to measure.
    """

    NOTE = 0
    WARNING = 1
    ERROR = 2


_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE

CODES: dict[str, tuple[str, Severity]] = {
    'CFG001': ('unknown key', _ERROR),
    'CFG002': ('setting in a place that is not read', _WARNING),
    'CFG003': ('unused name', _NOTE),
    'CFG004': ('keys of MMClassification 0.x', _WARNING),
    'CFG005': ('unknown type', _ERROR),
    'CFG006': ('missing type', _ERROR),
    'CFG007': ('value of the wrong kind', _ERROR),
    'CFG008': ('missing section', _ERROR),
    'CFG009': ('path of one machine', _WARNING),
    'CFG010': ('random seed not set', _WARNING),
    'CFG011': ('flag that does not apply to this config', _ERROR),
    'CFG012': ("MMEngine's Runner in use", _WARNING),
    'CFG013': ('classes that differ from classes.txt', _WARNING),
    'CFG014': ('configuration that cannot be resolved', _ERROR),
    'CFG015': ('metric that is always 100 %', _NOTE),
    'CFG016': ('model split over several processes', _ERROR),
    'RUN001': ('part that cannot be built', _ERROR),
    'RUN002': ('pipeline step that fails on a photo', _ERROR),
    'RUN003': ('photos that cannot be batched', _ERROR),
    'RUN004': ('training step that fails', _ERROR),
    'RUN005': ('validation step that fails', _ERROR),
    'RUN006': ('data loader without a batch', _ERROR),
    'RUN007': ('model outputs that differ from the classes', _ERROR),
    'RUN008': ('check that failed itself', _NOTE),
    'DATA001': ('missing dataset', _ERROR),
    'DATA002': ('splits from different folders', _ERROR),
    'DATA003': ('class names in another order than the labels', _ERROR),
    'DATA004': ('photos or lists that cannot be read', _ERROR),
    'DATA005': ('photo listed more than once', _WARNING),
    'DATA006': ('photo in two splits', _WARNING),
    'DATA007': ('near-duplicates in two splits', _WARNING),
    'DATA008': ('near-duplicates with different labels', _WARNING),
    'DATA009': ('near-duplicates not searched for', _NOTE),
    'DATA010': ('class without training photos', _WARNING),
    'DATA011': ('class without validation photos', _WARNING),
    'DATA012': ('class with few photos', _WARNING),
    'DATA013': ('imbalanced classes', _NOTE),
    'DATA014': ('files that are not read', _WARNING),
    'DATA015': ('photos that cannot be loaded', _WARNING),
    'DATA016': ('photos much smaller than the input', _NOTE),
    'DATA017': ('photos much larger than the input', _NOTE),
    'DATA018': ('decoded cache smaller than the input', _WARNING),
    'DATA019': ('training photos not shuffled', _WARNING),
    'DATA020': ('random augmentation in validation', _WARNING),
    'DATA021': ('no validation', _NOTE),
    'DATA022': ('no test split', _NOTE),
    'DATA023': ('labels that differ from the folders', _ERROR),
    'PRE001': ('greyscale photos', _WARNING),
    'PRE002': ('normalisation of another scale', _WARNING),
    'PRE003': ('colour channels in another order', _WARNING),
    'PRE004': ('photos normalised twice', _WARNING),
    'PRE005': ('normalisation of other weights', _WARNING),
    'LR001': ('learning rate stays constant', _WARNING),
    'LR002': ('learning rate ends high', _WARNING),
    'LR003': ('milestones beyond the end of the run', _NOTE),
    'LR004': ('scheduler that never acts', _WARNING),
    'LR005': ('long warm-up', _WARNING),
    'LR006': ('learning rate falls too early', _WARNING),
    'LR007': ('learning rate for training from scratch', _WARNING),
    'LR008': ('learning rate for another batch size', _WARNING),
    'LR009': ('learning rate multiplier without parameters', _WARNING),
    'LR010': ('ReduceOnPlateauLR that cannot work', _WARNING),
    'WGT001': ('missing weights file', _ERROR),
    'WGT002': ('weights at a network address', _ERROR),
    'WGT003': ('weights that do not fit the model', _ERROR),
    'WGT004': ('weights file with another sha256', _ERROR),
    'WGT005': ('random initial weights', _WARNING),
    'WGT006': ('weights that are overwritten', _WARNING),
    'WGT007': ('weights loaded despite --from-scratch', _WARNING),
    'WGT008': ('weights that will be loaded', _NOTE),
    'HOOK001': ('metric that is not measured', _ERROR),
    'HOOK002': ('wrong direction of a metric', _WARNING),
    'HOOK003': ('two averages of the weights', _WARNING),
    'HOOK004': ('RuntimeInfoHook switched off', _ERROR),
    'DISK001': ('no checkpoint kept', _NOTE),
    'DISK002': ('best epoch not kept', _WARNING),
    'DISK003': ('many checkpoints', _WARNING),
    'DISK004': ('disk too small', _ERROR),
    'MEM001': ('batch too large for the memory', _WARNING),
    'MEM002': ('shared memory too small', _WARNING),
    'HW001': ('more workers than cores', _WARNING),
    'HW002': ('GPU that waits for photos', _WARNING),
    'HW003': ('precision that this device lacks', _ERROR),
    'HW004': ('precision that this processor has', _NOTE),
    'HW005': ('unused GPUs', _NOTE),
    'HW006': ('missing package', _ERROR),
}


def parse_codes(text: str) -> frozenset[str]:
    """Read `LR003,DATA007`; a prefix such as `LR` stands for all its codes."""
    ignored = set()
    for word in filter(None, text.replace(' ', '').upper().split(',')):
        codes = {code for code in CODES if code.startswith(word)}
        if not codes:
            raise UserError(
                f'unknown code {word!r}: expected one such as LR003, or the '
                'letters of an area such as LR'
            )
        ignored |= codes
    return frozenset(ignored)
