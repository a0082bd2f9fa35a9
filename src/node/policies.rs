//! The policy files of a node: thresholds of the flags, and how long records are kept.

use super::folder::Opened;
use super::{Folder, NodeError};
use crate::config::{built_in_retention, parse_retention};
use crate::domain::RetentionPolicy;
use crate::membership::NetworkRoot;
use crate::risk::Policy;

/// The policy of the flags, in the network's currency.
///
/// # Errors
/// [`NodeError::Folder`], which names the file and says what is wrong.
pub(super) fn load_policy(
    folder: &Folder,
    opened: &Opened,
    root: &NetworkRoot,
) -> Result<Policy, NodeError> {
    let currency = root.document().currency;
    match &opened.config.policy {
        Some(path) => {
            let path = folder.path().join(path);
            let wrong = |why: String| NodeError::Folder(format!("{}: {why}", path.display()));
            let policy =
                Policy::parse(&folder.text(&path)?).map_err(|error| wrong(error.to_string()))?;
            if policy.currency == currency {
                return Ok(policy);
            }
            let (own, network) = (policy.currency.code(), currency.code());
            Err(wrong(format!(
                "its amounts are in {own}, the network's in {network}: write them in {network}"
            )))
        }
        None => Policy::built_in(currency).ok_or_else(|| {
            NodeError::Folder(format!("no built-in policy for {currency:?}: set `policy`"))
        }),
    }
}

/// How long records are kept, and how fast disputes are decided.
///
/// # Errors
/// [`NodeError::Folder`], which names the file and says what is wrong.
pub(super) fn load_retention(
    folder: &Folder,
    opened: &Opened,
) -> Result<RetentionPolicy, NodeError> {
    let Some(path) = &opened.config.retention else {
        let built_in = built_in_retention();
        return built_in.map_err(|error| NodeError::Folder(format!("built-in terms: {error}")));
    };
    let path = folder.path().join(path);
    parse_retention(&folder.text(&path)?)
        .map_err(|error| NodeError::Folder(format!("{}: {error}", path.display())))
}
