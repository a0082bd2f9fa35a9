//! Root documents in the folders of administrators and registrars: `network.json` is the one in
//! force, `roots/N.json` every version that was.

use std::fs;
use std::path::{Path, PathBuf};

use super::NodeError;
use super::join::replace;
use crate::domain::Timestamp;
use crate::limits::ROOTS_HELD_MAX;
use crate::membership::{MemberList, NetworkRoot, RootError, Roster, Signed};
use crate::net::TrustHandle;

fn root_file(folder: &Path, version: u32) -> PathBuf {
    folder.join("roots").join(format!("{version}.json"))
}

fn text_of(path: &Path) -> Result<String, NodeError> {
    super::read_text(path).map_err(|error| NodeError::file(path, &error))
}

/// The root of `network.json`, or the newest that follows from it: between the two files a command
/// can be cut short.
pub(super) fn newest_root(folder: &Path, now: Timestamp) -> Result<NetworkRoot, NodeError> {
    let mut root = NetworkRoot::verify_kept(&text_of(&folder.join("network.json"))?, now)?;
    while let Ok(text) = super::read_text(&root_file(folder, root.version() + 1)) {
        match NetworkRoot::succeed_kept(&root, &text, now) {
            Ok(next) => root = next,
            Err(error) => {
                tracing::error!(%error, "a file in `roots` is refused");
                break;
            }
        }
    }
    root.require_unexpired(now)?;
    Ok(root)
}

/// Keeps a root in the folder `roots`, in a file named for its version.
pub(super) fn keep_version(folder: &Path, root: &NetworkRoot) -> Result<(), NodeError> {
    let roots = folder.join("roots");
    fs::create_dir_all(&roots).map_err(|error| NodeError::file(&roots, &error))?;
    replace(
        &root_file(folder, root.version()),
        written(root)?.as_bytes(),
    )
}

/// Keeps a root in the folder `roots`, and as the one in force.
pub(super) fn keep_newest(folder: &Path, root: &NetworkRoot) -> Result<(), NodeError> {
    keep_version(folder, root)?;
    replace(&folder.join("network.json"), written(root)?.as_bytes())
}

fn written(root: &NetworkRoot) -> Result<String, NodeError> {
    let text = root.signed().to_text();
    text.map_err(|error| NodeError::Root(RootError::Document(error)))
}

/// Walks from `held` over root documents that a registrar sent, and keeps what is newer than what
/// the folder has; gives the newest.
pub(super) fn take_walked(
    folder: &Path,
    held: NetworkRoot,
    texts: &[String],
    now: Timestamp,
) -> Result<NetworkRoot, NodeError> {
    let mut root = held;
    for text in texts {
        let version = Signed::<crate::membership::RootDocument>::parse(text)
            .map_err(RootError::Document)?
            .document()
            .version;
        if version <= root.version() {
            continue;
        }
        let next = NetworkRoot::succeed_kept(&root, text, now)?;
        // The registrar may work in the same folder, and have kept it before it told.
        if newest_root(folder, now)?.version() < next.version() {
            keep_version(folder, &root)?;
            keep_newest(folder, &next)?;
        }
        root = next;
    }
    root.require_unexpired(now)?;
    Ok(root)
}

/// Lets a handle hand on the roots before the one in force.
pub(super) fn remember_former(folder: &Path, trust: &TrustHandle) {
    let mut version = trust.root().version();
    for _ in 0..ROOTS_HELD_MAX {
        version = version.saturating_sub(1);
        let text = super::read_text(&root_file(folder, version));
        if !text.is_ok_and(|text| trust.remember_former_root(&text)) {
            return;
        }
    }
}

/// The list of `members.json`. One that was in force under an earlier root stays in force until the
/// administrators have signed one under the newest, though some who signed it are gone.
pub(super) fn newest_list(
    folder: &Path,
    root: &NetworkRoot,
    now: Timestamp,
) -> Result<Roster, NodeError> {
    let text = text_of(&folder.join("members.json"))?;
    list_under(root, &text, now, |version| {
        super::read_text(&root_file(folder, version)).ok()
    })
}

/// Checks a list that is in force: under `root`, or under the former root that it names.
pub(super) fn list_under(
    root: &NetworkRoot,
    text: &str,
    now: Timestamp,
    former: impl Fn(u32) -> Option<String>,
) -> Result<Roster, NodeError> {
    let refused = match Roster::verify_kept(root, text, now) {
        Ok(roster) => return Ok(roster),
        Err(refused) => refused,
    };
    let named = Signed::<MemberList>::parse(text).ok();
    let named = named.map(|list| list.document().root_version);
    let roster = named
        .filter(|version| *version < root.version())
        .and_then(former)
        .and_then(|text| NetworkRoot::verify_kept(&text, now).ok())
        .and_then(|former| Roster::verify_kept(&former, text, now).ok());
    roster.ok_or_else(|| refused.into())
}
