//! The way from an operator's machine to the node, and the exact reason where there is none.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::tls_dial::{DialFailure, Dialled, dial_tls};
use super::words::{self, IssuedBy, OwnSide};
use crate::env::Clock;
use crate::limits::{HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT};
use crate::membership::{OPERATOR_SERVER_NAME, OperatorCertificate, OperatorCredentials};

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
        let dialled = dial_tls(&self.endpoint, OPERATOR_SERVER_NAME, &self.config).await;
        dialled.map_err(|failure| match failure {
            DialFailure::NoAddress(error) => OperatorDialError {
                endpoint: self.endpoint.clone(),
                reason: format!("no address is known by that name ({error}); give HOST:PORT"),
                refused: false,
            },
            DialFailure::Failed(error) => self.failure(&error),
        })
    }
}
