"""`lockstep release`, step by step, with real git, DVC and GTO. The image is played; test_release_chain has it real."""

# ruff: noqa: F811  (fixtures)
from __future__ import annotations

import json

import pytest

import release_world
import tagged
from lockstep.errors import InputError, OutsideError, Refused
from lockstep.lock import fresh
from lockstep.release import models, promote, versions
from lockstep.release.tags import Version
from lockstep.revision import git
from release_world import IMAGE, World, made, released, world  # noqa: F401


def test_the_first_release_is_v1_and_all_that_follows_it_says_so(world: World) -> None:
    head, before = git(world.root, "rev-parse", "HEAD"), git(world.root, "status", "--porcelain", "--ignored")
    outcome = world.release()
    assert (outcome.released, outcome.version, outcome.image) == (True, "v1.0.0", IMAGE)
    assert world.tags() == {"toy@v1.0.0": head, "toy#staging#1": head}
    assert world.registry.images() == {outcome.digest: "v1.0.0"}
    record = world.record()
    assert {key: record[key] for key in ("name", "version", "digest", "image", "commit", "skipped", "previous")} == {
        "name": "toy", "version": "v1.0.0", "digest": outcome.digest, "image": IMAGE, "commit": head, "skipped": [],
        "previous": "",
    }  # fmt: skip
    base = world.staging("base/kustomization.yaml")
    assert f"digest: {outcome.digest}" in base
    assert f"newName: {IMAGE}" in base
    assert "# a release writes it" in base
    assert world.staging("README.md") == "where it runs"
    assert world.origin("ls-tree", "--name-only", "deploy") == "staging"
    assert world.origin("rev-parse", "main") == head
    assert git(world.root, "status", "--porcelain", "--ignored") == before
    assert json.loads((world.root / outcome.sbom).read_text())["digest"] == outcome.digest


def test_the_tag_is_gto_s_and_tells_identity_and_digest(released: World) -> None:
    from gto import api

    assert [each.version for each in api.find_versions_in_stage(str(released.root), "toy", "staging")] == ["v1.0.0"]
    record, said = released.record(), released.origin("cat-file", "tag", "toy@v1.0.0")
    assert f"identity: {record['identity']}\ndigest: {record['digest']}\nmodel: {record['model']}" in said


def test_again_it_says_that_there_is_nothing_to_do(released: World) -> None:
    before = released.state()
    outcome = released.release()
    assert not outcome.released
    assert outcome.sentence.startswith("nothing to do: staging has v1.0.0 of ")
    assert released.state() == before


def test_a_commit_that_changes_neither_model_nor_service_is_nothing_to_do(released: World) -> None:
    released.change(README_md="words\n")
    before = released.state()
    assert not released.release().released
    assert released.state() == before


def test_another_model_is_a_minor_version_and_names_what_was_skipped(released: World) -> None:
    old = released.record()
    skipped = released.change("words", README_md="words\n")
    head = released.change("a better model", code_txt="2\n")
    outcome = released.release()
    assert (outcome.version, outcome.skipped) == ("v1.1.0", (skipped,))
    record = released.record()
    assert (record["previous"], record["skipped"], record["commit"]) == ("v1.0.0", [skipped], head)
    assert record["digest"] != old["digest"]
    assert f"- {skipped[:7]} words" in released.origin("show", "-s", "--format=%b", "deploy")
    assert released.origin("rev-list", "--count", "deploy") == "2"


def test_other_rows_are_a_minor_version_though_the_model_is_the_same(released: World) -> None:
    released.write(
        dvc_yaml=release_world.PIPELINE.replace("cp source.txt", "echo more > data/raw/more && cp source.txt")
    )
    (released.root / "code.txt").write_text("1\n")
    released.repro()
    released.write(service_txt="2\n")
    released.commit()
    assert released.release().version == "v1.1.0"


def test_another_service_is_a_patch(released: World) -> None:
    released.change(service_txt="2\n")
    assert released.release().version == "v1.0.1"


def test_a_contract_that_breaks_callers_is_a_major_version(released: World) -> None:
    text = (released.root / "params.yaml").read_text()
    released.write(
        params_yaml=text.replace("weight: {type: number}", "weight: {type: number, max: 3}"), service_txt="2\n"
    )
    released.repro()
    released.commit()
    assert released.release().version == "v2.0.0"


