"""Where objects lie: in a plain folder, or behind one of DVC's file systems. Runs in the transfer's own process.

An object is never overwritten: its name is the hash of its bytes.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from lockstep.remotes.config import OBJECTS

Step = Callable[..., None]

PART = 5 * 2**20
"""The smallest part that S3 takes, so that a slow upload is seen to move."""


class Store(Protocol):
    """One remote's objects. Errors of the outside are `OSError`, or what the file system's own library raises."""

    def size(self, md5: str) -> int | None:
        """Bytes of an object, or None when it is not there."""

    def get(self, md5: str, target: Path, step: Step) -> None:
        """Write an object's bytes to `target`. Raises `FileNotFoundError`."""

    def put(self, md5: str, source: Path, step: Step) -> None:
        """Add an object whole or not at all. Raises `FileExistsError` when someone else was faster."""

    def try_writing(self, md5: str, source: Path, step: Step) -> bool:
        """Can objects be added? Asked so that nothing stays, if the remote allows that: says whether something did."""


def open_store(root: Path, name: str, path: Path | None, base: Path | None = None) -> Store:
    """The store behind remote `name`; `path` is its folder when it is a plain one. Without its folder `base`, if one is
    given, it counts as absent, not as empty.
    """
    return Folder(path, base) if path is not None else FileSystem(root, name)


class Folder:
    """A folder on this machine. Nothing of DVC is imported."""

    def __init__(self, path: Path, base: Path | None = None) -> None:
        self.place = path / OBJECTS
        self._base = base

    def _path(self, md5: str) -> Path:
        return self.place / md5[:2] / md5[2:]

    def size(self, md5: str) -> int | None:
        """Bytes, or None. Raises `NotADirectoryError` when the folder itself is not there."""
        try:
            return self._path(md5).stat().st_size
        except FileNotFoundError:
            self._insist()
            return None

    def _insist(self) -> None:
        if self._base and not self._base.exists():
            raise NotADirectoryError(f"the folder {self._base} is not there")

    def get(self, md5: str, target: Path, step: Step) -> None:
        """Copy to `target`."""
        copy(self._path(md5), target, step)

    def put(self, md5: str, source: Path, step: Step) -> None:
        """Copy beside the name, then link: the name appears with all bytes, or someone else's stays."""
        path = self._path(md5)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not in the object's own folder, where DVC takes every file for an object.
        descriptor, beside = tempfile.mkstemp(dir=self.place, prefix=".lockstep-", suffix=".tmp")
        os.close(descriptor)
        try:
            copy(source, Path(beside), step)
            Path(beside).chmod(0o444)
            name_once(Path(beside), path)
        finally:
            Path(beside).unlink(missing_ok=True)

    def try_writing(self, md5: str, source: Path, step: Step) -> bool:
        """A file without a name that anyone reads, gone at once, in the innermost folder that is there."""
        self._insist()
        folder = next(each for each in (self.place, *self.place.parents) if each.is_dir())
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".lockstep-", suffix=".tmp") as file:
            file.write(source.read_bytes())
            file.flush()
        return False


