"""Miniature data sets that are damaged in tests."""

from scene_trees import (  # noqa: F401 - fixtures of this room
    find,
    lend,
    ordinary_user,
    tree,
    user_cache,
    watch,
)
