"""Messages that break the contract, each with the status it gets; then that the node still serves."""

import json
import secrets

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

import oprf
from wire import PATIENCE_S, SPEC, channel, failure, peer, peer_service

OPEN = channel(SPEC["member_shown"])
STUB = peer_service.PeerStub(OPEN)
DESCRIPTION = STUB.Describe(peer.DescribeRequest(), timeout=PATIENCE_S)
EPOCH = DESCRIPTION.feeds[0].epoch
FAR = 8 << 40


def element():
    return oprf.blind(secrets.token_bytes(8), oprf.random_scalar())


def question(**changed):
    fields = {
        "request_id": secrets.token_bytes(16),
        "epoch": EPOCH,
        "purpose": "credit-application",
        "commitment": bytes(32),
        "elements": element(),
        "mirror_size": 0,
    }
    return peer.EvaluateRequest(**{**fields, **changed})


def evaluating(request, **call):
    return failure(lambda: STUB.Evaluate(request, timeout=PATIENCE_S, **call))


def streaming(**fields):
    request = peer.StreamFeedRequest(**{"epoch": EPOCH, **fields})
    return failure(lambda: list(STUB.StreamFeed(request, timeout=PATIENCE_S)))


def raw(method, content):
    call = OPEN.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    return failure(lambda: call(content, timeout=PATIENCE_S))


def replayed():
    request_id = secrets.token_bytes(16)
    STUB.Evaluate(question(request_id=request_id), timeout=PATIENCE_S)
    return evaluating(question(request_id=request_id))


def quota_left():
    return STUB.Describe(peer.DescribeRequest(), timeout=PATIENCE_S).quota_left


def services_by_reflection():
    """Names of the services, by the standard reflection service."""
    call = OPEN.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    answer = next(iter(call(asked, timeout=PATIENCE_S)))
    return sorted(service.name for service in answer.list_services_response.service)


def health():
    stub = health_pb2_grpc.HealthStub(OPEN)
    asked = health_pb2.HealthCheckRequest(service="creditmesh.v1.Peer")
    status = stub.Check(asked, timeout=PATIENCE_S).status
    return health_pb2.HealthCheckResponse.ServingStatus.Name(status)


EVALUATE = "/creditmesh.v1.Peer/Evaluate"
before = quota_left()
UNPAID = {
    "truncated_element": evaluating(question(elements=element()[:31])),
    "no_element": evaluating(question(elements=b"")),
    "too_many_elements": evaluating(question(elements=element() * 1_025)),
    "oversized_message": evaluating(question(elements=bytes(2 << 20))),
    "unknown_purpose": evaluating(question(purpose="marketing")),
    "short_request_id": evaluating(question(request_id=bytes(15))),
    "long_commitment": evaluating(question(commitment=bytes(33))),
    "unaligned_mirror": evaluating(question(mirror_size=7)),
    "mirror_beyond_the_feed": evaluating(question(mirror_size=FAR)),
    "epoch_not_live": evaluating(question(epoch=EPOCH + 9)),
    "list_version_in_words": evaluating(
        question(), metadata=[("creditmesh-list-version", "newest")]
    ),
    "not_protobuf": raw(EVALUATE, b"\xff" * 64),
    "cut_protobuf": raw(EVALUATE, question().SerializeToString()[:-3]),
    "unknown_method": raw("/creditmesh.v1.Peer/Enumerate", b""),
    "operator_method_for_peers": raw("/creditmesh.v1.Operator/ExportRecords", b""),
    "stream_from_beyond": streaming(**{"from": FAR}),
    "stream_unaligned": streaming(**{"from": 4}),
    "stream_until_before_from": streaming(**{"from": 16, "until": 8}),
    "stream_epoch_not_live": streaming(epoch=EPOCH + 9),
}
unpaid = before - quota_left()
PAID = {
    "identity_element": evaluating(question(elements=bytes(32))),
    "element_not_canonical": evaluating(question(elements=b"\xff" * 32)),
    "one_bad_among_good": evaluating(question(elements=element() + bytes(32) + element())),
    "replayed_request_id": replayed(),
}
full = STUB.Evaluate(
    question(elements=b"".join(element() for _ in range(1_024))), timeout=PATIENCE_S
)
until = 8
chunks = list(
    STUB.StreamFeed(
        peer.StreamFeedRequest(**{"epoch": EPOCH, "from": 0, "until": until}), timeout=PATIENCE_S
    )
)
print(
    json.dumps(
        {
            "refused": {**UNPAID, **PAID},
            "spent_on_unpaid": unpaid,
            "full_batch": len(full.elements),
            "streamed": sum(len(chunk.leaves) for chunk in chunks),
            "services": services_by_reflection(),
            "health": health(),
            "still_describes": quota_left() > 0,
        }
    )
)
