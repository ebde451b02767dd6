from __future__ import annotations

from pathlib import Path

import pytest

from labctl.config.data import data_dir
from labctl.config.lab import load_lab
from labctl.errors import UsageError
from labctl.lab.catalogue import find_labs, lab_directory
from labctl.lab.guide import guide_path, guide_text
from labctl.lab.plan import Overrides, lab_objects
from labctl.model.lab import ProbeStep


def make_lab(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir(parents=True)
    text = "apiVersion: labctl/v1\nkind: Lab\ntitle: T\nsteps: [{name: a, probe: {}}]\n"
    (folder / "lab.yaml").write_text(text, encoding="utf-8")
    return folder


def test_the_shipped_labs_come_in_the_order_of_the_study() -> None:
    assert list(find_labs([]))[:4] == ["path", "host", "canary", "https"]


def test_the_users_labs_are_found_besides_the_shipped_ones(tmp_path: Path) -> None:
    mine = make_lab(tmp_path, "mine")
    found = find_labs([tmp_path, tmp_path / "missing"])
    assert found["mine"] == mine.resolve()
    assert "path" in found


def test_a_folder_that_is_a_lab_stands_for_itself(tmp_path: Path) -> None:
    mine = make_lab(tmp_path, "mine")
    assert find_labs([mine])["mine"] == mine.resolve()


def test_one_folder_named_twice_is_one_lab(tmp_path: Path) -> None:
    make_lab(tmp_path, "mine")
    assert "mine" in find_labs([tmp_path, tmp_path / ".", data_dir("labs")])


def test_two_labs_with_one_name_are_refused(tmp_path: Path) -> None:
    make_lab(tmp_path, "path")
    with pytest.raises(UsageError, match="two labs named 'path'") as caught:
        find_labs([tmp_path])
    assert "rename" in caught.value.hint


def test_an_unknown_lab_is_answered_with_the_nearest() -> None:
    found = find_labs([])
    assert lab_directory(found, "canary") == found["canary"]
    with pytest.raises(UsageError, match="no lab named 'cannary'") as caught:
        lab_directory(found, "cannary")
    assert caught.value.hint.startswith("did you mean 'canary'?")


@pytest.mark.parametrize("directory", list(find_labs([]).values()), ids=list(find_labs([])))
def test_a_shipped_lab_is_whole(directory: Path) -> None:
    lab = load_lab(directory)
    assert lab_objects(lab, Overrides()) or lab.reference
    assert all(step.title for step in lab.steps), "every step has a line for people"
    assert len(lab.teaches) > 60
    for language in ("en", "ko"):
        text = guide_text(directory, language)
        assert text.startswith(f"# {lab.name}: ")
        assert f"labctl verify {lab.name}" in text
        for manifest in lab.manifests:
            assert manifest in text, "the guide applies the same files by hand"


def test_labs_that_share_an_object_bring_the_same_one() -> None:
    seen: dict[tuple[str, str, str], tuple[str, dict[str, object]]] = {}
    for name, directory in find_labs([]).items():
        for obj in lab_objects(load_lab(directory), Overrides()):
            key = (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            first = seen.setdefault(key, (name, obj.get("spec", {})))
            assert first[1] == obj.get("spec", {}), f"{key} of {first[0]} and {name}"


def test_no_image_needs_the_internet_on_an_air_gapped_cluster() -> None:
    for directory in find_labs([]).values():
        for obj in lab_objects(load_lab(directory), Overrides()):
            template = obj if obj["kind"] == "Pod" else obj.get("spec", {}).get("template")
            for container in (template or {"spec": {}})["spec"].get("containers", []):
                is_tagged = ":" in container["image"].rpartition("/")[2]
                assert is_tagged or container.get("imagePullPolicy") == "IfNotPresent", container


def test_the_counts_of_the_study_are_kept() -> None:
    canary = {step.name: step for step in load_lab(find_labs([])["canary"]).steps if isinstance(step, ProbeStep)}
    assert (canary["study-loop"].count, canary["weight-10"].count) == (100, 1000)


@pytest.mark.parametrize(
    ("language", "file"),
    [
        ("ko", "guide.ko.md"),
        ("ko_KR.UTF-8", "guide.ko.md"),
        ("en_US.UTF-8", "guide.md"),
        ("C", "guide.md"),
        ("", "guide.md"),
    ],
)
def test_the_guide_follows_the_locale(language: str, file: str) -> None:
    assert guide_path(find_labs([])["path"], language).name == file


def test_a_lab_without_a_guide_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no guide"):
        guide_text(make_lab(tmp_path, "mine"), "en")
