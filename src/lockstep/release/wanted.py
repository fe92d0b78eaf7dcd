"""What is to be shipped: everything about an image that is known before it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lockstep.serving.fingerprint import SHORT


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One image. `identity` is hash(model, service inputs): two that share it answer alike, whatever their commit.

    `model` is the model's fingerprint, `lock` the SHA-256 of dvc.lock, `data` the md5 of what the lock's first stages
    made, by path. `registry` is the image's address without tag, such as `ghcr.io/owner/name`; "" when nothing is
    pushed.
    """

    name: str
    version: str
    identity: str
    model: str
    commit: str
    lock: str
    data: Mapping[str, str]
    registry: str
    build_image: str
    run_image: str
    log: float

    @property
    def tag(self) -> str:
        """The registry's tag by which an image with this identity is found."""
        return f"id-{self.identity[:32]}"

    @property
    def environment(self) -> dict[str, str]:
        """What the image tells the service in it; see `lockstep.serving.settings`."""
        return {
            "LOCKSTEP_VERSION": self.version,
            "LOCKSTEP_COMMIT": self.commit,
            "LOCKSTEP_LOCK": self.lock,
            "LOCKSTEP_LOG_SAMPLE": f"{self.log:g}",
        }

    @property
    def labels(self) -> dict[str, str]:
        """What the image says of itself, by label."""
        data = {f"{PREFIX}.data.{path.replace('/', '.')}": md5 for path, md5 in self.data.items()}
        return {
            "org.opencontainers.image.title": self.name,
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.revision": self.commit,
            f"{PREFIX}.identity": self.identity,
            f"{PREFIX}.model": self.model,
            f"{PREFIX}.lock": self.lock,
            **data,
        }

    def __str__(self) -> str:
        return f"{self.name} {self.version} (model {self.model[:SHORT]}, commit {self.commit[:7]})"


PREFIX = "lockstep"
"""Begins the names of our labels."""
