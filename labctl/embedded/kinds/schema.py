"""Schemas of the built-in kinds: what decoding says about a body, and the OpenAPI documents."""

from __future__ import annotations

from labctl.embedded.kinds.decoding import struct_type_errors, type_errors, unknown_fields

__all__ = ["struct_type_errors", "type_errors", "unknown_fields"]
