//! What a member asks for itself: other endpoints, another identity key, or to leave.

use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tonic::{Code, Status};

use super::exit::{CliError, Exit};
use super::operator::NodeDir;
use super::output::Output;
use crate::env::SystemClock;
use crate::membership::hex_groups;
use crate::node::{Folder, OwnWish, Wished};
use crate::wire::pb;

/// Options of `creditmesh node change`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    creditmesh node change --dir alpha --endpoint alpha.example.com:7401\n  \
    creditmesh node change --dir alpha --identity-key\n  \
    creditmesh node change --dir alpha --leave")]
pub(super) struct ChangeArgs {
    #[command(flatten)]
    node: NodeDir,
    #[command(flatten)]
    wish: WishArgs,
}

/// What is to change: one thing at a time.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct WishArgs {
    /// host:port by which peers shall reach this node; up to eight times. Counts once the
    /// administrators have signed.
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: Vec<String>,
    /// Make a fresh identity key, which takes the old one's place once the administrators have
    /// signed; the node does the rest by itself.
    #[arg(long)]
    identity_key: bool,
    /// Leave the network: at once, and for good.
    #[arg(long)]
    leave: bool,
}

impl WishArgs {
    fn wish(self) -> OwnWish {
        if self.leave {
            OwnWish::Leave
        } else if self.identity_key {
            OwnWish::IdentityKey
        } else {
            OwnWish::Endpoints(self.endpoint)
        }
    }
}

pub(super) async fn change(args: ChangeArgs, output: &Output) -> Result<Exit, CliError> {
    let ChangeArgs { node, wish } = args;
    let moves = !wish.endpoint.is_empty();
    let listen = Folder::at(&node.path)
        .config()
        .ok()
        .map(|config| config.listen);
    let (member, left, key) = match node.issuer().await? {
        Some(mut running) => {
            let request = pb::RequestChangeRequest {
                endpoints: wish.endpoint,
                leave: wish.leave,
                identity_key: wish.identity_key,
            };
            let asked = running.request_change(request).await;
            let asked = asked.map_err(of_registrar)?.into_inner();
            (asked.member, asked.left, asked.identity_key.to_vec())
        }
        None => {
            let folder = Folder::at(&node.path);
            let (member, wished) = folder.wish(wish.wish(), Arc::new(SystemClock)).await?;
            let key = match &wished {
                Wished::NextKey(key) => key.to_vec(),
                Wished::Asked | Wished::Left => Vec::new(),
            };
            (member.to_string(), wished == Wished::Left, key)
        }
    };
    let next = (!key.is_empty()).then(|| data_encoding::HEXLOWER.encode(&key));
    let value = json!({ "member": member, "asked": !left, "left": left, "identity_key": next });
    output.show(&value, || {
        if left {
            return format!(
                "{member} has left: its peers refuse it from now on, and the next member list has \
                 it removed\nnext: stop the node; what its store holds stays yours"
            );
        }
        let compare = if key.is_empty() {
            String::new()
        } else {
            format!(
                "next identity key  {}\ntell it to the administrators on another way, and let the \
                 node run: it takes the key into use by itself\n",
                hex_groups(&key)
            )
        };
        let moved = match listen.filter(|_| moves) {
            Some(listen) => format!(
                "the node listens on {listen}: what leads there may change freely; for another \
                 port change `listen` in node.toml and start the node again\n"
            ),
            None => String::new(),
        };
        format!(
            "{compare}{moved}the administrators have the request of {member}; they approve it \
             with\ncreditmesh network approve DIR {member}"
        )
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
