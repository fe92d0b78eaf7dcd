"""The checks of what a release needs: an engine here, and on GitHub the branch `deploy`, tags, registry, signatures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from lockstep.doctor.check import Check, Found, fail, ok, unknown, warn
from lockstep.doctor.clone import Clone
from lockstep.doctor.hub import APP, asked, lacking, not_there
from lockstep.errors import InputError
from lockstep.release.registry import is_address

WORKFLOWS = tuple(f".github/workflows/{name}.yml" for name in ("release", "promote"))
BRANCH, MAIN = "deploy", "main"
REGISTRY = "LOCKSTEP_REGISTRY"
ATTEST, SIGN = "LOCKSTEP_ATTEST", "LOCKSTEP_SIGN"
GHCR = "ghcr.io/"

NEEDS: Mapping[str, tuple[str, ...]] = {
    ".dkr.ecr.": ("LOCKSTEP_AWS_REGION", "LOCKSTEP_AWS_ROLE_MAIN"),
    "-docker.pkg.dev/": ("LOCKSTEP_GOOGLE_PROVIDER", "LOCKSTEP_GOOGLE_ACCOUNT"),
    ".azurecr.io/": ("LOCKSTEP_AZURE_CLIENT", "LOCKSTEP_AZURE_TENANT", "LOCKSTEP_AZURE_SUBSCRIPTION"),
}
"""The variables that a registry needs, by what its address holds; release.yml looks for the same."""

OTHERS, PASSWORD = ("LOCKSTEP_REGISTRY_USER",), "LOCKSTEP_REGISTRY_PASSWORD"
"""What any other registry needs: a variable, and a secret."""

DEPLOY_RULESET: Mapping[str, Any] = {
    "name": "lockstep: deploy",
    "target": "branch",
    "enforcement": "active",
    "conditions": {"ref_name": {"include": [f"refs/heads/{BRANCH}"], "exclude": []}},
    "rules": [{"type": "deletion"}, {"type": "non_fast_forward"}],
}
"""The branch is the record of what ran where: it grows, and nothing else. No pull request is asked for, since a release
writes staging itself; who wants one for everything else names an App (`LOCKSTEP_APP_ID`) that may pass.
"""

TAGS_RULESET: Mapping[str, Any] = {
    "name": "lockstep: releases",
    "target": "tag",
    "enforcement": "active",
    "conditions": {"ref_name": {"include": ["refs/tags/*@v*", "refs/tags/*#*"], "exclude": []}},
    "rules": [{"type": "deletion"}, {"type": "update"}],
}
"""A version names one commit for good. What tags name is never collected, and can be rolled back to."""


def new_tags_ruleset(app: str) -> Mapping[str, Any]:
    """Nobody but the App (its number) makes the tags of releases, which say what was released, and by which image.

    By a ruleset of its own: who may pass one passes all of its rules. The workflow's own token will not do, since any
    branch's workflow has it. Raises `InputError` unless `app` is a number: without an App no release could be made.
    """
    if not app.isdecimal():
        raise InputError(
            f"which App makes releases? `{APP}=NUMBER lockstep doctor --ruleset new-tags`. It is the one that the "
            "workflows write with; without one nobody could release any more (docs/release.md)"
        )
    bypass = {"actor_id": int(app), "actor_type": "Integration", "bypass_mode": "always"}
    name, rules = "lockstep: releases are made by the App", [{"type": "creation"}]
    return {**TAGS_RULESET, "name": name, "rules": rules, "bypass_actors": [bypass]}


BARS = {"pull_request": "a pull request", "required_status_checks": "checks", "update": "somebody who may pass"}
"""Rules that keep the workflow's own commits out, and what they ask for."""


def workflows(clone: Clone) -> Found:
    """Are the workflows that release and promote on the default branch?"""
    if clone.branch is None:
        return unknown("the default branch is not known here", "git fetch origin")
    if clone.branch != MAIN:
        return fail(
            f"they answer to `{MAIN}` alone, and the default branch is `{clone.branch}`: nothing is released",
            (f"Settings → General → Default branch: rename it to {MAIN}, or let release.yml name {clone.branch}"),
        )
    absent, branch = lacking(clone, WORKFLOWS)
    return not_there(clone, absent, branch, "and a merge ships nothing until it is") or ok(f"all on {branch}")


