"""`shapes.proto`, compiled when it is asked for: it is for tests, and so not among the contracts."""

import tempfile
from functools import cache
from pathlib import Path

from google.protobuf import (
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message
from grpc_tools import protoc

IMPORTED = (duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)


@cache
def shape() -> type[Message]:
    folder = Path(__file__).parent
    google = Path(protoc.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as made:
        described = Path(made, "shapes.binpb")
        options = [f"-I{folder}", f"-I{google}", f"--descriptor_set_out={described}"]
        assert protoc.main(["protoc", *options, str(folder / "shapes.proto")]) == 0
        (file,) = FileDescriptorSet.FromString(described.read_bytes()).file
    descriptor_pool.Default().Add(file)
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName("astronote.shapes.v1.Shape"))
