//! The gRPC server with every limit set: what the libraries leave open, a caller could let grow.

use std::time::Duration;

use tonic::transport::Server;
use tower::layer::util::{Identity, Stack};

use super::gate::Gate;
use super::operator::OperatorGate;
use super::registrar_gate::RegistrarGate;
use crate::limits::{
    CALL_DEADLINE, CALLS_PER_CONNECTION_MAX, CONNECTION_AGE_MAX, CONNECTION_WINDOW_BYTES,
    HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, LOCAL_RESETS_MAX,
    OPERATOR_CALL_DEADLINE, PENDING_RESETS_MAX, REGISTRAR_CALLS_PER_CONNECTION_MAX,
    STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION_MAX,
};

/// A server whose every service stands behind `gate`. Add services, then serve it over
/// [`super::Listener::incoming`].
///
/// The age of a connection has no grace period: with one, the server of tonic 0.14 would not
/// announce the end and only cut. Peers exchange their channels before that age anyway.
#[must_use]
pub fn gated_server(gate: Gate) -> Server<Stack<Gate, Identity>> {
    bounded(CALL_DEADLINE).layer(gate)
}

/// The same for operators on other machines, whose calls wait for peers and so may take longer.
#[must_use]
pub fn operator_gated_server(gate: OperatorGate) -> Server<Stack<OperatorGate, Identity>> {
    bounded(OPERATOR_CALL_DEADLINE).layer(gate)
}

/// The registrar's server: strangers may call it, so a connection carries few calls at once.
#[must_use]
pub fn registrar_gated_server(gate: RegistrarGate) -> Server<Stack<RegistrarGate, Identity>> {
    bounded(CALL_DEADLINE)
        .concurrency_limit_per_connection(REGISTRAR_CALLS_PER_CONNECTION_MAX)
        .layer(gate)
}

pub(super) fn bounded(call_deadline: Duration) -> Server {
    Server::builder()
        .concurrency_limit_per_connection(CALLS_PER_CONNECTION_MAX)
        .load_shed(true)
        .timeout(call_deadline)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_adaptive_window(Some(false))
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS_MAX))
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_connection_age(CONNECTION_AGE_MAX)
        .accept_http1(false)
}
