"""Schemas of the built-in kinds: what decoding says about a body, and the OpenAPI documents."""

from __future__ import annotations

from labctl.embedded.kinds.decoding import struct_type_errors, type_errors, unknown_fields
from labctl.embedded.kinds.openapi import openapi_v2, openapi_v3

__all__ = ["openapi_v2", "openapi_v3", "struct_type_errors", "type_errors", "unknown_fields"]
