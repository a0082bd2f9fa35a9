//! Who calls, of the services that peers call.

use tonic::{Request, Status};

use crate::membership::VerifiedPeer;

/// The proof that the gate left in the request.
pub(super) fn admitted<T>(request: &Request<T>) -> Result<VerifiedPeer, Status> {
    let peer = request.extensions().get::<VerifiedPeer>().cloned();
    peer.ok_or_else(|| Status::unauthenticated("this call did not pass the membership gate"))
}
