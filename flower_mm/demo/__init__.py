"""Drawn flowers of five kinds, for trying everything out without photos.

Pillow and numpy draw them; the same seed gives the same pictures. The bytes
of the JPEG files are the same as long as Pillow and numpy stay the same.
"""

from flower_mm.demo.write import NAMES, draw, write_demo

__all__ = ['NAMES', 'draw', 'write_demo']
