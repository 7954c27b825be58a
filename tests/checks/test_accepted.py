"""Which keys a class takes."""

from flower_mm.checks.keys.accepted import takes


class Opaque:
    def __init__(self, one, **kwargs):
        self.rest = dict(kwargs)


class HandsUp(Opaque):
    def __init__(self, two, **kwargs):
        kwargs.setdefault('three', 3)
        super().__init__(one=1, **kwargs)


class Closed:
    def __init__(self, one):
        self.one = one


class Below(Closed):
    def __init__(self, two, **kwargs):
        kwargs = {'one': 1, **kwargs}
        self.four = kwargs.pop('four', None)
        super().__init__(**kwargs)


def test_keys_are_followed_to_the_parents():
    assert takes(HandsUp, 'anything')  # nobody knows what Opaque does
    for key in ('one', 'two', 'four'):
        assert takes(Below, key)
    assert not takes(Below, 'three')
    assert not takes(Closed, 'two')
