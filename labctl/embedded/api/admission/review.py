"""AdmissionReviews: the question, and what the answer means: pure.

Source: k8s.io/apiserver v0.34.4 `admission/plugin/webhook/{request,errors}`, k8s.io/api `admission/v1`.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from labctl.embedded.api.admission.hooks import Hook, Operation
from labctl.embedded.api.errors import bad_request, internal, quoted
from labctl.embedded.api.patches.jsonpatch import PatchError, apply_json_patch
from labctl.embedded.api.users import User
from labctl.embedded.clientset import ApiError, Obj

_VERSIONS = ("v1", "v1beta1")


class HookFailedError(Exception):
    """A webhook could not be asked, or its answer means nothing; the text says why."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a webhook answered.

    Attributes:
        warnings: For whoever made the request.
        patched: The object as the webhook wants it; None where it leaves it alone.
        refusal: Why the request is refused; None where it is not.
    """

    warnings: tuple[str, ...] = ()
    patched: Obj | None = None
    refusal: ApiError | None = None


def question(hook: Hook, operation: Operation, user: User, uid: str, options: Obj, *, dry_run: bool) -> Obj:
    """The AdmissionReview that a webhook is sent.

    Args:
        hook: Which webhook.
        operation: What is asked for.
        user: Who asks.
        uid: Names this question.
        options: The request's CreateOptions, UpdateOptions, PatchOptions or DeleteOptions.
        dry_run: Nothing will be stored.
    """
    resource = operation.resource
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    place = {"group": resource.group, "version": resource.version, "resource": resource.plural}
    part = {"subResource": operation.subresource} if operation.subresource else {}
    request: Obj = {"uid": uid, "kind": kind, "resource": place, **part, "requestKind": kind, "requestResource": place}
    request |= {"requestSubResource": operation.subresource} if operation.subresource else {}
    request |= {key: value for key, value in (("name", operation.name), ("namespace", operation.namespace)) if value}
    request |= {
        "operation": operation.verb,
        "userInfo": user.info(),
        "object": operation.new,
        "oldObject": operation.old,
        "dryRun": dry_run,
        "options": options,
    }
    return {"kind": "AdmissionReview", "apiVersion": _version(hook), "request": request}


def _version(hook: Hook) -> str:
    offered = hook.data.get("admissionReviewVersions") or ()
    return f"admission.k8s.io/{next((version for version in offered if version in _VERSIONS), 'v1')}"


def verdict(hook: Hook, asked: Obj, body: bytes) -> Verdict:
    """What an answer means.

    Args:
        hook: Who answered.
        asked: The AdmissionReview that it was sent.
        body: Its answer.

    Raises:
        HookFailedError: It means nothing.
    """
    response = _response(asked, body)
    warnings = tuple(str(text) for text in response.get("warnings") or ())
    if not response.get("allowed"):
        return Verdict(warnings, refusal=_refusal(hook, response.get("status") or response.get("result")))
    if not response.get("patch"):
        return Verdict(warnings)
    if not hook.mutating:
        raise HookFailedError("webhook response contains patch, which is not allowed for validating webhooks")
    return Verdict(warnings, _patched(asked, response))


def _response(asked: Obj, body: bytes) -> Obj:
    try:
        review = json.loads(body)
    except ValueError as error:
        raise HookFailedError(f"couldn't get version/kind; json parse error: {error}") from None
    given = (review.get("apiVersion"), review.get("kind")) if isinstance(review, dict) else (None, None)
    wanted = (asked["apiVersion"], asked["kind"])
    if given != wanted:
        raise HookFailedError(
            f"expected webhook response of {wanted[0]}, Kind={wanted[1]}, got {given[0] or ''}, Kind={given[1] or ''}"
        )
    response = review.get("response")
    if not isinstance(response, dict):
        raise HookFailedError("webhook response was absent")
    uid = asked["request"]["uid"]
    if response.get("uid", "") != uid:
        raise HookFailedError(f"expected response.uid={quoted(uid)}, got {quoted(str(response.get('uid', '')))}")
    return response


def _refusal(hook: Hook, status: Any) -> ApiError:
    status = status if isinstance(status, dict) else {}
    code = status.get("code")
    code = code if isinstance(code, int) and code >= 400 else 400
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    words = f"admission webhook {quoted(hook.name)} denied the request"
    why = message or reason
    details = status.get("details")
    return ApiError(code, reason, f"{words}: {why}" if why else f"{words} without explanation", details or {})


def _patched(asked: Obj, response: Obj) -> Obj:
    if response.get("patchType") != "JSONPatch":
        raise HookFailedError("webhook returned response.patch but not response.patchType")
    try:
        patch = json.loads(base64.b64decode(response["patch"], validate=True))
        patched = apply_json_patch(asked["request"]["object"], patch)
    except (binascii.Error, ValueError, TypeError, PatchError) as error:
        raise HookFailedError(f"cannot apply the patch: {error}") from error
    if not isinstance(patched, dict):
        raise HookFailedError("the patch leaves no object")
    return patched


def failed(hook: Hook, error: HookFailedError) -> ApiError:
    """500: a webhook that must be asked could not be."""
    return internal(f"failed calling webhook {quoted(hook.name)}: {error}")


def not_dry(hook: Hook) -> ApiError:
    """400: a dry run would have effects."""
    return bad_request(f"admission webhook {quoted(hook.name)} does not support dry run")
