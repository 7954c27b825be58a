"""Augmentation for a whole batch, on the device where its photos are.

Nothing here waits for a GPU; nothing here was tried on one yet.
"""
