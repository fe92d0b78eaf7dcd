"""Is it a rollback? Asked of GitHub: what the run says of itself is not believed.

The tag must be in this repository, annotated as a release does it, with the model of its commit; the base must descend
from that commit, and the tree that was evaluated must be that commit's, but for what a rollback leaves as it is today.
Who may push tags `NAME@v*` can still make one up for a commit that was merged once: a rule of GitHub's keeps them out
(`lockstep doctor --ruleset new-tags`).
"""

from __future__ import annotations

import base64

from lockstep.errors import InputError
from lockstep.github.api import Api, part
from lockstep.github.artifact import LOCK, Bundle, Poisoned
from lockstep.lock.entries import parse
from lockstep.release.earlier import differing
from lockstep.release.tags import facts, model_of
from lockstep.report.spec_changes import named

SHOWN = 3


def insist(api: Api, bundle: Bundle) -> None:
    """Raise `Poisoned` unless what is called a rollback is one; other changes pass."""
    tag, base = bundle.document.rollback, bundle.manifest.base
    if not tag:
        return
    commit, message = _tagged(api, tag)
    if api.get(f"compare/{commit}...{base}")["merge_base_commit"]["sha"] != commit:
        raise Poisoned(f"It is called a rollback to {tag}, and its base {base[:7]} does not descend from that commit.")
    model = _model(api, commit)
    if model is None or facts(message).get("model") != model:
        raise Poisoned(f"It is called a rollback to {tag}, and that tag is not as a release writes it for that commit.")
    today, released = (_top(api, api.get(f"git/commits/{sha}")["tree"]["sha"]) for sha in (base, commit))
    if not differing(today, released, today):
        raise Poisoned(f"It is called a rollback to {tag}, and its base {base[:7]} is that release.")
    if wrong := differing(_top(api, bundle.manifest.tree), released, today):
        raise Poisoned(f"It is called a rollback to {tag}, and is not as released in {named(wrong, SHOWN)}.")


def _tagged(api: Api, tag: str) -> tuple[str, str]:
    """The commit that an annotated tag of this repository is on, and its message."""
    found = api.find(f"git/ref/tags/{part(tag)}")
    if found is None:
        raise Poisoned(f"It is called a rollback to {tag}, and this repository has no such tag.")
    target = found["object"]
    made = api.get(f"git/tags/{target['sha']}") if target["type"] == "tag" else None
    if made is None or made["tag"] != tag or made["object"]["type"] != "commit":
        raise Poisoned(
            f"It is called a rollback to {tag}, and no release wrote that tag: it has no message on a commit."
        )
    return str(made["object"]["sha"]), str(made["message"])


def _top(api: Api, tree: str) -> dict[str, str]:
    """The top of a tree, as `lockstep.release.earlier.top` gives it."""
    found = api.get(f"git/trees/{tree}")
    if found.get("truncated"):
        raise Poisoned("It is called a rollback, and there is more at the top of its tree than GitHub lists.")
    return {each["path"]: f"{each['mode']} {each['type']} {each['sha']}" for each in found["tree"]}


def _model(api: Api, sha: str) -> str | None:
    """The fingerprint that a commit's lock names; None where it names none, or cannot be read."""
    found = api.find(f"contents/{LOCK}", ref=sha)
    try:
        return model_of(parse(base64.b64decode(found["content"]))) if found else None
    except InputError:
        return None
