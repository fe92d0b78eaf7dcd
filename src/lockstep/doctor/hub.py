"""The checks of the repository on GitHub, through its API as far as the token may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lockstep.doctor.check import Check, Found, State, fail, ok, unknown, warn
from lockstep.doctor.clone import Clone
from lockstep.github.checks import NAME

WORKFLOWS = tuple(f".github/workflows/{name}.yml" for name in ("pull-request", "comment", "test"))
ROLES = ("LOCKSTEP_AWS_REGION", "LOCKSTEP_AWS_ROLE_PR", "LOCKSTEP_AWS_ROLE_MAIN")
APP = "LOCKSTEP_APP_ID"

RULESET: Mapping[str, Any] = {
    "name": "lockstep",
    "target": "branch",
    "enforcement": "active",
    "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
    "rules": [
        {"type": "deletion"},
        {"type": "non_fast_forward"},
        {
            "type": "pull_request",
            "parameters": {
                "required_approving_review_count": 0,
                "dismiss_stale_reviews_on_push": False,
                "require_code_owner_review": False,
                "require_last_push_approval": False,
                "required_review_thread_resolution": False,
            },
        },
        {
            "type": "required_status_checks",
            "parameters": {
                "strict_required_status_checks_policy": True,
                "required_status_checks": [{"context": NAME}],
            },
        },
    ],
}
"""What a default branch needs: changes by pull request alone, up to date, with our verdict. No approval is asked for:
who maintains alone could not give it; teams raise `required_approving_review_count`.
"""


def workflows(clone: Clone) -> Found:
    """Are the workflows on the default branch? GitHub runs the commenting one from there, whatever a branch holds."""
    if clone.branch is None:
        return unknown("the default branch is not known here", "git fetch origin")
    absent, branch = lacking(clone, WORKFLOWS)
    return not_there(clone, absent, branch, "and nothing comments until it is") or ok(f"all on {branch}")


def lacking(clone: Clone, names: Sequence[str]) -> tuple[list[str], str | None]:
    """The files that the default branch does not hold, and the ref that was looked at."""
    branch = next((ref for ref in (f"origin/{clone.branch}", str(clone.branch)) if _is_commit(clone, ref)), None)
    return [name for name in names if clone.git("cat-file", "-e", f"{branch}:./{name}") is None], branch


def not_there(clone: Clone, absent: Sequence[str], branch: str | None, so: str) -> Found | None:
    """What is said of files that the default branch does not hold; None when it holds all."""
    if not absent:
        return None
    return fail(
        f"{', '.join(absent)} not on {branch}, {so}", f"git push -u origin HEAD && gh pr create --base {clone.branch}"
    )


def _is_commit(clone: Clone, ref: str) -> bool:
    return clone.git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}") is not None


def _through_api(look: Callable[[Clone], Found]) -> Callable[[Clone], Found]:
    """The look, where there is something to look at and a token to look with."""

    def looked(clone: Clone) -> Found:
        if not clone.repository:
            return unknown("not looked at: `origin` is not on GitHub")
        if not clone.token:
            return unknown("not looked at: set GITHUB_TOKEN", "GITHUB_TOKEN=$(gh auth token) lockstep doctor")
        if clone.unheard:
            return unknown(*clone.unheard)
        return look(clone)

    return looked


def protection(clone: Clone) -> Found:
    """Can the default branch change without a pull request?"""
    if any(rule["type"] == "pull_request" for rule in clone.rules):
        return ok(f"{clone.branch} changes by pull request alone")
    if "required_pull_request_reviews" in clone.protection:
        return ok(f"{clone.branch} changes by pull request alone")
    if clone.about.get("protected") and not clone.protection:
        return unknown(f"{clone.branch} is protected; how, only an administrator's token may see")
    return fail(f"anyone who may write can push to {clone.branch} without a pull request", _rule(clone))


def required(clone: Clone) -> Found:
    """Must our verdict be green before a merge?"""
    contexts = set(_contexts(clone))
    if NAME in contexts:
        return ok(f"`{NAME}` is required")
    others = f" ({', '.join(sorted(contexts))} is)" if contexts else ""
    return fail(f"`{NAME}` is not required: a refused change can be merged{others}", _rule(clone))


def _contexts(clone: Clone) -> Iterator[str]:
    for rule in clone.rules:
        if rule["type"] == "required_status_checks":
            yield from (check["context"] for check in rule["parameters"]["required_status_checks"])
    checks = (clone.about.get("protection") or {}).get("required_status_checks") or {}
    yield from checks.get("contexts") or ()
    yield from (check["context"] for check in checks.get("checks") or ())


def queue(clone: Clone) -> Found:
    """Is what is merged what was judged?"""
    if any(rule["type"] == "merge_queue" for rule in clone.rules):
        return ok("changes are merged by a queue")
    strict = [rule["parameters"].get("strict_required_status_checks_policy") for rule in _status_rules(clone)]
    if any(strict) or (clone.protection.get("required_status_checks") or {}).get("strict"):
        return ok("no queue; a branch must be up to date before it is merged")
    if clone.about.get("protected") and not clone.protection and not strict:
        return unknown("no queue; whether branches must be up to date, only an administrator's token may see")
    return fail(
        f"a branch that lacks the tip of {clone.branch} can be merged: nobody has judged the two together", _rule(clone)
    )


def _status_rules(clone: Clone) -> Iterator[Mapping[str, Any]]:
    return (rule for rule in clone.rules if rule["type"] == "required_status_checks")


def _rule(clone: Clone) -> str:
    return f"lockstep doctor --ruleset | gh api --method POST repos/{clone.repository}/rulesets --input -"


def pull_requests(clone: Clone) -> Found:
    """May workflows open pull requests, as promote.yml does, and release.yml where a lock is untrue?"""
    settings = clone.ask("actions/permissions/workflow")
    if settings is None:
        return unknown("only an administrator's token may see it")
    if settings.get("can_approve_pull_request_reviews"):
        return ok("workflows may open pull requests")
    return warn(
        "workflows may not open pull requests, as promotions, proposals and repairs of the lock are",
        f"gh api --method PUT repos/{clone.repository}/actions/permissions/workflow "
        f"-f default_workflow_permissions=read -F can_approve_pull_request_reviews=true",
    )


def app(clone: Clone) -> Found:
    """Whose name is on the workflow's commits?"""
    names = clone.variables
    if names is None:
        return unknown("this token may not see the repository's variables")
    if APP in names:
        return ok("an App: its commits start the workflows again")
    return ok("none: the workflow's commits start no other; it puts the verdict on them itself")


def roles(clone: Clone) -> Found:
    """Do the workflows know which roles to take?"""
    main = clone.remotes.main
    if main is None or not main.url.startswith("s3://"):
        return ok("none needed: the default remote is not in S3")
    names = clone.variables
    if names is None:
        return unknown("this token may not see the repository's variables")
    lacking = [name for name in ROLES if name not in names]
    if lacking:
        return fail(
            f"the workflows cannot reach the remote without {', '.join(lacking)}",
            f"gh variable set {lacking[0]} --body VALUE",
        )
    return ok(f"{', '.join(ROLES)} are set")


def asked(title: str, look: Callable[[Clone], Found]) -> Check:
    """A check that asks GitHub: where it cannot be asked, nobody knows."""
    return Check(title=title, look=_through_api(look), otherwise=State.UNKNOWN)


CHECKS: Mapping[str, Check] = {
    "workflows": Check(title="workflows", look=workflows),
    "protection": asked("branch protection", protection),
    "required": asked("required check", required),
    "queue": asked("queue", queue),
    "pull-requests": asked("Actions' pull requests", pull_requests),
    "roles": asked("roles for the remote", roles),
    "app": asked("App", app),
}
