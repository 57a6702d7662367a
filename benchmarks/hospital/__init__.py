"""A believable hospital of any size, made from a seed: the same one each time, and no one's data.

What a resource says that searches depend on (whose it is, when, which code) is a function of its
number, so that it is known without making the others. The rest is decoration.
"""
