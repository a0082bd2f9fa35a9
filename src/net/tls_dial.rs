//! One TLS connection to a `host:port`, up to the first bytes from the other end.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::limits::{CONNECT_DEADLINE, HANDSHAKE_DEADLINE, PREFACE_DEADLINE};
use crate::membership::server_name;

/// Reads of at least this many bytes go past the buffer; it only has to hold a first frame or an
/// alert.
const FIRST_BYTES: usize = 512;

/// A connection after TLS, on which the other end has spoken.
pub(super) type Dialled = BufReader<TlsStream<TcpStream>>;

/// Where dialling stopped.
#[derive(Debug)]
pub(super) enum DialFailure {
    /// The name has no address.
    NoAddress(io::Error),
    /// The connection or TLS.
    Failed(io::Error),
}

/// Dials `endpoint` and checks that its certificate is for `name`.
///
/// # Errors
/// [`DialFailure`].
pub(super) async fn dial_tls(
    endpoint: &str,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<Dialled, DialFailure> {
    let addresses = timeout(CONNECT_DEADLINE, lookup_host(endpoint))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(DialFailure::NoAddress)?;
    let addresses: Vec<_> = addresses.collect();
    let tcp = timeout(CONNECT_DEADLINE, TcpStream::connect(addresses.as_slice()))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(DialFailure::Failed)?;
    // Small requests must not wait for more; where the system refuses, they do.
    tcp.set_nodelay(true).ok();
    let name = server_name(name).map_err(|error| DialFailure::Failed(io::Error::other(error)))?;
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = timeout(HANDSHAKE_DEADLINE, connector.connect(name, tcp))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(DialFailure::Failed)?;
    // A TLS 1.3 client is done before the server has judged its certificate: the verdict is the
    // first thing to arrive, an alert or the HTTP/2 settings.
    let mut stream = BufReader::with_capacity(FIRST_BYTES, stream);
    let arrived = timeout(PREFACE_DEADLINE, stream.fill_buf())
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(DialFailure::Failed)?;
    if arrived.is_empty() {
        return Err(DialFailure::Failed(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(stream)
}
