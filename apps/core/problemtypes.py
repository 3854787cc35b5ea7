"""The kinds of problems that clients are told of: what each means, and what can be done about it.

Each has an address of its own, ``/problems/<name>``, which is the ``type`` of such problems.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProblemType:
    """One kind of problem. *name* never changes; the texts may."""

    name: str
    title: str
    #: The HTTP statuses that come with it.
    statuses: tuple[int, ...]
    meaning: str
    #: What whoever gets it can do.
    remedy: str


_TYPES = (
    ProblemType(
        "invalid-request", "The request is not valid", (400,),
        "A field, a parameter or a header is not as it has to be; `errors` names each of them.",
        "Correct what `errors` names, and send the request again.",
    ),
    ProblemType(
        "malformed-body", "The body could not be parsed", (400,),
        "The body is not of the media type that it is said to be: no JSON, no UTF-8, or nested too deeply.",
        "Check how the body is made, and its `Content-Type`.",
    ),
    ProblemType(
        "not-authenticated", "Credentials are missing or wrong", (401,),
        "The address asks who you are, and the request does not say it, or not truly.",
        "Send a token that is valid: `Authorization: Token …`, from `POST /api/v1/auth/login`.",
    ),
    ProblemType(
        "permission-denied", "This is not allowed to you", (403,),
        "It is known who you are, and you may not do this.",
        "Ask somebody who may, or for the permission that `detail` names.",
    ),
    ProblemType(
        "insufficient-scope", "The key was not granted this", (403,),
        "An API key may do what its scopes say, and this needs the one that `required_scope` names.",
        "Make a key with that scope, or let a credential that has it make the request.",
    ),
    ProblemType(
        "not-found", "There is nothing at this address", (404,),
        "There is no such thing, or it is not yours.",
        "Check the address and the id in it.",
    ),
    ProblemType(
        "method-not-allowed", "The method is not allowed here", (405,),
        "There is something at this address, and this cannot be done to it.",
        "The header `Allow` lists the methods that can be used.",
    ),
    ProblemType(
        "not-acceptable", "None of the accepted media types is available", (406,),
        "The header `Accept` leaves nothing that could be answered.",
        "Accept one of the media types that `detail` names, or leave the header out.",
    ),
    ProblemType(
        "content-too-large", "The body is larger than is taken", (413,),
        "The body has more bytes, or holds more, than is taken at once.",
        "Send less at a time.",
    ),
    ProblemType(
        "unsupported-media-type", "The body's media type is not supported", (415,),
        "The address takes no bodies of this `Content-Type`.",
        "Send JSON as `application/json`, or what the reference of the operation names.",
    ),
    ProblemType(
        "conflict", "The request conflicts with what is there", (409,),
        "What the request is about is in a state in which this cannot be done.",
        "Look at how it stands now, and decide again.",
    ),
    ProblemType(
        "missing-candles", "Candles that are needed are missing", (409,),
        "Minutes of the range are not stored and nobody knows why; `gaps` lists them.",
        "Have them fetched (`missing: fetch`, or a backfill), or run without them (`missing: ignore`).",
    ),
    ProblemType(
        "idempotency-key-reused", "The idempotency key came with another request", (409,),
        "A request with this `Idempotency-Key` was answered, and its address or body was another.",
        "Make a new key for every new request; repeat a request with the same body.",
    ),
    ProblemType(
        "idempotency-in-progress", "The request with this key is being answered", (409,),
        "Another request with this `Idempotency-Key` has not ended yet.",
        "Repeat it after the seconds that `Retry-After` says: then its answer is there.",
    ),
    ProblemType(
        "precondition-failed", "It has changed since it was read", (412,),
        "What is there is not what the header `If-Match` names. Nothing was changed.",
        "Read it again, and decide again; its `ETag` is what `If-Match` takes.",
    ),
    ProblemType(
        "worker-fenced", "The worker's token is not its user's any more", (409,),
        "The worker was declared dead, has stopped, or another one follows it. Nothing was written.",
        "Stop working; begin a new session if there is still something to do.",
    ),
    ProblemType(
        "webhook-disabled", "The webhook is disabled", (403,),
        "The endpoint takes no signals.",
        "Switch it, or its account, on again.",
    ),
    ProblemType(
        "webhook-address", "The webhook takes nothing from this address", (403,),
        "The sender's address is not among those that the endpoint allows.",
        "Change the endpoint's `allowed_addresses`, or send from another address.",
    ),
    ProblemType(
        "webhook-expired", "The signal's time is not now", (401,),
        "The signal is older than the endpoint's window, or from the future.",
        "Send signals at once; set the sender's clock; widen `window_seconds`.",
    ),
    ProblemType(
        "webhook-secret", "The secret or the signature is missing or wrong", (401,),
        "The endpoint asks for a secret or a signature that the signal does not have.",
        "Put the secret that was shown once into the message, or have a new one made.",
    ),
    ProblemType(
        "webhook-replay", "The key came with another signal", (409,),
        "A signal with this key was taken, and it said something else.",
        "Give every signal a key of its own.",
    ),
    ProblemType(
        "webhook-plan", "The account may not trade so", (403,),
        "The account's plan or its settings do not allow what the signal asks for.",
        "Trade on paper, or have the plan or the account changed.",
    ),
    ProblemType(
        "address-denied", "Nothing is served to this address", (403,),
        "Operators have shut out the network that the request comes from.",
        "Ask the operators.",
    ),
    ProblemType(
        "too-many-requests", "Too many requests", (429,),
        "A limit is used up: `violated-policies` names it, and `RateLimit-Policy` what it is.",
        "Wait for the seconds that `Retry-After` says, and ask less often.",
    ),
    ProblemType(
        "daily-limit", "The account's orders of the day are used up", (429,),
        "The account has asked for as many orders today (UTC) as its plan or limit allows.",
        "Wait for the next day, or have the limit raised.",
    ),
    ProblemType(
        "unavailable", "Not possible just now", (503,),
        "Something that is needed for this does not answer, or is not set up; `detail` says what.",
        "Try again later, after `Retry-After` where there is one; tell the operators if it stays.",
    ),
    ProblemType(
        "server-error", "The server failed", (500,),
        "A fault of ours. It was logged under the `request_id`.",
        "Repeat the request once, with the same `Idempotency-Key`; then tell the operators the `request_id`.",
    ),
)  # fmt: skip

#: By name, in the order in which they are documented.
PROBLEM_TYPES = {one.name: one for one in _TYPES}
