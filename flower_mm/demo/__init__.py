"""Drawn flowers of five kinds, to try everything without own photos.

Pillow and numpy draw them. The same seed gives the same pictures, and the
same JPEG bytes as long as the versions of Pillow and numpy are the same.
"""

from flower_mm.demo.write import NAMES, draw, write_demo

__all__ = ['NAMES', 'draw', 'write_demo']
