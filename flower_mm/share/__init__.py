"""Write a folder with a trained model for other people."""
