"""A release, from a merged commit to a line on the branch `deploy`.

Each step looks before it does: after a failure or a kill the same call goes on where it ended, and ends the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lockstep.errors import InputError, OutsideError, Refused
from lockstep.lock.entries import FILE, Entries
from lockstep.lock.shortly import shortened
from lockstep.release import bento, chain, deployment, identity, models, origin, registry, reuse, sbom, versions
from lockstep.release.deployment import STAGING, Record
from lockstep.release.origin import Seen
from lockstep.release.superseded import Standing, skipped, standing, told
from lockstep.release.tags import Version, model_of
from lockstep.release.versions import Choice
from lockstep.release.wanted import Wanted
from lockstep.revision import Revision, git, resolve
from lockstep.spec import Spec, read_spec

SBOM = f"{models.ROOM}/sbom.cdx.json"
UNRELEASED = "unreleased"
ATTEMPTS = 5

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the caller wants. `registry` is the image's address without tag, "" only with `local`."""

    registry: str = ""
    force: bool = False
    image_only: bool = False
    local: bool = False
    digest: str = ""
    """The only image that may be deployed: what `image_only` made, and was signed. Any, where it is empty."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it. `released`: something changed on staging, or is about to; `sentence` is for people."""

    released: bool
    sentence: str
    name: str
    identity: str
    version: str = ""
    image: str = ""
    digest: str = ""
    sbom: str = ""
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is known without any bytes of the model."""

    root: Path
    head: Revision
    spec: Spec
    entries: Entries
    identity: str
    options: Options

    @property
    def name(self) -> str:
        """The project's name."""
        return self.spec.project.name

    def wanted(self, version: str) -> Wanted:
        """The image, as a version."""
        lock = hashlib.sha256((self.root / FILE).read_bytes()).hexdigest()
        return Wanted(
            name=self.name, version=version, identity=self.identity, model=model_of(self.entries) or "",
            commit=self.head.sha, lock=lock, data=versions.data_of(self.entries), registry=self.options.registry,
            build_image=self.spec.release.build_image, run_image=self.spec.release.run_image, log=self.spec.serve.log,
        )  # fmt: skip

    def outcome(self, sentence: str, about: Record | None = None, *, released: bool = False) -> Outcome:
        """How it ended."""
        made = Outcome(released=released, sentence=sentence, name=self.name, identity=self.identity)
        if about is None:
            return made
        return replace(made, version=about.version, image=about.image, digest=about.digest, skipped=about.skipped)


def release(root: Path, options: Options, progress: Progress) -> Outcome:
    """Ship the model of HEAD's lock to staging, unless it is there.

    Raises `Refused` when the lock is not true, the model is not what it says or the image does not pass its try-out;
    `InputError` when the tree is not a merged commit's; `OutsideError` when origin, a remote or the registry fails.
    """
    plan = planned(root, options)
    if options.local:
        return _tried(plan, progress)
    if not options.image_only:
        deployment.insist_author(root)
    seen = origin.look(root, plan.name)
    origin.insist_merged(root, seen, plan.head)
    if (ended := _ended(plan, seen)) is not None:
        return ended
    about, choice = _identified(plan, seen, progress)
    _insist_fit(plan, about)
    if not about.digest:
        about = replace(about, digest=_shipped(plan, seen, choice, progress))
    _insist_on_digest(options, about)
    bill = _billed(plan, about)
    if options.image_only:
        sentence = f"the image of {plan.name} {about.version} is in the registry; staging is as it was"
        return replace(plan.outcome(sentence, about, released=True), sbom=bill)
    tag = versions.register(root, plan.name, choice, about.facts)
    progress(f"{tag}: {choice.why}")
    return replace(_deployed(plan, seen, about, progress), sbom=bill)


def _insist_on_digest(options: Options, about: Record) -> None:
    if options.digest not in ("", about.digest):
        raise Refused(
            f"{options.digest} was signed, and what is to be deployed as {about.version} is {about.digest}: sign that "
            "one. Nothing was deployed"
        )


def planned(root: Path, options: Options) -> Plan:
    """What HEAD releases. Raises `InputError` when it is not what lies here, `Refused` when the lock is not true."""
    changed = [line[3:] for line in git(root, "status", "--porcelain", "--untracked-files=no").splitlines()]
    if changed:
        raise InputError(f"a release ships a commit, and {shortened(changed)} changed since the last one: commit first")
    if not options.local:
        registry.check(options.registry)
    spec, entries = read_spec(root / "params.yaml"), models.insist_true(root)
    bento.insist_committed(root)
    made = identity.of(root, spec, models.md5s(entries))
    head = resolve(root, "HEAD")
    return Plan(root=root, head=head, spec=spec, entries=entries, identity=made, options=options)


