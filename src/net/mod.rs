//! Streams with a proven peer at the other end.
//!
//! Outwards, [`Peers`] makes calls over a [`Transport`]; inwards, a [`Listener`] accepts
//! connections, and a [`gated_server`] lets every call pass the one [`Gate`]. Both sides admit by
//! the [`TrustHandle`], which takes a newer member list at any moment and cuts whoever is no longer
//! on it.
//!
//! The same listener, behind an [`OperatorDoor`], lets in the member's own systems on other
//! machines; [`operator_channel`] is their end.

mod authorities;

pub mod bench;

mod call_bytes;

mod client;

mod connections;

mod cut;

mod dial;

mod explain;

mod gate;

mod gated;

mod installed;

mod light;
mod listen;

mod node_tls;

mod operator;

mod operator_client;

mod peers;

mod places;

mod registrar;

mod registrar_client;

mod registrar_departures;

mod registrar_gate;

mod registrar_log;

mod registrar_roots;

mod relay;

mod root_history;

mod running;

mod serve;

mod stream;

mod tape;

mod tls_dial;

mod transport;

mod trust;

mod version_header;

mod webhook;

mod words;

pub use authorities::database_tls;
pub use client::{AskError, AskedPeers, FeedStream};
pub use connections::{Connections, NamesHolder, Opened, PeerConnection, TooManyConnections};
pub use dial::{Attempt, DialError};
pub use gate::{Gate, GateRefusal, GatedCall};
pub use gated::{Admission, Answering, Gated, Held};
pub use installed::{Installed, InstalledRoot};
pub use light::LightStream;
pub use listen::{AcceptedStream, Door, ListenLimits, Listener};
pub use node_tls::NodeTls;
pub use operator::{OperatorCall, OperatorDoor, OperatorGate, OperatorRefusal};
pub use operator_client::{OperatorDialError, operator_channel};
pub use peers::{CallError, Peers, dial_error};
pub use places::Proof;
pub use registrar::{RegistrarCaller, RegistrarDoor};
pub use registrar_client::{RegistrarClient, RegistrarError, TrustStream, fetch_roots};
pub use registrar_gate::{OtherRegistrar, RegistrarCall, RegistrarGate};
pub use relay::{Relayed, relayed_trust};
pub use serve::{gated_server, operator_gated_server, registrar_gated_server};
pub use stream::PeerStream;
pub use tape::{Tap, TappedTransport};
pub use transport::{PeerChannel, TlsTransport, Transport, local_channel};
pub use trust::{Departed, Memory, TrustHandle};
pub use webhook::{WebhookClient, WebhookError};
pub use words::IssuedBy;

/// Any error that a service may give.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Header of every call and every answer: the version of the sender's member list, in decimal.
pub const LIST_VERSION_HEADER: &str = "creditmesh-list-version";

/// Metadata of a refusal: a word for programs, such as `suspended`.
pub const REASON_HEADER: &str = "creditmesh-reason";

fn read_version(value: &http::HeaderValue) -> Option<u32> {
    value.to_str().ok()?.parse().ok()
}