def test_changed_manifests_alone_are_deployed_with_the_same_image_and_version(released: World) -> None:
    before = released.record()
    released.change(deploy__README_md="elsewhere\n")
    outcome = released.release()
    assert (outcome.released, outcome.version, outcome.digest) == (True, "v1.0.0", before["digest"])
    assert released.staging("README.md") == "elsewhere"
    assert len(released.registry.images()) == 1
    assert list(released.tags()) == ["toy#staging#1", "toy@v1.0.0"]


def test_an_older_commit_never_deploys_over_its_descendant(released: World) -> None:
    old = git(released.root, "rev-parse", "HEAD")
    released.change("newer", code_txt="2\n")
    released.release()
    before = released.state()
    git(released.root, "checkout", "--quiet", old)
    outcome = released.release()
    assert not outcome.released
    assert outcome.sentence.startswith("superseded: staging has v1.1.0 of ")
    assert outcome.digest == "", "nobody signs it, or deploys it, in this commit's name"
    assert released.state() == before


def test_a_commit_beside_what_is_deployed_is_refused_unless_it_is_forced(released: World) -> None:
    git(released.root, "checkout", "--quiet", "--orphan", "rewritten")
    released.write(code_txt="2\n")
    released.repro()
    git(released.root, "add", "--all")
    git(released.root, "commit", "--quiet", "--message", "history anew")
    git(released.root, "push", "--quiet", "--force", "origin", "HEAD:main")
    with pytest.raises(InputError, match="neither before nor after"):
        released.release()
    assert released.release(force=True).version == "v1.1.0"


def test_a_rollback_keeps_its_version_and_its_image(released: World) -> None:
    first = released.record()
    released.change("worse", code_txt="2\n")
    released.release()
    git(released.root, "checkout", "--quiet", "HEAD~1", "--", ".")
    released.repro()
    head = released.commit("back")
    outcome = released.release()
    assert (outcome.version, outcome.digest) == ("v1.0.0", first["digest"])
    record = released.record()
    assert (record["commit"], record["previous"]) == (head, "v1.1.0")
    assert len(released.registry.images()) == 2
    assert released.tags()["toy#staging#3"] == released.tags()["toy@v1.0.0"] == first["commit"]
    released.change("onward", code_txt="3\n")
    assert released.release().version == "v1.2.0"


def test_an_uncommitted_change_is_refused(world: World) -> None:
    world.write(code_txt="2\n")
    with pytest.raises(InputError, match=r"code\.txt changed since the last one: commit first"):
        world.release()


def test_a_commit_that_was_not_merged_is_refused(world: World) -> None:
    world.write(README_md="mine\n")
    world.commit(push=False)
    with pytest.raises(InputError, match="is not part of `origin/main`: a release ships what was merged"):
        world.release()
    assert world.origin("tag") == ""


def test_an_untrue_lock_is_refused_before_anything_is_asked(world: World) -> None:
    world.write(code_txt="2\n")
    world.commit()
    with pytest.raises(Refused, match=r"the lock is not true: .*code\.txt.*lockstep ci mend"):
        world.release()
    assert world.registry.images() == {}


