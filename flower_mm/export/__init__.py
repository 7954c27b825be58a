"""best.pth as a file for other programs, checked on real photos."""
