"""Is the rate one that trains, from the first step to the last?"""
