"""Kinds that are none of the five, to pretrain the demo backbone on."""

from flower_mm.demo.kinds import Kind
from flower_mm.demo.other_flowers import FLOWERS
from flower_mm.demo.other_things import THINGS

OTHERS: dict[str, Kind] = FLOWERS | THINGS
