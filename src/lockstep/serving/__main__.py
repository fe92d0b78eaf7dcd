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
    from lockstep.serving.server import listen, serve
    from lockstep.serving.service import running

    # Threads give way sooner than after 5 ms: while one answers a thousand rows, small requests go on.
    sys.setswitchinterval(0.0005)
    inner = service.to_asgi(is_main=True)
    made = running()
    with listen(told.host, told.port) as listening:
        host, port = listening.getsockname()[:2]
        say(f"{told.name} {told.version}, model {made.version['model']}: listening on {host}:{port}")
        try:
            started = serve(App(inner, made), made.health, listening, notice=told.notice)
        except KeyboardInterrupt:
            return  # served until Ctrl-C, which is how a service ends that somebody looks at
    if not started:
        raise OutsideError("the service did not start; what is above says why")


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
