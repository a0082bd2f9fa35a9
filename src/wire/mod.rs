//! The only room that knows protobuf: messages in and out of the domain, with one error at the border.