def test_a_model_that_does_not_pass_gets_neither_tag_nor_deployment(world: World) -> None:
    world.change(code_txt="poison\n")
    with pytest.raises(Refused, match="golden rows"):
        world.release()
    assert world.registry.images() == {}
    assert world.origin("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert list(world.objects.rglob("*")) == []


def test_after_the_registry_came_back_the_same_call_completes(world: World) -> None:
    world.registry.breaks()
    with pytest.raises(OutsideError, match="went away"):
        world.release()
    assert world.origin("tag") == ""
    assert world.release().version == "v1.0.0"


EVIL = f"sha256:{'e' * 64}"


def identity_here(world: World) -> str:
    """Who has the tree can tell it, before anything was released."""
    return release_world.identity_of(world.root, None, models.md5s(fresh.read_lock(world.root)))


def test_an_image_that_somebody_put_under_the_tag_before_is_not_asked_for(world: World) -> None:
    world.registry.put(identity_here(world), "v1.0.0", EVIL)
    for image_only in (True, False):
        assert world.release(image_only=image_only).digest != EVIL
    assert EVIL not in world.staging("base/kustomization.yaml")


def test_a_released_image_is_found_by_its_own_digest_whatever_its_tag_names_now(
    released: World, capfd: pytest.CaptureFixture[str]
) -> None:
    first = released.record()
    released.change("worse", code_txt="2\n")
    released.release()
    released.registry.put(first["identity"], "v1.0.0", EVIL)
    git(released.root, "checkout", "--quiet", "HEAD~1", "--", ".")
    released.commit("back")
    capfd.readouterr()
    assert released.release().digest == first["digest"]
    said = capfd.readouterr().err
    assert (
        f"no image is built: {first['digest']} of {IMAGE} is released again, since the tag toy@v1.0.0 names it, and"
        in said
    )
    assert "making the model again" not in said


def test_a_released_image_that_is_gone_is_built_again_and_all_who_ask_agree(
    released: World, capfd: pytest.CaptureFixture[str]
) -> None:
    first = released.record()
    released.registry.loses(first["digest"])
    outcome = released.release()
    assert (outcome.released, outcome.version) == (True, "v1.0.0")
    assert outcome.digest != first["digest"]
    assert f"has no {first['digest']} of v1.0.0 any more, though the tag toy@v1.0.0 names it" in capfd.readouterr().err
    assert released.record()["digest"] == outcome.digest
    assert f"digest: {outcome.digest}" in released.origin("cat-file", "tag", "toy#staging#2")
    # From now on it is the version's image, on every machine.
    other = released.clone()
    other.change("words", deploy__README_md="elsewhere\n")
    assert other.release().digest == outcome.digest
    assert not other.release().released
    done = promote.promote(other.root, "toy", None)
    git(other.root, *done.onward.split()[1:])
    assert promote.assign(other.root, "toy") == "v1.0.0 is in production"


@pytest.mark.parametrize("known", [True, False])
def test_what_somebody_wrote_to_staging_is_put_right(released: World, known: bool) -> None:
    first = released.record()
    if known:
        released.registry.put(first["identity"], "v1.0.0", EVIL)
    for name in ("base/kustomization.yaml", "release.json"):
        released.edits(f"staging/{name}", lambda text: text.replace(first["digest"], EVIL))
    outcome = released.release()
    assert (outcome.released, outcome.digest) == (True, first["digest"])
    assert EVIL not in released.staging("base/kustomization.yaml")


def test_staging_cannot_say_which_image_the_next_release_has(released: World) -> None:
    released.change("another", code_txt="2\n")
    released.registry.put(identity_here(released), "v1.1.0", EVIL)
    released.says("staging", identity=identity_here(released), version="v1.1.0", digest=EVIL)
    assert released.release().digest != EVIL


def test_a_tag_that_was_pushed_by_hand_does_not_say_which_image_is_released(world: World) -> None:
    identity = identity_here(world)
    tagged.tag(world.root, "toy@v2.2.0", identity=identity, digest=EVIL)
    git(world.root, "push", "--quiet", "origin", "toy@v2.2.0")
    world.registry.put(identity, "v2.2.0", EVIL)
    assert (done := world.release()).digest != EVIL
    assert world.release().sentence.startswith("nothing to do"), "its stage's tag says the image that was made"
    assert done.version == "v2.2.0"


def test_forced_onto_another_history_the_same_image_is_recorded_with_its_new_commit(released: World) -> None:
    digest = released.record()["digest"]
    git(released.root, "commit", "--quiet", "--amend", "--message", "history anew")
    git(released.root, "push", "--quiet", "--force", "origin", "HEAD:main")
    with pytest.raises(InputError, match="neither before nor after"):
        released.release()
    assert released.release(force=True).digest == digest
    assert released.record()["commit"] == git(released.root, "rev-parse", "HEAD")
    assert released.release().sentence.startswith("nothing to do")


def test_a_commit_s_message_is_no_tag_s(world: World) -> None:
    about = {"identity": identity_here(world), "digest": EVIL, "model": tagged.facts(world.root)["model"]}
    world.commit(tagged.message(about))
    world.registry.put(about["identity"], "v1.0.0", EVIL)
    git(world.root, "tag", "toy@v1.0.0")
    git(world.root, "push", "--quiet", "origin", "toy@v1.0.0")
    with pytest.raises(InputError, match=r"toy@v1\.0\.0 is a tag without a message.* --delete refs/tags/toy@v1\.0\.0"):
        world.release()
    assert world.origin("branch") == "* main"


def test_on_another_machine_only_what_was_signed_is_taken_without_being_made(world: World) -> None:
    signed = world.release(image_only=True).digest
    other = world.clone()
    world.registry.path.with_suffix(".again").touch()
    with pytest.raises(Refused, match="is to be released, and .* has no such image"):
        other.release(digest="sha256:" + "0" * 64)
    assert other.release(digest=signed).digest == signed
    assert world.registry.images() == {signed: "v1.0.0"}


def test_what_was_signed_is_insisted_on_though_nothing_is_to_be_done(released: World) -> None:
    digest = released.record()["digest"]
    assert not released.release(digest=digest).released
    with pytest.raises(Refused, match="was signed, and what is to be deployed"):
        released.release(digest=EVIL)


def test_an_address_with_a_tag_is_refused_before_anything_is_asked(world: World) -> None:
    with pytest.raises(InputError, match=r"`ghcr.io/a/b:latest` is not an image's address without tag"):
        world.release(registry="ghcr.io/a/b:latest")


def test_image_only_stops_before_the_tag_and_the_next_call_goes_on(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    first = world.release(image_only=True)
    assert (first.released, first.version) == (True, "v1.0.0")
    assert world.registry.images() == {first.digest: "v1.0.0"}
    assert world.origin("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert "making the model again" in capfd.readouterr().err
    second = world.release()
    assert (second.released, second.digest, second.version) == (True, first.digest, "v1.0.0")
    assert "making the model again" not in capfd.readouterr().err
    third = world.release(image_only=True)
    assert (third.released, third.digest) == (False, first.digest)
    assert json.loads((world.root / third.sbom).read_text())["digest"] == first.digest


def test_local_builds_and_sends_nothing(world: World) -> None:
    git(world.root, "remote", "remove", "origin")
    outcome = world.release(local=True, registry="")
    assert not outcome.released
    assert "was built and passed; nothing was sent" in outcome.sentence
    assert world.registry.images() == {}
    assert list(world.objects.rglob("*")) == []


def test_what_is_not_fit_to_be_deployed_is_not_even_built(world: World) -> None:
    world.change(deploy__overlays__staging__more_yaml="image: elsewhere:latest\n")
    with pytest.raises(Refused, match="deploy/ is not fit to be deployed: .*latest"):
        world.release()
    assert world.registry.images() == {}
    assert world.origin("tag") == ""


def test_without_an_origin_or_a_registry_it_says_what_to_do(world: World) -> None:
    with pytest.raises(InputError, match="LOCKSTEP_REGISTRY"):
        world.release(registry="")
    git(world.root, "remote", "remove", "origin")
    with pytest.raises(InputError, match="there is no remote `origin`"):
        world.release()


def test_an_origin_that_cannot_be_reached_is_outside(world: World) -> None:
    git(world.root, "remote", "set-url", "origin", str(world.bare.with_name("gone.git")))
    with pytest.raises(OutsideError, match="`git ls-remote` failed"):
        world.release()


def test_another_image_than_the_one_that_was_signed_is_not_deployed(world: World) -> None:
    signed = world.release(image_only=True).digest
    with pytest.raises(Refused, match="is to be released, and .* has no such image"):
        world.release(digest="sha256:" + "0" * 64)
    assert world.origin("for-each-ref", "--format=%(refname)") == "refs/heads/main"
    assert world.release(digest=signed).released


def test_the_number_is_the_one_that_the_signed_image_was_built_as(
    released: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = released.change("a better model", code_txt="2\n")
    major = versions.Choice(version=Version(2, 0, 0), why="callers break", commit=head)
    with monkeypatch.context() as patch:  # where it was built, the classes of both models were at hand
        patch.setattr(versions, "choose", lambda *_: major)
        signed = released.release(image_only=True).digest
    assert released.release(digest=signed).version == "v2.0.0"
