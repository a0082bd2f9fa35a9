//! The way from an operator's machine to the node, and the exact reason where there is none.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::words::{self, IssuedBy, OwnSide};
use crate::env::Clock;
use crate::limits::{
    CONNECT_DEADLINE, HANDSHAKE_DEADLINE, HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL,
    KEEPALIVE_TIMEOUT, PREFACE_DEADLINE,
};
use crate::membership::{
    OPERATOR_SERVER_NAME, OperatorCertificate, OperatorCredentials, server_name,
};

/// Reads of at least this many bytes go past the buffer; it only has to hold a first frame or an
/// alert.
const FIRST_BYTES: usize = 512;

/// Why there is no connection to a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{endpoint}: {reason}")]
pub struct OperatorDialError {
    /// `host:port`.
    pub endpoint: String,
    /// What happened, and what to do.
    pub reason: String,
    /// Whether one end refused the other's certificate, rather than that nobody was reached.
    pub refused: bool,
}

#[derive(Debug, Clone)]
struct Route {
    endpoint: String,
    config: Arc<ClientConfig>,
    leaf: OperatorCertificate,
    clock: Arc<dyn Clock>,
}

type Dialled = BufReader<TlsStream<TcpStream>>;

/// Connects to a node's operator service at `endpoint`, a `host:port`. The channel connects again
/// where its connection ended.
///
/// # Errors
/// [`OperatorDialError`], which says in words what is wrong.
pub async fn operator_channel(
    endpoint: &str,
    credentials: &OperatorCredentials,
    clock: Arc<dyn Clock>,
) -> Result<Channel, OperatorDialError> {
    let failed = |reason: String| OperatorDialError {
        endpoint: endpoint.to_owned(),
        reason,
        refused: false,
    };
    let config = credentials.client(&clock);
    let route = Route {
        endpoint: endpoint.to_owned(),
        config: config.map_err(|error| failed(error.to_string()))?,
        leaf: credentials.leaf().clone(),
        clock,
    };
    // The first connection is made here: through the channel its reason would come out wrapped.
    let first = Arc::new(Mutex::new(Some(route.dial().await?)));
    let connector = service_fn(move |_: Uri| {
        let route = route.clone();
        let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            let stream = match first {
                Some(stream) => stream,
                None => route.dial().await?,
            };
            Ok::<_, OperatorDialError>(TokioIo::new(stream))
        }
    });
    // `http`, because TLS is the connector's business; the name is never resolved.
    Endpoint::from_shared(format!("http://{OPERATOR_SERVER_NAME}"))
        .map_err(|error| failed(error.to_string()))?
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .connect_with_connector(connector)
        .await
        .map_err(|error| failed(error.to_string()))
}

impl Route {
    fn failure(&self, error: &io::Error) -> OperatorDialError {
        let own = OwnSide {
            issuer: IssuedBy::OperatorAuthority,
            not_before: self.leaf.not_before(),
            not_after: self.leaf.not_after(),
            now: self.clock.now(),
        };
        OperatorDialError {
            endpoint: self.endpoint.clone(),
            reason: words::of_server(error, &own),
            refused: words::is_refusal(error),
        }
    }

    async fn dial(&self) -> Result<Dialled, OperatorDialError> {
        let failure = |error: io::Error| self.failure(&error);
        let addresses = timeout(CONNECT_DEADLINE, lookup_host(&self.endpoint))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|error| OperatorDialError {
                endpoint: self.endpoint.clone(),
                reason: format!("no address is known by that name ({error}); give HOST:PORT"),
                refused: false,
            })?;
        let addresses: Vec<_> = addresses.collect();
        let tcp = timeout(CONNECT_DEADLINE, TcpStream::connect(addresses.as_slice()))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(failure)?;
        // Small requests must not wait for more; where the system refuses, they do.
        tcp.set_nodelay(true).ok();
        let name = server_name(OPERATOR_SERVER_NAME)
            .map_err(|error| self.failure(&io::Error::other(error)))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = timeout(HANDSHAKE_DEADLINE, connector.connect(name, tcp))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(failure)?;
        // A TLS 1.3 client is done before the server has judged its certificate: the verdict is
        // the first thing to arrive, an alert or the HTTP/2 settings.
        let mut stream = BufReader::with_capacity(FIRST_BYTES, stream);
        let arrived = timeout(PREFACE_DEADLINE, stream.fill_buf())
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(failure)?;
        if arrived.is_empty() {
            return Err(self.failure(&io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(stream)
    }
}
