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


STAGING = "overlays/staging/kustomization.yaml"


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


@pytest.mark.parametrize("name", [deployed.REGISTRY, "serv.ce", "docker.io/rclone/rclone"])
def test_no_overlay_sets_an_image(tree: Path, name: str) -> None:
    put(tree / STAGING, "labels:", f"images: [{{name: {name}, newTag: v1.0.0}}]\nlabels:")
    (sentence,) = manifests.problems(tree)
    assert sentence.startswith(f"{STAGING}: it sets the image `{name}`: base/kustomization.yaml alone does")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("{name: docker.io/rclone/rclone, newName: mirror.example.org/rclone}", None),
        ("{name: docker.io/rclone/rclone, newTag: 1.75.2}", None),
        ("{name: docker.io/rclone/rclone, newTag: latest}", "may be another one tomorrow"),
        ("{name: docker.io/rclone/rclone, digest: none}", "is not a digest"),
        ("{name: serv.ce, newTag: v1.0.0}", "may mean the released image too"),
        ("{name: '.*', newTag: v1.0.0}", "may mean the released image too"),
        (f"{{name: {deployed.REGISTRY}, newTag: v1.0.0}}", "may mean the released image too"),
    ],
)
def test_the_base_may_set_another_image_exactly(tree: Path, entry: str, sentence: str | None) -> None:
    put(tree / manifests.KUSTOMIZATION, "images:\n", f"images:\n  - {entry}\n")
    found = manifests.problems(tree)
    assert sentence in found[0] if sentence else found == []


@pytest.mark.parametrize("name", ["kustomization.yml", "Kustomization"])
def test_a_kustomization_is_looked_at_by_whichever_of_its_names(tree: Path, name: str) -> None:
    file = (tree / STAGING).rename((tree / STAGING).with_name(name))
    assert manifests.problems(tree) == []
    put(file, "labels:", "images: [{name: other, newTag: v1}]\nlabels:")
    assert any(each.startswith(f"overlays/staging/{name}: it sets the image") for each in manifests.problems(tree))


PATCH = f'[{{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "a.io/x@{deployed.DIGEST}"}}]'
BY_POSITION = (
    '[{"op": "replace", "path": "/spec/template/spec/containers/0", '
    f'"value": {{"name": "x", "image": "a.io/x@{deployed.DIGEST}"}}}}]'
)


@pytest.mark.parametrize("name", ["p.json", "p.txt", "p"])
@pytest.mark.parametrize("patch", [PATCH, PATCH.replace(": ", ":\t"), BY_POSITION])
def test_a_patch_is_looked_at_however_it_is_called(tree: Path, name: str, patch: str) -> None:
    put(tree / STAGING, "patches:\n", f"patches:\n  - {{path: {name}, target: {{kind: Deployment}}}}\n")
    (tree / "overlays/staging" / name).write_text(patch, encoding="utf-8")
    (sentence,) = manifests.problems(tree)
    assert (
        sentence
        == f"overlays/staging/{name}: the image `a.io/x@{deployed.DIGEST}` may take the place of the released one"
    )


def test_a_sidecar_is_added_by_a_patch_as_anybody_would(tree: Path) -> None:
    added = (
        f"{{op: add, path: /spec/template/spec/containers/-, value: {{name: x, image: 'a.io/x@{deployed.DIGEST}'}}}}"
    )
    put(tree / STAGING, "patches:\n", f"patches:\n  - target: {{kind: Deployment}}\n    patch: '[{quoted(added)}]'\n")
    assert manifests.problems(tree) == []


def quoted(text: str) -> str:
    """As it stands within single quotes of YAML."""
    return text.replace("'", "''")


@pytest.mark.parametrize(
    "key",
    [
        "replacements", "transformers", "generators", "validators", "helmCharts", "helmChartInflationGenerator", "vars",
        "configurations", "openapi",
    ],
)  # fmt: skip
@pytest.mark.parametrize("file", [manifests.KUSTOMIZATION, "overlays/staging/kustomization.yaml"])
def test_what_makes_images_only_when_rendered_is_refused(tree: Path, file: str, key: str) -> None:
    put(tree / file, "labels:", f"{key}: []\nlabels:")
    assert manifests.problems(tree) == [
        f"{file}: `{key}` may bring in an image unseen: list what it makes under `resources`, or use `patches`"
    ]