def _tried(plan: Plan, progress: Progress) -> Outcome:
    """Build the image and try it; nothing leaves this machine."""
    folder = models.obtain(plan.root, plan.head, plan.entries, trusted=True, progress=progress)
    chain.ship(plan.root, folder, plan.wanted(UNRELEASED), push=False, progress=progress)
    return plan.outcome(f"the image of {plan.name} at {plan.head.short} was built and passed; nothing was sent")


def _ended(plan: Plan, seen: Seen) -> Outcome | None:
    """How it ends before it begins: something newer is on staging, or this is; None when there is work.

    Raises `InputError` when staging's commit is neither before nor after this one, unless it is forced.
    """
    staged = deployment.record(plan.root, seen.deploy, STAGING)
    if staged is None:
        return _outrun(plan)
    stands = standing(plan.root, staged.commit, plan.head.sha)
    deployed = f"{staged.version} of {told(plan.root, staged.commit)}"
    if stands is Standing.SUPERSEDED:
        # Without the image: it is not this commit's, which can neither sign nor deploy it.
        return plan.outcome(f"superseded: staging has {deployed}, which came after {plan.head.short}")
    if stands is Standing.ASIDE and not plan.options.force:
        raise InputError(
            f"staging has {deployed}, which is neither before nor after {plan.head.short}: somebody rewrote history, "
            "or this is another branch. `--force` deploys it all the same"
        )
    if stands is not Standing.ASIDE and _is_on_staging(plan, seen, staged):
        _insist_on_digest(plan.options, staged)
        sentence = f"nothing to do: staging has {deployed}, and this commit gives the same"
        if not plan.options.image_only:
            sentence += _assign(plan, staged)
        # The workflow attests and signs what staging has, where nobody has done so.
        bill = _billed(plan, staged) if plan.options.image_only else ""
        return replace(plan.outcome(sentence, staged), sbom=bill)
    return None


def _is_on_staging(plan: Plan, seen: Seen, staged: Record) -> bool:
    if not _has_image(plan, staged):
        return False
    mine = deployment.tree(plan.root, plan.head.sha, staged)
    return deployment.same(plan.root, mine, deployment.of(plan.root, seen.deploy, STAGING))


def _outrun(plan: Plan) -> Outcome | None:
    """Without staging on `deploy`, tags alone say that something newer was there once."""
    last = versions.assigned(plan.root, plan.name, versions.STAGING)
    if standing(plan.root, last, plan.head.sha) is not Standing.SUPERSEDED:
        return None
    sentence = f"superseded: staging had the version of {told(plan.root, last)}, which came after {plan.head.short}"
    return plan.outcome(sentence)


def _assign(plan: Plan, about: Record) -> str:
    """Let the stage's newest tag say what staging has: `about`, or what came after it. What to add to the sentence."""

    def now() -> versions.Deployed | None:
        seen = origin.look(plan.root, plan.name)
        staged = deployment.record(plan.root, seen.deploy, STAGING)
        if staged is None:
            return None
        version = Version.parse(staged.version)
        # Who deployed an image that no tag says writes its tag; a person may have written anything.
        ours = (staged.version, staged.facts) == (about.version, about.facts)
        return (version, staged.facts) if ours or versions.tells(plan.root, plan.name, version, staged.facts) else None

    try:
        versions.assign(plan.root, plan.name, versions.STAGING, now)
    except origin.Denied:
        return f". {versions.untagged(about.version, 'lockstep release')}"
    return ""


def _has_image(plan: Plan, staged: Record) -> bool:
    """Is our image there, by the digest that a tag of its version says? Whoever may push can write to `deploy`.

    And has the registry it still? What cannot be pulled must be built again.
    """
    ours = (staged.identity, staged.image) == (plan.identity, plan.options.registry)
    said = ours and versions.tells(plan.root, plan.name, Version.parse(staged.version), staged.facts)
    return said and chain.holds(plan.wanted(staged.version), staged.digest)


