"""What one does with best.pth: predict, export, share, serve."""
