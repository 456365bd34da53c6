"""The networks, their losses and training loops, and sampling: tensors in, tensors out.

Nothing here knows of frames or columns by name; an encoded table and its `Layout` are all
that enters.
"""
