"""The service as BentoML knows it. `bentoml serve lockstep.service:service` and `bentoml build` start here.

BentoML gives it its process, its page's files and its image. Requests are answered by `serving.app`: as a middleware
here, around BentoML's application in the image (`python -m lockstep.serving`), which is five times as fast. Importing
this module loads no model.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")

import bentoml

from lockstep.serving.app import App


@bentoml.service(
    name="lockstep",
    workers=1,
    # BentoML keeps a timer of 5 kB a request until this is over: a little longer than a body may take to arrive.
    traffic={"timeout": 12},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Service:
    """Answers rows by the model of the folder that LOCKSTEP_MODEL names."""


service: Any = Service
"""What the decorator made of it: a BentoML service."""
service.add_asgi_middleware(App)
