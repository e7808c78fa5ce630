"""Web pages of others that must not use a server through their visitors' browsers."""

import ipaddress
import urllib.parse
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tfac.serving.server.metrics import Metrics


class OnlyTrusted:
    """An ASGI application that refuses requests for other hosts and those of other sites' pages.

    A page can rebind its own name to this server's address, and then counts as of the same site:
    hence the names, in the header ``Host``, are bounded. An address cannot be rebound and is always
    taken. A page can also send what HTML's forms can send to any server: hence a POST is refused
    whose ``Sec-Fetch-Site``, or else ``Origin``, tells another site. Programs send neither.

    Args:
        app: answers what is taken.
        hosts: names that are taken, beside localhost; ``*`` takes all.
        metrics: where refusals are counted.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], metrics: Metrics):
        self._app = app
        self._hosts = {"localhost", *(host.strip().lower() for host in hosts)}
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        reason = self._refused(scope) if scope["type"] == "http" else ""
        if reason:
            self._metrics.requests.labels("", "PERMISSION_DENIED").inc()
            await JSONResponse({"error": reason}, 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refused(self, scope: Scope) -> str:
        headers = Headers(scope=scope)
        host = headers.get("host", "localhost")  # HTTP/1.1 and every browser send it
        if not self._is_trusted(f"//{host}"):
            return f"expected a host of --trusted_hosts. Received: {host[:100]}"
        if scope["method"] in ("GET", "HEAD"):
            return ""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is None:
            is_own = origin is None or urllib.parse.urlsplit(origin).netloc == host
        else:
            is_own = site in ("same-origin", "none")
        return "" if is_own else "expected no request from a page of another site"

    def _is_trusted(self, url: str) -> bool:
        try:
            name = urllib.parse.urlsplit(url).hostname or ""
        except ValueError:
            return False
        if "*" in self._hosts or name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
