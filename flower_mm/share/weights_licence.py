"""Under which licence the pretrained weights came."""

from flower_mm.weights.pretrained_table import read_table

# checkpoints/demo_backbone.pth, which was trained on drawings.
DEMO = '05b125886a7ef5b7ae70e96cbc77423b2dc5b9122829fcc1b4da7541e0c5fe91'
OWN = 'Apache-2.0'


def licence_of(sha256: str) -> tuple[str, str] | None:
    """The licence of these weights and where they are from, if known."""
    if sha256 == DEMO:
        return OWN, 'flower_mm, trained on its own drawings'
    for entry in read_table().values():
        if home := entry.home_of(sha256):
            return home.licence, f'{entry.architecture} of {home.source}'
    return None