def _identified(plan: Plan, seen: Seen, progress: Progress) -> tuple[Record, Choice]:
    """The record of this release, and why it has its version. The digest is "" unless staging has the image."""
    choice = _numbered(plan, versions.choose(plan.root, plan.name, plan.identity, plan.head, plan.entries))
    wanted = plan.wanted(str(choice.version))
    staged = deployment.record(plan.root, seen.deploy, STAGING)
    digest = staged.digest if staged and staged.version == wanted.version and _has_image(plan, staged) else ""
    if staged and staged.identity == plan.identity and not digest:
        progress(f"staging names {staged.digest}, which is not taken over: no tag says it, or the registry lacks it")
    about = Record(
        name=plan.name, version=wanted.version, identity=plan.identity, digest=digest, image=wanted.registry,
        model=wanted.model, commit=plan.head.sha, lock=wanted.lock,
    )  # fmt: skip
    return _after(plan, about, staged), choice


def _numbered(plan: Plan, choice: Choice) -> Choice:
    """The number that an image was built for which the caller vouches for, if it is one that may follow.

    Whether callers break may depend on the classes of both models, which the machine that built it had at hand.
    """
    if not plan.options.digest or choice.known:
        return choice
    for version in versions.following(plan.root, plan.name):
        if version != choice.version and chain.holds(plan.wanted(str(version)), plan.options.digest):
            return replace(choice, version=version, why=f"{plan.options.digest} was built as {version}")
    return choice


def _after(plan: Plan, about: Record, staged: Record | None) -> Record:
    """The record with what it has from the one before it."""
    if staged is None:
        return about
    left_out = skipped(plan.root, staged.commit, plan.head.sha)
    before = staged.version if staged.version != about.version else staged.previous
    return replace(about, skipped=tuple(left_out), previous=before)


def _insist_fit(plan: Plan, about: Record) -> None:
    """What could not be deployed is not built: its manifests are looked at with some digest."""
    deployment.tree(plan.root, plan.head.sha, replace(about, digest=about.digest or f"sha256:{plan.identity}"))


def _shipped(plan: Plan, seen: Seen, choice: Choice, progress: Progress) -> str:
    """The digest in the registry of an image that was made for this release, or is made now."""
    wanted = plan.wanted(str(choice.version))
    found = reuse.find(plan.root, wanted, seen.deploy, plan.options.digest, progress)
    if found and found.proven:
        return found.digest
    trusted = plan.spec.release.trust_pull_requests
    folder = models.obtain(plan.root, plan.head, plan.entries, trusted=trusted, progress=progress)
    digest = found.digest if found else chain.ship(plan.root, folder, wanted, push=True, progress=progress)
    models.keep(plan.root, plan.entries, progress)
    return digest


def _billed(plan: Plan, about: Record) -> str:
    """Write the bill of materials; its path."""
    path = plan.root / SBOM
    path.parent.mkdir(parents=True, exist_ok=True)
    sbom.write(plan.root, plan.wanted(about.version), about.digest, path)
    return SBOM


def _deployed(plan: Plan, seen: Seen, about: Record, progress: Progress) -> Outcome:
    """Staging on the branch `deploy` is what `about` says, unless something newer got there meanwhile."""
    for _ in range(ATTEMPTS):
        about = _after(plan, about, deployment.record(plan.root, seen.deploy, STAGING))
        made = deployment.tree(plan.root, plan.head.sha, about)
        commit = deployment.commit(plan.root, seen.deploy, STAGING, made, message(plan, about))
        try:
            origin.push(plan.root, f"refs/heads/{origin.DEPLOY}", commit, seen.deploy)
        except origin.Moved:
            progress(f"branch `{origin.DEPLOY}` moved on meanwhile: looking again")
            seen = origin.look(plan.root, plan.name)
            if (ended := _ended(plan, seen)) is not None:
                return ended
        else:
            sentence = f"released {plan.name} {about.version} to staging: {about.image}@{about.digest}"
            return plan.outcome(sentence + _assign(plan, about), about, released=True)
    raise OutsideError(f"branch `{origin.DEPLOY}` changes faster than we can follow: run again")


def message(plan: Plan, about: Record) -> str:
    """What the commit on the branch `deploy` says."""
    lines = [
        f"staging: {about.name} {about.version}", "", f"{told(plan.root, about.commit)}",
        f"image {about.image}@{about.digest}", f"model {about.model}",
    ]  # fmt: skip
    if about.skipped:
        lines += ["", "without a release of their own:", *(f"- {told(plan.root, each)}" for each in about.skipped)]
    return "\n".join([*lines, ""])
