from dockerlab.image.layer.pending import PendingFolders


def test_children_come_before_their_parents() -> None:
    pending = PendingFolders()
    for path in (b"", b"a", b"a/b/c", b"a/b", b"z"):
        pending.add(path, 0o755, 1)
    order = [path for path, _, _ in pending.children_first()]
    assert sorted(order) == [b"", b"a", b"a/b", b"a/b/c", b"z"]
    assert order.index(b"a/b/c") < order.index(b"a/b") < order.index(b"a") < order.index(b"")


def test_the_last_word_counts() -> None:
    pending = PendingFolders()
    pending.add(b"a", 0o755, 1)
    pending.add(b"a", 0o700, 2)
    assert list(pending.children_first()) == [(b"a", 0o700, 2)]


def test_dropping_a_folder_drops_what_is_below() -> None:
    pending = PendingFolders()
    for path in (b"a", b"a/b", b"a/b/c", b"ab"):
        pending.add(path, 0o755, 1)
    pending.drop(b"a")
    pending.drop(b"not/there")
    assert [path for path, _, _ in pending.children_first()] == [b"ab"]