class FileSystem:
    """Whatever DVC's own configuration opens: S3, GS, Azure, SSH, WebDAV, HTTP and others."""

    def __init__(self, root: Path, name: str) -> None:
        from dvc.config import Config, RemoteConfigError
        from dvc.fs import get_cloud_fs

        kind, config, path = get_cloud_fs(Config(os.fspath(root / ".dvc")), name=name)
        if config.get("version_aware") or config.get("worktree"):
            raise RemoteConfigError(
                f"remote `{name}` keeps versions by the cloud's own ids (version_aware or worktree): objects are "
                "found by their hash here, so it cannot serve"
            )
        self.fs = kind(**config)
        self.place = self.fs.join(path, *OBJECTS.split("/"))
        self._is_s3 = kind.protocol == "s3"
        if self._is_s3:
            self.fs.fs.retries = 3  # the tries are ours
        self._knows_streams = hasattr(self.fs.fs, "max_concurrency")

    def _path(self, md5: str) -> str:
        path: str = self.fs.join(self.place, md5[:2], md5[2:])
        return path

    def size(self, md5: str) -> int | None:
        """Bytes, or None. Raises `PermissionError` or `NotADirectoryError` when the bucket is not there."""
        try:
            info = self.fs.info(self._path(md5))
        except FileNotFoundError as error:
            _raise_unless_absent(error, self.place.split("/")[0])
            return None
        return None if info.get("type") == "directory" else int(info["size"] or 0)

    def get(self, md5: str, target: Path, step: Step) -> None:
        """Download to `target`, in one stream."""
        self.fs.get_file(self._path(md5), os.fspath(target), callback=_callback(step), **self._one_stream())

    def put(self, md5: str, source: Path, step: Step) -> None:
        """Upload. Object stores show an upload when it is whole; elsewhere it goes beside and is moved."""
        from dvc_objects.fs.base import ObjectFileSystem
        from dvc_objects.fs.utils import as_atomic

        if isinstance(self.fs, ObjectFileSystem):
            self._put_object(md5, source, step)
            return
        with as_atomic(self.fs, self._path(md5), create_parents=True) as beside:
            self.fs.put_file(os.fspath(source), beside, callback=_callback(step))

    def _put_object(self, md5: str, source: Path, step: Step) -> None:
        """S3 is asked to refuse when the name is taken: a bucket policy can insist on that condition."""
        arguments = (os.fspath(source), self._path(md5))
        options = {"callback": _callback(step), **self._one_stream()}
        if not self._is_s3:
            self.fs.put_file(*arguments, **options)
            return
        try:
            self.fs.put_file(*arguments, **options, chunksize=PART, mode="create")
        except OSError as error:
            # Some servers that speak S3 do not know the condition, and say so.
            if error.errno != errno.ENOSYS:
                raise
            self.fs.put_file(*arguments, **options, chunksize=PART)

    def try_writing(self, md5: str, source: Path, step: Step) -> bool:
        """S3 lets an upload in parts begin and be given up, with the right to write and no other. Elsewhere an object
        is added and removed again, where that is allowed.
        """
        there = self.size(md5) is not None  # raises when the bucket itself is not there
        step()
        if self._is_s3 and self._begins_upload(md5):
            return False
        if there and not self._removes(md5):
            return True
        self.put(md5, source, step)
        return not self._removes(md5)

    def _begins_upload(self, md5: str) -> bool:
        """False where the server knows no such uploads."""
        bucket, key, _ = self.fs.fs.split_path(self._path(md5))
        try:
            begun = self.fs.fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            return False
        self.fs.fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=begun["UploadId"])
        return True

    def _removes(self, md5: str) -> bool:
        try:
            self.fs.fs.rm_file(self._path(md5))
        except (OSError, NotImplementedError):
            return False
        return True

    def _one_stream(self) -> dict[str, Any]:
        return {"max_concurrency": 1} if self._knows_streams else {}


def _raise_unless_absent(error: FileNotFoundError, bucket: str) -> None:
    """File systems call an object absent when its bucket is, or, over HTTP, when the server does not even answer."""
    seen: BaseException | None = error
    while seen is not None:
        code = getattr(seen, "response", {}).get("Error", {}).get("Code")
        if code == "NoSuchBucket" or "bucket does not exist" in str(seen):
            raise NotADirectoryError(f"there is no bucket {bucket}") from error
        status = getattr(seen, "status", None)
        if status in (401, 403):
            raise PermissionError(str(seen)) from error
        if isinstance(seen, (ConnectionError, TimeoutError)) or _is_unheard(seen) or status not in (None, 404, 410):
            raise OSError(f"{type(seen).__name__}: {seen}") from error
        seen = seen.__cause__ or seen.__context__


def _is_unheard(error: BaseException) -> bool:
    names = {each.__name__ for each in type(error).__mro__}
    return bool(names & {"ClientConnectionError", "EndpointConnectionError"})


def _callback(step: Step) -> Any:
    from fsspec.callbacks import Callback

    class Steps(Callback):  # type: ignore[misc]
        def call(self, *_: object, **__: object) -> None:
            step()

    return Steps()


def copy(source: Path, target: Path, step: Step) -> None:
    """Copy the bytes, piece by piece."""
    with source.open("rb") as reading, target.open("wb") as writing:
        while piece := reading.read(2**20):
            writing.write(piece)
            step()


def name_once(whole: Path, name: Path) -> None:
    """Give a whole file its name, unless the name is taken. Raises `FileExistsError`."""
    try:
        os.link(whole, name)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if name.exists():
            raise FileExistsError(errno.EEXIST, "the object is there already", os.fspath(name)) from None
        whole.rename(name)
