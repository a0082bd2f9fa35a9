//! One POST to the lender's own system: over TLS, or in plaintext on this machine alone.

use std::io;
use std::sync::Arc;

use http::{Request, Uri};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::authorities::authorities;
use crate::limits::{CONNECT_DEADLINE, HANDSHAKE_DEADLINE, WEBHOOK_DEADLINE};
use crate::membership::server_name;

/// Why a post did not come to an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The address is not one that alerts may be posted to.
    #[error(
        "must be an https address such as https://crm.example/alerts; http only to this machine, \
         such as http://127.0.0.1:8080/alerts"
    )]
    Address,
    /// The certificates that a receiver's own must lead to cannot be read.
    #[error("no authority's certificate can be read ({0}): name a PEM file in `webhook_ca_file`")]
    Authorities(String),
    /// No connection.
    #[error("the receiver cannot be reached: {0}")]
    Connect(io::Error),
    /// The receiver answered in another way than HTTP/1.1 asks, or not at all.
    #[error("the receiver gives no answer: {0}")]
    Answer(String),
    /// The receiver takes too long.
    #[error("the receiver gives no answer within {} s", WEBHOOK_DEADLINE.as_secs())]
    Late,
}

/// The way to one receiver.
#[derive(Debug)]
pub struct WebhookClient {
    host: String,
    authority: String,
    port: u16,
    target: Uri,
    tls: Option<Arc<ClientConfig>>,
}

impl WebhookClient {
    /// A client for this address. A receiver's certificate must lead to one in `authorities_pem`
    /// or, without it, to one that the system trusts.
    ///
    /// # Errors
    /// [`WebhookError::Address`], [`WebhookError::Authorities`].
    pub fn new(address: &str, authorities_pem: Option<&str>) -> Result<Self, WebhookError> {
        let uri: Uri = address.parse().map_err(|_| WebhookError::Address)?;
        let authority = uri.authority().ok_or(WebhookError::Address)?;
        if authority.as_str().contains('@') {
            return Err(WebhookError::Address);
        }
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_loopback(authority.host()) => false,
            _ => return Err(WebhookError::Address),
        };
        let tls = match is_tls {
            true => Some(Arc::new(config(
                authorities(authorities_pem).map_err(WebhookError::Authorities)?,
            )?)),
            false => None,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            authority: authority.as_str().to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if is_tls { 443 } else { 80 }),
            target: path.parse().map_err(|_| WebhookError::Address)?,
            tls,
        })
    }

    /// Posts a JSON object; gives the status code. Redirections are not followed.
    ///
    /// # Errors
    /// [`WebhookError`] where there is no answer.
    pub async fn post(
        &self,
        headers: &[(&str, String)],
        body: String,
    ) -> Result<u16, WebhookError> {
        let answer = timeout(WEBHOOK_DEADLINE, self.attempt(headers, body)).await;
        answer.unwrap_or(Err(WebhookError::Late))
    }

    async fn attempt(&self, headers: &[(&str, String)], body: String) -> Result<u16, WebhookError> {
        let address = (self.host.as_str(), self.port);
        let tcp = timeout(CONNECT_DEADLINE, TcpStream::connect(address)).await;
        let tcp = tcp
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(WebhookError::Connect)?;
        match &self.tls {
            None => self.exchange(tcp, headers, body).await,
            Some(config) => {
                let name = server_name(&self.host)
                    .map_err(|error| WebhookError::Connect(io::Error::other(error)))?;
                let connector = TlsConnector::from(Arc::clone(config));
                let stream = timeout(HANDSHAKE_DEADLINE, connector.connect(name, tcp)).await;
                let stream = stream
                    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                    .map_err(WebhookError::Connect)?;
                self.exchange(stream, headers, body).await
            }
        }
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        headers: &[(&str, String)],
        body: String,
    ) -> Result<u16, WebhookError> {
        let failed = |error: &dyn std::error::Error| WebhookError::Answer(error.to_string());
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| failed(&error))?;
        let mut request = Request::post(self.target.clone())
            .header(http::header::HOST, &self.authority)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::USER_AGENT, "creditmesh");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(bytes::Bytes::from(body)));
        let request = request.map_err(|error| failed(&error))?;
        // The connection works while the answer is waited for, and ends with it.
        let answer = sender.send_request(request);
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answered = &mut answer => answered,
            ended = connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(error),
            },
        }
        .map(|response| response.status().as_u16())
        .map_err(|error| failed(&error))
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    let is_loopback = |address: std::net::IpAddr| address.is_loopback();
    host == "localhost" || host.parse().is_ok_and(is_loopback)
}

fn config(roots: RootCertStore) -> Result<ClientConfig, WebhookError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13]);
    let builder = builder.map_err(|error| WebhookError::Authorities(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_stays_on_this_machine() {
        for sound in [
            "http://127.0.0.1:8080/alerts",
            "http://[::1]:8080/alerts",
            "http://localhost/alerts?a=b",
        ] {
            assert!(WebhookClient::new(sound, None).is_ok(), "{sound}");
        }
        for refused in [
            "http://crm.example/alerts",
            "http://10.0.0.7/alerts",
            "ftp://127.0.0.1/",
            "127.0.0.1:80",
            "https://user:word@crm.example/",
            "",
        ] {
            let error = WebhookClient::new(refused, None).unwrap_err();
            assert!(matches!(error, WebhookError::Address), "{refused}: {error}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let refused = WebhookClient::new("https://crm.example/alerts", Some("no PEM"));
        assert!(matches!(refused, Err(WebhookError::Authorities(_))));
    }
}
