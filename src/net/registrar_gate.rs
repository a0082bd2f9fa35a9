//! The registrar's gate: who calls, how much the call may send, and what strangers have shown.
//!
//! A connection that nobody answers for holds little, and gives way to others. One on which a
//! secret or a signature was accepted counts as known from then on: an administrator's, a joiner's.

use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::Layer;

use super::call_bytes::{CallBytes, HeldBytes, counted};
use super::connections::{PeerConnection, RunningCall};
use super::gated::{Admission, Gated, Held};
use super::listen::Door;
use super::places::Proof;
use super::registrar::{RegistrarCaller, RegistrarDoor};
use crate::limits::{
    REGISTRAR_KNOWN_BYTES_MAX, REGISTRAR_REQUEST_BYTES_MAX, REGISTRAR_SMALL_REQUEST_BYTES_MAX,
    REGISTRAR_STRANGER_CALL_BYTES, REGISTRAR_STRANGERS_BYTES_MAX,
};

/// The one call that carries a member list.
const LIST_PATH: &str = "/creditmesh.v1.Registrar/PutList";

/// The one call that anybody may make, and that so proves nothing.
const PUBLIC_PATH: &str = "/creditmesh.v1.Registrar/Roots";

/// What a call carries whose caller is another registrar of the network: it may follow, as a member
/// may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherRegistrar;

/// Judges the caller of every call: one that the list admits carries a
/// [`VerifiedPeer`](crate::membership::VerifiedPeer) from then on, one that is refused carries the
/// refusal, and a stranger neither. Clones share the count of what calls hold.
#[derive(Debug, Clone)]
pub struct RegistrarGate {
    door: RegistrarDoor,
    known: CallBytes,
    strangers: CallBytes,
}

impl RegistrarGate {
    /// A gate that admits as `door` does.
    #[must_use]
    pub fn new(door: RegistrarDoor) -> Self {
        Self {
            door,
            known: CallBytes::new(REGISTRAR_KNOWN_BYTES_MAX),
            strangers: CallBytes::new(REGISTRAR_STRANGERS_BYTES_MAX),
        }
    }

    /// Counts what a call sends, and bounds it.
    fn weigh(
        &self,
        request: &mut Request<Body>,
        connection: &PeerConnection<RegistrarCaller>,
        unknown: bool,
    ) -> HeldBytes {
        let cut = connection.cut_handle();
        let held = if unknown {
            self.strangers.begin(cut, REGISTRAR_STRANGER_CALL_BYTES)
        } else {
            self.known.begin(cut, 0)
        };
        let most = if request.uri().path() == LIST_PATH {
            REGISTRAR_REQUEST_BYTES_MAX
        } else {
            REGISTRAR_SMALL_REQUEST_BYTES_MAX
        };
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = counted(body, most, held.clone());
        held
    }
}

impl<S> Layer<S> for RegistrarGate {
    type Service = Gated<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Gated::new(inner, self.clone())
    }
}

impl Admission for RegistrarGate {
    type Held = RegistrarCall;

    fn pass(&self, request: &mut Request<Body>) -> Result<RegistrarCall, Box<Response<Body>>> {
        let connection = request
            .extensions()
            .get::<PeerConnection<RegistrarCaller>>()
            .cloned();
        let Some(connection) = connection else {
            return Ok(RegistrarCall::default());
        };
        let caller = connection.certificate();
        let unknown = self.door.unknown(caller);
        let extensions = request.extensions_mut();
        match &**caller {
            RegistrarCaller::Member { certificate, .. } => {
                match self.door.trust().admit(certificate) {
                    Ok(peer) => drop(extensions.insert(peer)),
                    Err(refusal) => drop(extensions.insert(refusal)),
                }
            }
            RegistrarCaller::Registrar(_) => drop(extensions.insert(OtherRegistrar)),
            RegistrarCaller::Stranger { .. } => {}
        }
        let is_stranger = unknown.as_ref().is_some_and(|proof| !proof.is_given());
        let held = self.weigh(request, &connection, is_stranger);
        let proves = request.uri().path() != PUBLIC_PATH;
        Ok(RegistrarCall {
            _running: connection.begin_call(self.door.uptime(), usize::MAX),
            _held: Some(held),
            proof: unknown.filter(|_| proves),
        })
    }
}

/// Held while a call to the registrar runs.
#[derive(Debug, Default)]
pub struct RegistrarCall {
    _running: Option<RunningCall>,
    _held: Option<HeldBytes>,
    /// Given once the call is answered without a refusal.
    proof: Option<Proof>,
}

impl Held for RegistrarCall {
    fn mark(&self, headers: &mut HeaderMap) {
        // A refusal has its status in the head of the answer; a success in what follows the body.
        let is_refused = Status::from_header_map(headers).is_some();
        if let Some(proof) = self.proof.as_ref().filter(|_| !is_refused) {
            proof.give();
        }
    }
}