def engine(clone: Clone) -> Found:
    """Can an image be built and tried here? GitHub's runners bring all that is needed."""
    from lockstep.release import engines

    install = "sudo apt-get install --yes --no-install-recommends buildah podman skopeo"
    try:
        found = engines.chosen(clone.environ)
    except InputError as error:
        return warn(f"{error}: `lockstep release --local` does not work here", install)
    return ok(f"{found.builder} builds, {found.runner} runs")


def deploy(clone: Clone) -> Found:
    """May the branch `deploy` grow by a release, and by nothing be rewritten?"""
    found = clone.rules_of(BRANCH)
    rules = {rule["type"] for rule in found}
    bars = [words for kind, words in BARS.items() if kind in rules]
    if bars and clone.variables is None:
        return unknown(f"a rule of `{BRANCH}` asks for {' and '.join(bars)}; whether an App may pass, nobody could see")
    if bars and APP not in (clone.variables or ()):
        return fail(
            f"a rule of `{BRANCH}` asks for {' and '.join(bars)}: a release cannot write there unless an App may pass",
            f"gh variable set {APP} --body ID",
        )
    if bars and (barred := _app_is_barred(clone, found)):
        return barred
    if not {"deletion", "non_fast_forward"} <= rules:
        return warn(f"`{BRANCH}`, the record of what ran where, can be deleted or rewritten", _rule(clone, "deploy"))
    return ok(f"`{BRANCH}` can only grow")


def _app_is_barred(clone: Clone, rules: Sequence[Mapping[str, Any]]) -> Found | None:
    """What is wrong where a ruleset that keeps commits out of the branch does not let our App pass."""
    app, barring = (
        (clone.settings or {}).get(APP, ""),
        {rule.get("ruleset_id") for rule in rules if rule["type"] in BARS},
    )
    for each in clone.rulesets("branch"):
        if each.get("id") not in barring:
            continue
        if "bypass_actors" not in each:
            return unknown(f"whether the App {app} may pass the rule `{each.get('name')}`, this token may not see")
        if not _passes(each, app):
            return fail(
                f"the rule `{each.get('name')}` does not let the App {app} pass: a release cannot write to `{BRANCH}`",
                f"Settings → Rules → Rulesets → {each.get('name')} → Bypass list: add the App, always",
            )
    return None


def _passes(ruleset: Mapping[str, Any], app: str) -> bool:
    actors = [(each.get("actor_type"), str(each.get("actor_id"))) for each in ruleset.get("bypass_actors") or ()]
    return ("Integration", app) in actors


def tags(clone: Clone) -> Found:
    """Can a released version's tag be moved or removed, or made by hand?"""
    rules = [
        (each, {rule["type"] for rule in each.get("rules") or ()}) for each in clone.rulesets("tag") if _covers(each)
    ]
    if not any({"deletion", "update"} <= kinds for _, kinds in rules):
        return warn(
            "the tag of a released version can be moved or removed, and its model collected", _rule(clone, "tags")
        )
    makers = [each for each, kinds in rules if "creation" in kinds]
    app = (clone.settings or {}).get(APP, "")
    if not makers:
        said = "versions stay where they are; who may push here can make the tag of a release that never was"
        return warn(said, f"{APP}={app or 'NUMBER'} {_rule(clone, 'new-tags')}")
    if barring := [each for each in makers if "bypass_actors" in each and not (app and _passes(each, app))]:
        return fail(
            f"the rule `{barring[0].get('name')}` lets nobody make tags whom the workflow could be ({APP}): no release "
            "gets its version",
            f"gh variable set {APP} --body NUMBER",
        )
    return ok("versions stay where they are, and only releases make them")


def _covers(ruleset: Mapping[str, Any]) -> bool:
    """Does a ruleset hold for all tags that we make?"""
    names = ("refs/tags/a@v1.0.0", "refs/tags/a#prod#1")
    about = (ruleset.get("conditions") or {}).get("ref_name") or {}
    included, excluded = about.get("include") or (), about.get("exclude") or ()
    return all(_matches(name, included) and not _matches(name, excluded) for name in names)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(pattern == "~ALL" or fnmatchcase(name, pattern) for pattern in patterns)


def _rule(clone: Clone, which: str) -> str:
    return f"lockstep doctor --ruleset {which} | gh api --method POST repos/{clone.repository}/rulesets --input -"


