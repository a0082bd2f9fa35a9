//! Who belongs to the network: trust documents, certificates, and the one way to a verified peer.
