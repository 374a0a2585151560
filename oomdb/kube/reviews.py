"""Asking the API server what we may do: the request and the answer of a SelfSubjectAccessReview."""

from dataclasses import KW_ONLY, dataclass

import msgspec

from oomdb.kube.failures import MESSAGE_CHARACTERS, to_plain

REVIEW_PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

_KIND = "SelfSubjectAccessReview"


@dataclass(frozen=True, slots=True)
class AccessReview:
    """One thing that we would do; `group` is '' for the core API, `namespace` is '' for the whole cluster."""

    verb: str
    resource: str
    _: KW_ONLY
    group: str = ""
    subresource: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class AccessAnswer:
    """Whether we may do it; `reason` is the server's word for it, '' where it has none."""

    allowed: bool
    reason: str = ""


def encode_review(access: AccessReview) -> bytes:
    """Return the body to POST to REVIEW_PATH (k8s.io/api authorization/v1/types.go, SelfSubjectAccessReviewSpec)."""
    attributes = {
        "namespace": access.namespace,
        "verb": access.verb,
        "group": access.group,
        "resource": access.resource,
        "subresource": access.subresource,
    }
    review = {
        "kind": _KIND,
        "apiVersion": "authorization.k8s.io/v1",
        # what is left out means every namespace and no subresource
        "spec": {"resourceAttributes": {name: value for name, value in attributes.items() if value}},
    }
    return msgspec.json.encode(review)


def decode_review(body: bytes | bytearray) -> AccessAnswer:
    """Return what the server answered (k8s.io/api authorization/v1/types.go, SubjectAccessReviewStatus).

    Raises:
        msgspec.DecodeError: for anything but a review.
    """
    review = _REVIEW.decode(body)
    if review.kind != _KIND:
        raise msgspec.ValidationError(f"Expected `{_KIND}`, got `{review.kind}` - at `$.kind`")
    status = review.status
    # an error of one authorizer does not keep another one from allowing, so `allowed` has the last word
    return AccessAnswer(status.allowed, to_plain(status.reason or status.evaluation_error, MESSAGE_CHARACTERS))


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    allowed: bool
    reason: str = ""
    evaluation_error: str = ""


class _Review(msgspec.Struct, frozen=True):
    kind: str
    status: _Status


_REVIEW = msgspec.json.Decoder(_Review)