def registry(clone: Clone) -> Found:
    """Does the workflow know how to log in where images go?"""
    settings = clone.settings
    if settings is None:
        return unknown("this token may not see the repository's variables")
    where = settings.get(REGISTRY) or address(clone)
    if not is_address(where):
        return fail(
            f"{REGISTRY} is `{where}`, no image's address without tag",
            f"gh variable set {REGISTRY} --body HOST/PATH/NAME",
        )
    if where.startswith(GHCR):
        return _at_github(clone, where)
    wanted = next((names for part, names in NEEDS.items() if part in where), OTHERS)
    absent = [name for name in wanted if not settings.get(name)]
    if absent:
        return fail(
            f"nobody can log in at {where} without {', '.join(absent)}", f"gh variable set {absent[0]} --body VALUE"
        )
    if wanted == OTHERS and (lacks := _lacks_password(clone)):
        return lacks
    return ok(f"{where}; {', '.join(wanted)} {'is' if len(wanted) == 1 else 'are'} set")


def _at_github(clone: Clone, where: str) -> Found:
    owner, mine = where.removeprefix(GHCR).partition("/")[0], (clone.repository or "").partition("/")[0].lower()
    if owner != mine:
        return fail(
            f"{where} is {owner}'s, and a workflow of {clone.repository} writes packages of {mine} alone",
            f"gh variable set {REGISTRY} --body {GHCR}{mine}/NAME",
        )
    return ok(f"{where}; the workflow's own token logs in")


def _lacks_password(clone: Clone) -> Found | None:
    """What is wrong with the secret beside the user's name; GitHub tells the names of secrets alone."""
    found = clone.ask("actions/secrets?per_page=100")
    if not isinstance(found, dict):
        return unknown(f"this token may not see whether the secret {PASSWORD} is there", f"gh secret set {PASSWORD}")
    if PASSWORD not in [each.get("name") for each in found.get("secrets") or ()]:
        return fail(f"nobody can log in without the secret {PASSWORD}", f"gh secret set {PASSWORD}")
    return None


def address(clone: Clone) -> str:
    """Where images go unless a variable says otherwise."""
    return f"{GHCR}{(clone.repository or '').lower()}"


def package(clone: Clone) -> Found:
    """May this repository's workflows write the package that holds the images?"""
    settings = clone.settings
    where = (settings or {}).get(REGISTRY) or address(clone)
    if settings is None or not where.startswith(GHCR):
        return unknown("not looked at" if settings is None else "images go elsewhere than to GitHub's registry")
    owner, _, name = where.removeprefix(GHCR).partition("/")
    found = next(_packages(clone, owner, name), None)
    if found is None:
        return ok("no package yet, or none that this token may see; the first release makes it, and may write it")
    linked = (found.get("repository") or {}).get("full_name", "")
    if linked.lower() != (clone.repository or "").lower():
        return fail(
            f"the package {where} is {f'of {linked}' if linked else 'of no repository'}: a release may not push to it",
            f"{found.get('html_url', 'the package')} → Package settings → Manage Actions access → {clone.repository}: "
            "Write",
        )
    return ok(f"{where} is this repository's, {found.get('visibility', 'private')}")


def _packages(clone: Clone, owner: str, name: str) -> Iterator[Mapping[str, Any]]:
    """The package, as an organisation's or a person's."""
    from lockstep.github.api import part

    for kind in ("orgs", "users"):
        found = clone.ask(f"/{kind}/{part(owner)}/packages/container/{part(name)}")
        if isinstance(found, dict):
            yield found


def signing(clone: Clone) -> Found:
    """Will images be attested and signed?"""
    settings = clone.settings
    if settings is None:
        return unknown("this token may not see the repository's variables")
    about = clone.ask(f"/repos/{clone.repository}")
    private = bool(about.get("private")) if isinstance(about, dict) else None
    if private is None:
        return unknown("this token may not see whether the repository is private")
    lacks = [name for name in (ATTEST, SIGN) if (settings.get(name) or str(not private).lower()) != "true"]
    if not lacks:
        return ok("attested and signed")
    what = " nor ".join({ATTEST: "attested", SIGN: "signed"}[name] for name in lacks)
    why = "in a private repository, unless it is asked for" if private else "as the variables say"
    return warn(f"images are not {what}: {why} (docs/release.md)", f"gh variable set {lacks[0]} --body true")


CHECKS: Mapping[str, Check] = {
    "engine": Check(title="container engine", look=engine),
    "release": Check(title="release workflows", look=workflows),
    "deploy": asked("branch deploy", deploy),
    "tags": asked("tags of releases", tags),
    "registry": asked("registry", registry),
    "package": asked("package", package),
    "signing": asked("signatures", signing),
}
