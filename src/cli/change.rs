//! What a member asks for itself: other endpoints, or to leave.

use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tonic::{Code, Status};

use super::exit::{CliError, Exit};
use super::operator::NodeDir;
use super::output::Output;
use crate::env::SystemClock;
use crate::node::{Folder, OwnWish, Wished};
use crate::wire::pb;

/// Options of `creditmesh node change`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    creditmesh node change --dir alpha --endpoint alpha.example.com:7401\n  \
    creditmesh node change --dir alpha --leave")]
pub(super) struct ChangeArgs {
    #[command(flatten)]
    node: NodeDir,
    /// host:port by which peers shall reach this node; up to eight times. Counts once the
    /// administrators have signed.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "leave")]
    endpoint: Vec<String>,
    /// Leave the network: at once, and for good.
    #[arg(long, conflicts_with = "endpoint")]
    leave: bool,
}

pub(super) async fn change(args: ChangeArgs, output: &Output) -> Result<Exit, CliError> {
    let ChangeArgs {
        node,
        endpoint,
        leave,
    } = args;
    let (member, left) = match node.issuer().await? {
        Some(mut running) => {
            let request = pb::RequestChangeRequest {
                endpoints: endpoint,
                leave,
            };
            let asked = running.request_change(request).await;
            let asked = asked.map_err(of_registrar)?.into_inner();
            (asked.member, asked.left)
        }
        None => {
            let wish = if leave {
                OwnWish::Leave
            } else {
                OwnWish::Endpoints(endpoint)
            };
            let folder = Folder::at(&node.path);
            let (member, wished) = folder.wish(wish, Arc::new(SystemClock)).await?;
            (member.to_string(), wished == Wished::Left)
        }
    };
    let value = json!({ "member": member, "asked": !left, "left": left });
    output.show(&value, || {
        if left {
            format!(
                "{member} has left: its peers refuse it from now on, and the next member list has \
                 it removed\nnext: stop the node; what its store holds stays yours"
            )
        } else {
            format!(
                "the administrators have the request of {member}; they approve it with\n\
                 creditmesh network approve DIR {member}"
            )
        }
    });
    Ok(Exit::Done)
}

/// What a running node says of its registrar.
pub(super) fn of_registrar(status: Status) -> CliError {
    if status.code() == Code::Unavailable {
        let message = status.message().to_owned();
        return CliError {
            exit: Exit::Peers,
            message,
        };
    }
    status.into()
}
