"""Can each part of a config be built, and does a photo get through?"""
