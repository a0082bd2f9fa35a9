//! Files of a running node's folder that others change: taken as soon as they do.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Folder;
use crate::config::NodeConfig;
use crate::net::{OperatorDoor, TrustHandle};

/// How often a node looks whether its member list or its configuration changed.
const LOOK_AT_FILE: Duration = Duration::from_millis(500);

/// Takes a newer member list as soon as its file changes.
pub(super) async fn watch_list(folder: Folder, trust: TrustHandle, stop: CancellationToken) {
    watch(folder.members(), stop, |text| match trust.install(&text) {
        Ok(installed) => tracing::info!(?installed, "member list taken"),
        Err(error) => tracing::error!(%error, "members.json is refused; the list in force stays"),
    })
    .await;
}

/// Takes newer roots as soon as their files arrive.
pub(super) async fn watch_roots(folder: Folder, trust: TrustHandle, stop: CancellationToken) {
    let mut seen = None;
    let mut ticks = tokio::time::interval(LOOK_AT_FILE);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let held = trust.root().version();
        let found = Some((held, folder.roots_mark(held)));
        if found == seen {
            continue;
        }
        seen = found;
        if let Err(error) = folder.take_roots(&trust) {
            tracing::error!(%error, "a file in `roots` is refused; the root in force stays");
        }
        if trust.root().version() != held {
            // A list that was made under this root may have arrived first.
            let listed = folder
                .text(&folder.members())
                .map(|text| trust.install(&text));
            tracing::info!(?listed, "member list looked at under the new root");
        }
    }
}

/// Takes the refused operators as soon as the configuration changes; nothing else of it.
pub(super) async fn watch_refused(
    folder: Folder,
    door: Option<OperatorDoor>,
    stop: CancellationToken,
) {
    let Some(door) = door else { return };
    watch(folder.config_file(), stop, |text| {
        match NodeConfig::parse(&text) {
            Ok(config) => {
                let refused = config.operator_refused.len();
                let cut = door.refuse(config.operator_refused);
                tracing::info!(refused, cut, "refused operators taken");
            }
            Err(error) => {
                tracing::error!(%error, "node.toml is refused; operator_refused stays as it was");
            }
        }
    })
    .await;
}

/// Gives a file's text now, and whenever it changes, until `stop`.
async fn watch(path: PathBuf, stop: CancellationToken, mut taken: impl FnMut(String)) {
    let mut seen = None;
    let mut ticks = tokio::time::interval(LOOK_AT_FILE);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // The length too: a file that is being written may keep its time of change.
        let found = path.metadata().ok();
        let found = found.map(|meta| (meta.modified().ok(), meta.len()));
        if found == seen {
            continue;
        }
        seen = found;
        match super::read_text(&path) {
            Ok(text) => taken(text),
            Err(error) => tracing::error!(%error, path = %path.display(), "cannot be read"),
        }
    }
}
