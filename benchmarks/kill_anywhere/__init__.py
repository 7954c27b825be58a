"""Kill training at a hundred moments, resume it, and see what became of it.

python -m benchmarks.kill_anywhere [--kills 100] [--seed 0]

A small model is trained for three epochs, with no workers and with two, and
killed with SIGKILL: at a step of a write (tests/faults.py), once at least at
each step of each file; at a random moment from outside; while resuming; while
the files of an earlier run are set aside. A power cut, which loses what was
not synced as well, is played on top of these. After each kill the files have
to be whole, and `--resume` has to end as the run did that nobody killed, but
for what measures time. Rows go to results/robustness.csv.
"""
