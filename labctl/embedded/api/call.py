"""One API request on its way through the server."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from labctl.embedded.api.errors import bad_request, no_such_resource, too_large
from labctl.embedded.api.negotiation import Representation, negotiate
from labctl.embedded.api.requestinfo import RequestInfo
from labctl.embedded.api.rules import Admission
from labctl.embedded.api.users import User
from labctl.embedded.http.messages import Request
from labctl.embedded.kinds.resources import Resource

MAX_BODY = 3 << 20
"""Bytes a request body may have: `--max-resource-write-bytes`' default."""


@dataclass(slots=True)
class Call:
    """A request with what is known about it.

    Attributes:
        request: As it came.
        info: What it asks for.
        user: Who asks.
        resource: The resource in its path; None for other paths.
        warnings: Texts for Warning headers.
        admission: Who is asked before a change is stored; None for nobody.
    """

    request: Request
    info: RequestInfo
    user: User
    resource: Resource | None = None
    warnings: list[str] = field(default_factory=list)
    admission: Admission | None = None

    @property
    def user_agent(self) -> str:
        """The client's name for itself."""
        return self.request.header("User-Agent") or ""

    @property
    def target(self) -> Resource:
        """The resource in the path.

        Raises:
            ApiError: 404, it names none.
        """
        if self.resource is None:
            raise no_such_resource()
        return self.resource

    def representation(self, transforms: Collection[str] = ()) -> Representation:
        """How to answer.

        Raises:
            ApiError: 406, in no way that the client accepts.
        """
        return negotiate(self.request, self.info.param("pretty"), transforms)

    def body(self) -> bytes:
        """The request's body.

        Raises:
            ApiError: 413, it is too big.
        """
        if len(self.request.body) > MAX_BODY:
            raise too_large(MAX_BODY)
        return self.request.body

    def warn(self, text: str) -> None:
        """Add a Warning header, once."""
        if text and text not in self.warnings:
            self.warnings.append(text)

    def require_name(self) -> str:
        """The object's name in the path.

        Raises:
            ApiError: 400, there is none.
        """
        if not self.info.name:
            raise bad_request("name must be provided")
        return self.info.name
