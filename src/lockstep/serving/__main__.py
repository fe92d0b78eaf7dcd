"""`python -m lockstep.serving`: the service as the image runs it. See `settings` for what the environment may say."""

from __future__ import annotations

import os
import sys

from lockstep.errors import OutsideError, exit_code


def main() -> None:
    """Load the model, serve it until SIGTERM or Ctrl-C."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from lockstep.serving.settings import settings

    told = settings(os.environ)
    from lockstep.running.console import say
    from lockstep.service import service
    from lockstep.serving.app import App
    from lockstep.serving.server import serve
    from lockstep.serving.service import running

    # Threads give way sooner than after 5 ms: while one answers a thousand rows, small requests go on.
    sys.setswitchinterval(0.0005)
    inner = service.to_asgi(is_main=True)
    made = running()
    say(f"{told.name} {told.version}, model {made.version['model']}: listening on {told.host}:{told.port}")
    if not serve(App(inner, made), made.health, host=told.host, port=told.port, notice=told.notice):
        raise OutsideError("the service did not start; what is above says why")


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
