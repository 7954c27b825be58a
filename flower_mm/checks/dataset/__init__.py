"""Are these the photos and the classes that were meant?"""
