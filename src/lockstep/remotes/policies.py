"""What the roles of the workflows may do in the bucket, as AWS writes it down.

Two roles, taken through GitHub's OpenID Connect for an hour at a time, so that no key is kept anywhere:

- `pr`: taken by runs of this repository's own branches and of the queue. Reads all objects; adds objects below `pr/`,
  each once: S3 refuses a write that does not ask for a name nobody has yet, and nothing grants a deletion.
- `main`: taken by runs of the default branch alone. Reads all objects, adds objects to `main`, each once.

Objects of DVC's run cache (`runs/`) are granted to nobody: what they say of a stage cannot be checked by a hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from lockstep.errors import InputError
from lockstep.remotes.config import OBJECTS

ISSUER = "token.actions.githubusercontent.com"
VERSION = "2012-10-17"

Policy = Mapping[str, Any]


def policies(url: str, repository: str, branch: str = "main", account: str = "ACCOUNT") -> dict[str, dict[str, Policy]]:
    """Trust and permissions of both roles, for a remote `main` at `url` and a repository `OWNER/NAME` on GitHub.

    Raises `InputError` for a URL that is not S3's.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3":
        raise InputError(f"{url} is not in S3: these policies are AWS's. docs/remote.md says what others must grant")
    place = "/".join(filter(None, [parts.netloc, parts.path.strip("/")]))
    runs = f"repo:{repository}:"
    return {
        "pr": {
            "trust": trust([f"{runs}pull_request", f"{runs}ref:refs/heads/*"], account),
            "permissions": permissions(place, f"{place}/pr"),
        },
        "main": {
            "trust": trust([f"{runs}ref:refs/heads/{branch}"], account),
            "permissions": permissions(place, place),
        },
    }


def trust(subjects: Sequence[str], account: str) -> Policy:
    """Who may take a role: the runs of GitHub's workflows that `subjects` name. Forks get no token to ask with."""
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:aws:iam::{account}:oidc-provider/{ISSUER}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {f"{ISSUER}:aud": "sts.amazonaws.com"},
                    "StringLike": {f"{ISSUER}:sub": list(subjects)},
                },
            }
        ],
    }


def permissions(read: str, write: str) -> Policy:
    """Read objects below `read` and its `pr/`, add new ones below `write`; both begin with the bucket's name.

    Without the right to list the bucket, S3 says of an absent object that it is forbidden, not that it is absent. The
    parts of a big upload carry no condition, only the request that completes it, which is when the object appears.
    """
    bucket = read.partition("/")[0]
    arn, added = "arn:aws:s3:::", f"arn:aws:s3:::{write}/{OBJECTS}/*"
    return {
        "Version": VERSION,
        "Statement": [
            {"Sid": "Find", "Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"{arn}{bucket}"},
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": [f"{arn}{read}/{OBJECTS}/*", f"{arn}{read}/pr/{OBJECTS}/*"],
            },
            {"Sid": "Add", "Effect": "Allow", "Action": "s3:PutObject", "Resource": added},
            {
                "Sid": "Once",
                "Effect": "Deny",
                "Action": "s3:PutObject",
                "Resource": added,
                "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
            },
            {"Sid": "GiveUp", "Effect": "Allow", "Action": "s3:AbortMultipartUpload", "Resource": added},
        ],
    }
