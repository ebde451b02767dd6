from __future__ import annotations

from labctl.objects.order import apply_order, delete_order


def test_what_others_need_comes_first_and_equal_kinds_keep_their_order() -> None:
    objects = [
        {"kind": kind, "metadata": {"name": name}}
        for kind, name in [("Ingress", "i"), ("Widget", "w"), ("Service", "a"), ("Service", "b"), ("Namespace", "n")]
    ]
    assert [obj["metadata"]["name"] for obj in apply_order(objects)] == ["n", "a", "b", "i", "w"]
    assert [obj["metadata"]["name"] for obj in delete_order(objects)] == ["w", "i", "b", "a", "n"]
