"""Does each key of a config mean what its author took it for?"""
