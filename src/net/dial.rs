//! Opening a connection to a member: its endpoints one after the other, the next one a moment after
//! one that does not answer (RFC 8305, section 5), and the exact reason where all fail.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connections::Opened;
use super::node_tls::NodeTls;
use super::stream::PeerStream;
use super::words::{self, IssuedBy, OwnSide};
use crate::domain::MemberId;
use crate::limits::{CONNECT_DEADLINE, DIAL_NEXT_AFTER, HANDSHAKE_DEADLINE, PREFACE_DEADLINE};
use crate::membership::{PeerCertificate, Refusal, dns_name_of, server_name};

/// Reads of at least this many bytes go past the buffer; it only has to hold a first frame or an
/// alert.
const FIRST_BYTES: usize = 512;

/// A connection that this node opened, after TLS.
pub(super) type DialledStream = PeerStream<BufReader<TlsStream<TcpStream>>>;

/// One endpoint and why it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// `host:port`.
    pub endpoint: String,
    /// What happened, and what to do.
    pub reason: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.reason)
    }
}

/// Why there is no connection to a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The list in force here does not admit the member, or it is another one that answered.
    #[error("this node does not talk to {member}: {refusal}; {}", refusal.next_step())]
    Refused {
        /// Who was called.
        member: MemberId,
        /// Why not.
        refusal: Refusal,
    },
    /// The member list names no endpoint.
    #[error("the member list names no endpoint of {member}; its operator must state one")]
    NoEndpoint {
        /// Who was called.
        member: MemberId,
    },
    /// Every endpoint failed.
    #[error("cannot reach {member}: {}", listed(attempts))]
    Unreachable {
        /// Who was called.
        member: MemberId,
        /// The endpoints in the order in which they were tried.
        attempts: Vec<Attempt>,
    },
}

fn listed(attempts: &[Attempt]) -> String {
    let texts: Vec<String> = attempts.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// Opens a connection to `member` by the list in force. Its endpoints are tried from the one that
/// `turn` names, counted round, so that connections spread over the replicas that they belong to.
///
/// # Errors
/// [`DialError`].
pub(super) async fn dial(
    tls: &NodeTls,
    member: &MemberId,
    turn: u64,
) -> Result<DialledStream, DialError> {
    let (trust, roster) = (tls.trust(), tls.trust().roster());
    let entry = trust
        .may_call(member)
        .and_then(|()| roster.listed(member))
        .map_err(|refusal| DialError::Refused {
            member: member.clone(),
            refusal,
        })?;
    if entry.endpoints.is_empty() {
        return Err(DialError::NoEndpoint {
            member: member.clone(),
        });
    }
    match first_of(tls, member, &entry.endpoints, turn).await {
        Ok(stream) => Ok(stream),
        Err(Failed::Refused(refusal)) => Err(DialError::Refused {
            member: member.clone(),
            refusal,
        }),
        Err(Failed::All(attempts)) => Err(DialError::Unreachable {
            member: member.clone(),
            attempts,
        }),
    }
}

/// Why none of several endpoints gave a connection.
enum Failed {
    Refused(Refusal),
    All(Vec<Attempt>),
}

/// The first connection that one of these endpoints gives; attempts that are still under way then
/// end. A refusal by the list in force ends all.
async fn first_of(
    tls: &NodeTls,
    member: &MemberId,
    endpoints: &[String],
    turn: u64,
) -> Result<DialledStream, Failed> {
    let count = endpoints.len();
    let first = usize::try_from(turn % count.max(1) as u64).unwrap_or(0);
    let in_turn = endpoints.iter().enumerate().cycle().skip(first).take(count);
    let mut waiting = in_turn.collect::<Vec<_>>().into_iter();
    let mut dialling = FuturesUnordered::new();
    let mut attempts = BTreeMap::new();
    loop {
        if let Some((place, endpoint)) = waiting.next() {
            let dialled = dial_endpoint(tls, member, endpoint);
            dialling.push(dialled.map(move |dialled| (place, endpoint, dialled)));
        }
        let ended = if waiting.len() == 0 {
            dialling.next().await
        } else {
            let Ok(ended) = timeout(DIAL_NEXT_AFTER, dialling.next()).await else {
                continue;
            };
            ended
        };
        match ended {
            None => return Err(Failed::All(attempts.into_values().collect())),
            Some((_, _, Ok(stream))) => return Ok(stream),
            Some((_, _, Err(Failure::Refused(refusal)))) => return Err(Failed::Refused(refusal)),
            Some((place, endpoint, Err(Failure::Words(reason)))) => {
                let endpoint = endpoint.clone();
                attempts.insert(place, Attempt { endpoint, reason });
            }
        }
    }
}

enum Failure {
    Words(String),
    Refused(Refusal),
}

async fn dial_endpoint(
    tls: &NodeTls,
    member: &MemberId,
    endpoint: &str,
) -> Result<DialledStream, Failure> {
    let trust = tls.trust();
    let current = tls.current();
    let in_words = |error: io::Error| {
        Failure::Words(words::of_server(
            &error,
            &OwnSide {
                issuer: IssuedBy::Network,
                not_before: current.leaf.not_before(),
                not_after: current.leaf.not_after(),
                now: trust.clock().now(),
            },
        ))
    };
    let tcp = timeout(CONNECT_DEADLINE, TcpStream::connect(endpoint))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(&in_words)?;
    // Small requests must not wait for more; where the system refuses, they do.
    tcp.set_nodelay(true).ok();
    let name = server_name(&dns_name_of(trust.network(), member))
        .map_err(|error| Failure::Words(error.to_string()))?;
    let connector = TlsConnector::from(Arc::clone(&current.configs.client));
    let stream = timeout(HANDSHAKE_DEADLINE, connector.connect(name, tcp))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(&in_words)?;
    let certificate = peer_certificate(&stream)?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain = chain.to_vec();
    let registration = trust
        .connections()
        .register(
            certificate,
            chain.clone(),
            Opened::ByUs,
            trust.clock().uptime(),
        )
        .map_err(|error| Failure::Words(error.to_string()))?;
    // Registered first: a list or root that is installed from here on cuts this connection too.
    if trust.root().version() != current.root_version && !trust.leads(&chain) {
        let reason = "its certificate led to a root that was just replaced; it must renew";
        return Err(Failure::Words(reason.to_owned()));
    }
    trust
        .admit_as(member, registration.connection().certificate())
        .map_err(Failure::Refused)?;
    // A TLS 1.3 client is done before the server has judged its certificate: the verdict is the
    // first thing to arrive, an alert or the HTTP/2 settings. Waiting for it makes the reason
    // exact.
    let mut stream = BufReader::with_capacity(FIRST_BYTES, stream);
    let arrived = timeout(PREFACE_DEADLINE, stream.fill_buf())
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(&in_words)?;
    if arrived.is_empty() {
        return Err(in_words(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(PeerStream::dialled(stream, registration))
}

fn peer_certificate(stream: &TlsStream<TcpStream>) -> Result<PeerCertificate, Failure> {
    let (_, session) = stream.get_ref();
    session
        .peer_certificates()
        .and_then(|chain| chain.first())
        .ok_or_else(|| Failure::Words("it showed no certificate".to_owned()))
        .and_then(|der| {
            PeerCertificate::parse(der).map_err(|error| Failure::Words(error.to_string()))
        })
}
