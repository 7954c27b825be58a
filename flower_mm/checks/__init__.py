"""Looking at a run before its first iteration, for what spoilt others.

Each check is a mistake that somebody really made. `examine` runs them all.
"""
