"""Lines about photos that cannot be used."""

from collections.abc import Iterable

from flower_mm.decoding import NO_HEIF


def reason_lines(reasons: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each photo and its reason.

    Photos that lack a decoder share a line: one command fixes them all.
    """
    lines, without_decoder = [], []
    for photo, reason in reasons:
        if reason == NO_HEIF:
            without_decoder.append(photo)
        else:
            lines.append(f'{photo}: {reason}')
    if len(without_decoder) > 1:
        return [
            f'{len(without_decoder)} photos such as {without_decoder[0]}: '
            f'{NO_HEIF}',
            *lines,
        ]
    return [*(f'{photo}: {NO_HEIF}' for photo in without_decoder), *lines]
