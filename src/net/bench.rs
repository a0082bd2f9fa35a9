//! What mutual TLS and the gate cost: empty calls through them, beside the same calls in plaintext.
//!
//! The plaintext listener exists here only, on a loopback port that the system chooses, for as long
//! as the measurement runs. Quota and audit log have no part in an empty call.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tonic::Status;
use tonic::transport::Endpoint;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use super::NodeTls;
use super::gate::Gate;
use super::listen::{ListenLimits, Listener};
use super::serve::{bounded, gated_server};
use super::transport::{PeerChannel, TlsTransport, Transport};
use super::trust::TrustHandle;
use crate::crypto::bench::BenchRow;
use crate::domain::{Currency, InvalidName, Role};
use crate::env::{Clock, Entropy, SystemClock};
use crate::limits::{
    CALL_DEADLINE, CHANNEL_CONNECTION_WINDOW_BYTES, CHANNEL_STREAM_WINDOW_BYTES,
    HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
};
use crate::membership::{MintError, MintedNetwork, Refusal, Seat, TrustError};

/// Calls under way at once.
const IN_FLIGHT: usize = 64;

/// Rounds of each side at least.
const ROUNDS_MIN: usize = 9;

/// Calls that a round makes for each one in flight.
const CALLS_EACH: usize = 40;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A socket.
    #[error("no loopback socket: {0}")]
    Socket(#[from] io::Error),
    /// The network could not be minted.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// A name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// TLS.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The member is not on its own list.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The plaintext channel.
    #[error("no channel: {0}")]
    Channel(#[from] tonic::transport::Error),
    /// A call failed.
    #[error("an empty call failed: {0}")]
    Call(Box<Status>),
    /// A task ended early.
    #[error("a task ended early: {0}")]
    Task(#[from] JoinError),
}

/// Measures empty calls with 64 under way on one connection, for about `cpu` of each side and at
/// least nine rounds of each. Both sides take turns, round by round, in this process: the figure is
/// the user and system time of both ends together, median over the rounds.
///
/// # Errors
/// [`BenchError`].
pub async fn lookup(cpu: Duration, entropy: &dyn Entropy) -> Result<BenchRow, BenchError> {
    let mut servers = JoinSet::new();
    let (plain, gated) = tokio::try_join!(plaintext(), mutual_tls(entropy))?;
    let (plain, plain_server) = plain;
    let (gated, gated_server) = gated;
    servers.spawn(plain_server);
    servers.spawn(gated_server);
    // The first calls connect.
    round(&plain).await?;
    round(&gated).await?;
    let mut rounds = (Vec::new(), Vec::new());
    let mut spent = Duration::ZERO;
    while spent < cpu || rounds.0.len() < ROUNDS_MIN {
        let ours = round(&gated).await?;
        spent += ours;
        rounds.0.push(ours);
        rounds.1.push(round(&plain).await?);
    }
    servers.shutdown().await;
    let (ours, ceiling) = (median(rounds.0), median(rounds.1));
    let calls = u32::try_from(IN_FLIGHT * CALLS_EACH).map_or(f64::INFINITY, f64::from);
    let per_call = |round: Duration| round.as_secs_f64() * 1e6 / calls;
    Ok(BenchRow {
        name: "empty call, both ends",
        batch: IN_FLIGHT,
        cpu_us_per_element: per_call(ours),
        ceiling_cpu_us_per_element: per_call(ceiling),
        ratio: ours.as_secs_f64() / ceiling.as_secs_f64(),
        bytes_per_element: 0.0,
    })
}

/// A channel, and the server at its end.
type Side = (PeerChannel, BoxFuture<'static, ()>);

async fn plaintext() -> Result<Side, BenchError> {
    let (socket, address) = socket().await?;
    let (_, health) = tonic_health::server::health_reporter();
    let router = bounded(CALL_DEADLINE).add_service(health);
    let serving = Box::pin(async move {
        // As the other side's listener does: without it, the kernel would send several answers at
        // once.
        let incoming = TcpIncoming::from(socket).with_nodelay(Some(true));
        drop(router.serve_with_incoming(incoming).await);
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(CHANNEL_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CHANNEL_CONNECTION_WINDOW_BYTES)
        .http2_adaptive_window(false)
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    let channel = endpoint
        .connect_lazy()
        .map_err(|error| Status::from_error(error.into()));
    Ok((BoxCloneSyncService::new(channel), serving))
}

async fn mutual_tls(entropy: &dyn Entropy) -> Result<Side, BenchError> {
    let (socket, address) = socket().await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (asker, answerer) = ("asker".parse()?, "answerer".parse()?);
    let seats = [
        Seat::of(&asker, Role::Lender, &address.to_string())?,
        Seat::of(&answerer, Role::Lender, &address.to_string())?,
    ];
    let (network, now) = ("bench-net".parse()?, clock.now());
    let net = MintedNetwork::mint(&network, Currency::USD, &seats, now, entropy)?;
    let trust = || TrustHandle::new(net.root.clone(), net.roster.clone(), Arc::clone(&clock));
    let trusted = trust();
    let tls = NodeTls::new(&trusted, &net.own_certificate(&answerer)?)?;
    let listener = Listener::over(socket, tls, ListenLimits::default());
    let (_, health) = tonic_health::server::health_reporter();
    let router = gated_server(Gate::new(trusted)).add_service(health);
    let serving = Box::pin(async move {
        drop(router.serve_with_incoming(listener.incoming()).await);
    });
    let tls = NodeTls::new(&trust(), &net.own_certificate(&asker)?)?;
    let channel = TlsTransport::new(tls).channel(net.roster.listed(&answerer)?);
    Ok((channel, serving))
}

async fn socket() -> Result<(TcpListener, SocketAddr), BenchError> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// CPU time of this process for one round of calls.
async fn round(channel: &PeerChannel) -> Result<Duration, BenchError> {
    let start = process_cpu();
    let mut calls = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let mut client = HealthClient::new(channel.clone());
        calls.spawn(async move {
            for _ in 0..CALLS_EACH {
                client.check(HealthCheckRequest::default()).await?;
            }
            Ok::<(), Status>(())
        });
    }
    while let Some(ended) = calls.join_next().await {
        ended?.map_err(|status| BenchError::Call(Box::new(status)))?;
    }
    Ok(process_cpu().saturating_sub(start))
}

fn median(mut rounds: Vec<Duration>) -> Duration {
    rounds.sort_unstable();
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

/// User and system time of this process so far.
fn process_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SeededEntropy;

    #[tokio::test(flavor = "multi_thread")]
    async fn gated_calls_are_measured_beside_plaintext_ones() {
        let row = lookup(Duration::ZERO, &SeededEntropy::from_seed(1)).await;
        let row = row.unwrap();
        assert_eq!(row.batch, IN_FLIGHT);
        assert!(row.cpu_us_per_element > 0.0 && row.ceiling_cpu_us_per_element > 0.0);
    }
}
