"""The image of an environment: written in one place, by digest, or the environment is not fit to be deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

import deployed
from lockstep.errors import InputError
from lockstep.release import manifests

BASE = """\
# who writes this
resources:
  - deployment.yaml   # the pods

images:
  # ours
  - name: service
    newName: unreleased.invalid/nothing
    digest: none
  - name: other
    newTag: "1.2"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return deployed.release(tmp_path / "staging")


def put(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_nothing_but_the_image_changes_when_a_release_writes_it() -> None:
    text = manifests.set_image(BASE, new_name=deployed.REGISTRY, digest=deployed.DIGEST)
    expected = BASE.replace("unreleased.invalid/nothing", deployed.REGISTRY).replace("none", deployed.DIGEST)
    assert text == expected


def test_the_base_of_main_keeps_its_words_when_a_release_writes_it(tree: Path) -> None:
    before = (deployed.DEPLOY / manifests.KUSTOMIZATION).read_text(encoding="utf-8").splitlines()
    after = (tree / manifests.KUSTOMIZATION).read_text(encoding="utf-8").splitlines()
    changed = [new.strip() for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [f"newName: {deployed.REGISTRY}", f"digest: {deployed.DIGEST}"]


def test_writing_the_same_image_again_changes_nothing() -> None:
    image = {"new_name": "127.0.0.1:5000/name", "digest": deployed.DIGEST}
    once = manifests.set_image(BASE, **image)
    assert manifests.set_image(once, **image) == once


def test_a_tag_does_not_outlive_the_digest_that_comes() -> None:
    tagged = BASE.replace("digest: none", "newTag: v1")
    assert "v1" not in manifests.set_image(tagged, new_name=deployed.REGISTRY, digest=deployed.DIGEST)


@pytest.mark.parametrize(
    ("new_name", "digest", "sentence"),
    [
        ("ghcr.io/owner/name:v1", deployed.DIGEST, "is not the address of an image"),
        (f"ghcr.io/owner/name@{deployed.DIGEST}", deployed.DIGEST, "is not the address of an image"),
        ("ghcr.io/Owner/name", deployed.DIGEST, "is not the address of an image"),
        ("ghcr.io/owner/name\n  evil: true", deployed.DIGEST, "is not the address of an image"),
        (deployed.REGISTRY, "v1.2.0", "is not a digest"),
        (deployed.REGISTRY, deployed.DIGEST[:-1], "is not a digest"),
        (deployed.REGISTRY, "sha256:" + "0" * 64, "is not a digest"),
    ],
)
def test_what_is_no_image_by_digest_is_never_written(new_name: str, digest: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        manifests.set_image(BASE, new_name=new_name, digest=digest)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("resources: []\n", "0 entries"),
        ("images: {service: x}\n", "0 entries"),
        ("just words\n", "0 entries"),
        (BASE.replace("name: other", "name: service"), "2 entries"),
        ("images: [\n", "is not YAML"),
    ],
)
def test_a_base_without_one_entry_for_the_image_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        manifests.set_image(text, new_name=deployed.REGISTRY, digest=deployed.DIGEST)


def test_what_is_on_main_is_not_fit_to_be_deployed_and_the_check_says_why() -> None:
    (sentence,) = manifests.problems(deployed.DEPLOY)
    assert "`lockstep release` writes it on the branch `deploy`, never on main" in sentence


def test_what_a_release_wrote_is_fit_to_be_deployed(tree: Path) -> None:
    assert manifests.problems(tree) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        (manifests.KUSTOMIZATION, f"digest: {deployed.DIGEST}", "newTag: v1.2.0", "is not a digest"),
        (manifests.KUSTOMIZATION, f"digest: {deployed.DIGEST}", f"digest: sha256:{'0' * 64}", "is not a digest"),
        (manifests.KUSTOMIZATION, "newName:", "newTag: latest\n    newName:", "`newTag` beside the digest"),
        (manifests.KUSTOMIZATION, deployed.REGISTRY, f"{deployed.REGISTRY}:v1", "is not the address of an image"),
        (manifests.KUSTOMIZATION, "name: service", "name: servce", "0 entries"),
        (manifests.KUSTOMIZATION, "resources:", "resources: [", "is not YAML"),
        ("overlays/staging/kustomization.yaml", "- {op: replace, path: /spec/minReplicas", "- {op: ]", "is not YAML"),
        ("base/deployment.yaml", "image: service", "image: ghcr.io/owner/name:v1.2.0", "no container `service` runs"),
        ("base/deployment.yaml", "image: service", "image: service:latest", "may take the place"),
        ("base/deployment.yaml", "rclone:1.75.1@sha256", "rclone@md5", "may be another one tomorrow"),
        ("overlays/staging/kustomization.yaml", "labels:", "images: [{name: service}]\nlabels:", "alone does"),
        (
            "overlays/staging/kustomization.yaml",
            "{op: replace, path: /spec/minReplicas, value: 1}",
            f"{{op: replace, path: /spec/template/spec/containers/0/image, value: 'a.io/name@{deployed.DIGEST}'}}",
            "may take the place",
        ),
        (
            "overlays/production/kustomization.yaml",
            "- name: service\n",
            f"- name: service\n                image: ghcr.io/owner/name@{deployed.DIGEST}\n",
            "may take the place",
        ),
    ],
)  # fmt: skip
def test_whatever_could_run_another_image_is_found(tree: Path, file: str, old: str, new: str, sentence: str) -> None:
    put(tree / file, old, new)
    found = manifests.problems(tree)
    assert any(sentence in each for each in found), found


def test_an_overlay_cannot_rename_the_image_once_base_has_named_it(tree: Path) -> None:
    renamed = f"images: [{{name: {deployed.REGISTRY}, newTag: latest}}]\nlabels:"
    put(tree / "overlays/staging/kustomization.yaml", "labels:", renamed)
    (sentence,) = manifests.problems(tree)
    assert sentence.startswith("overlays/staging/kustomization.yaml: it sets the image")


def test_a_folder_without_a_base_is_named() -> None:
    assert manifests.problems(Path("/nowhere")) == [f"{manifests.KUSTOMIZATION} is missing"]
