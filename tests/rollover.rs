//! A rehearsal on a throw-away network: the X.509 root is exchanged and an administrator replaced
//! while two nodes serve, and one that slept walks every version at once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops where something is not as it must be"
)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use creditmesh::config::UnlockSource;
use creditmesh::crypto::KdfCost;
use creditmesh::domain::{Level, MemberId, Purpose, Role, Timestamp};
use creditmesh::env::{Clock, OsEntropy, SystemClock};
use creditmesh::membership::{MemberState, Terms};
use creditmesh::node::{AdminFolder, Folder, Found, Invited, NodeParts, RunningNode, Stage};
