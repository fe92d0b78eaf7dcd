"""The identity of an image: hash(model, service inputs). Two that share it answer alike, so one of them is enough."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from lockstep.errors import InputError
from lockstep.release import bento, image
from lockstep.serving import warm
from lockstep.spec import Spec

RECIPE = (bento.__file__, image.__file__, warm.__file__)
"""How we build, beside what we build of."""


def of(root: Path, spec: Spec, md5s: Mapping[str, str]) -> str:
    """SHA-256, in hex, of all that decides how an image of this tree answers.

    `md5s` are those of model.onnx, contract.json and golden.json by file name, as dvc.lock has them: the model itself
    need not be here. The rest is read at `root`: bentofile.yaml and every file it includes, requirements/serve.txt,
    the Python that versions.toml names; of the spec its name, images and log share; and the code that builds.
    Raises `InputError` when bentofile.yaml or a file that it names is missing, or an md5.
    """
    if missing := [name for name in bento.SERVED if not md5s.get(name)]:
        raise InputError(f"dvc.lock has no hash of {', '.join(missing)}: there is no whole model to release")
    files = [bento.FILE, bento.REQUIREMENTS, *bento.included(root)]
    content = {
        "model": {name: md5s[name] for name in bento.SERVED},
        "files": {name: _hash(root / name) for name in files},
        "recipe": [_hash(Path(path)) for path in RECIPE],
        "python": bento.python(root),
        "name": spec.project.name,
        "build_image": spec.release.build_image,
        "run_image": spec.release.run_image,
        "log": spec.serve.log,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path} is missing, and the image needs it") from None