def test_labels_that_go_where_images_are_are_refused(tree: Path) -> None:
    put(tree / STAGING, "labels:\n", "labels:\n  - {pairs: {image: x}, fields: [{path: spec/template/spec}]}\n")
    assert any("`fields` of `labels`" in each for each in manifests.problems(tree))


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("https://ada:secret@example.org/job.yaml", "https://example.org/job.yaml"),
        ("github.com/owner/name//base?ref=v1", "github.com/owner/name//base?ref=v1"),
        ("../../more", "../../more"),
        ("absent.yaml", "absent.yaml"),
        ("notes.txt", "notes.txt"),
    ],
)
@pytest.mark.parametrize("key", ["resources", "components"])
def test_a_kustomization_names_only_what_can_be_looked_at(tree: Path, key: str, reference: str, shown: str) -> None:
    (tree / "overlays/staging/notes.txt").write_text("a: b: c\n", encoding="utf-8")
    text = (
        (tree / STAGING)
        .read_text(encoding="utf-8")
        .replace("- ../../base\n", f"- ../../base\n{key}:\n  - {reference}\n")
    )
    text = text.replace("resources:\n  - namespace.yaml\n  - ../../base\nresources:\n", "resources:\n  - ../../base\n")
    (tree / STAGING).write_text(text, encoding="utf-8")
    (sentence,) = manifests.problems(tree)
    assert sentence.startswith(f"{STAGING}: `{key}` names `{shown}`, which is no file below base, components, overlays")
    assert sentence.endswith("put it there, not at an address")


@pytest.mark.parametrize(
    "line",
    [
        "patches: [{path: https://example.org/p.yaml}]",
        "patches: [{path: p.yaml}]",
        "configMapGenerator: [{name: x, files: [ship.sh=https://example.org/ship.sh]}]",
        "configMapGenerator: [{name: x, envs: [https://example.org/log.env]}]",
    ],
)
def test_a_patch_or_a_script_from_elsewhere_is_refused(tree: Path, line: str) -> None:
    put(
        tree / "components/log-to-bucket/kustomization.yaml", "configMapGenerator:", f"{line}\nconfigMapGenerator:"
    ) if (line.startswith("patches")) else put(tree / STAGING, "labels:", f"{line}\nlabels:")
    (sentence,) = manifests.problems(tree)
    assert "that can be looked at: put it there" in sentence


JOB = "apiVersion: batch/v1\nkind: Job\nspec: {template: {spec: {containers: [{name: x, image: a.io/x:v1.0.0}]}}}\n"


@pytest.mark.parametrize("file", ["more/job.yaml", "more/deeper/job", "job.yaml", "more/Kustomization"])
def test_what_could_be_rendered_lies_where_it_is_looked_at(tree: Path, file: str) -> None:
    (tree / file).parent.mkdir(parents=True, exist_ok=True)
    (tree / file).write_text(JOB if "job" in file else "resources: []\n", encoding="utf-8")
    assert manifests.problems(tree) == [
        f"{file}: only base, components, overlays may hold what runs, since images are looked for there: move it there"
    ]


def test_folders_that_no_cluster_renders_may_lie_beside(tree: Path) -> None:
    for file, text in (
        ("terraform/main.tf", "a {"),
        ("terraform/values.yaml", "image: x\n"),
        ("examples/job.yaml", JOB),
    ):
        (tree / file).parent.mkdir(exist_ok=True)
        (tree / file).write_text(text, encoding="utf-8")
    assert manifests.problems(tree) == []


def test_a_link_is_not_followed(tree: Path) -> None:
    (tree / "base/more.yaml").symlink_to("/etc/hostname")
    (tree / "overlays/far").symlink_to("/etc")
    assert manifests.problems(tree) == [
        f"{name}: it is a link: put the file itself here" for name in ("base/more.yaml", "overlays/far")
    ]


def test_a_key_that_is_there_twice_is_refused_as_programs_differ_in_which_holds(tree: Path) -> None:
    put(tree / "base/deployment.yaml", "image: service", f"image: a.io/x@{deployed.DIGEST}\n          image: service")
    assert "the key `image` is there twice" in manifests.problems(tree)[0]


def test_a_folder_without_a_base_is_named() -> None:
    assert manifests.problems(Path("/nowhere")) == [f"{manifests.KUSTOMIZATION} is missing"]
