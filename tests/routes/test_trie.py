from hypothesis import given
from hypothesis import strategies as st

from gateway.routes.pattern import PathPattern
from gateway.routes.trie import Node

keys = st.lists(st.sampled_from(["a", "b", ""]), max_size=5)
shapes = st.builds(
    lambda segments, rest: PathPattern(segments=tuple(segments), params=(), rest=rest),
    st.lists(st.sampled_from(["a", "b", None]), max_size=4),
    st.booleans(),
)


@given(st.lists(shapes, max_size=20), keys)
def test_the_first_of_all_leaves_is_the_one_found(
    patterns: list[PathPattern], path: list[str]
) -> None:
    root = Node()
    for pattern in patterns:
        root.leaf(pattern)

    assert root.find(path) is next(root.find_all(path), None)


@given(st.lists(shapes, max_size=20), keys)
def test_every_leaf_that_has_the_path_is_found(
    patterns: list[PathPattern], path: list[str]
) -> None:
    root = Node()
    leaves = {id(root.leaf(p)): p for p in patterns}

    found = {id(leaf) for leaf in root.find_all(path)}

    assert found == {key for key, p in leaves.items() if _has(p, path)}


def _has(pattern: PathPattern, path: list[str]) -> bool:
    wanted = pattern.segments
    if len(path) < len(wanted) or (len(path) > len(wanted) and not pattern.rest):
        return False
    return all(
        key == wish if wish is not None else bool(key)
        for key, wish in zip(path, wanted, strict=False)
    )
