//! `creditmesh network sign`: what waits for signatures is shown, and signed by its digest.
//!
//! What waits may be another thing at each look, because any administrator may put something. So
//! nothing is signed that was not named by its digest, or confirmed at a terminal after it was
//! shown.

use std::io::IsTerminal;

use clap::Args;
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::network::Admin;
use super::network_registrar::{
    Signing, diff_text, proposal_value, tally_text, unreached_text, unreached_value, with_tally,
};
use super::output::Output;
use super::rollover_registrar::{count_text, next_lines, next_value};
use crate::node::{Administration, NextRoot, Proposal};

/// Least characters of a digest that name a document: 128 bits.
const DIGEST_CHARS_MIN: usize = 32;

/// `creditmesh network sign`.
#[derive(Debug, Args)]
pub(super) struct SignArgs {
    #[command(flatten)]
    admin: Admin,
    /// Digests of what to sign, as --dry-run shows them; at least 32 characters of each. Without
    /// one, each is asked for at the terminal.
    #[arg(value_name = "DIGEST")]
    digests: Vec<String>,
    #[command(flatten)]
    signing: Signing,
}

/// Something that waits for signatures.
enum Waiting {
    Root(Box<NextRoot>),
    List(Box<Proposal>),
}

/// What became of one document.
struct Signed {
    text: String,
    value: Value,
    published: bool,
}

impl Waiting {
    fn digest(&self) -> Result<String, CliError> {
        let digest = match self {
            Self::Root(root) => root.digest()?,
            Self::List(list) => list.digest()?,
        };
        Ok(data_encoding::HEXLOWER.encode(&digest))
    }

    /// What it changes, for people.
    fn text(&self) -> Result<String, CliError> {
        let (lines, signed) = match self {
            Self::Root(root) => (next_lines(root).join("\n"), next_tally(&next_value(root))),
            Self::List(list) => (
                diff_text(list),
                format!("{} of {} administrators signed", list.signed, list.needed),
            ),
        };
        Ok(format!("{lines}\n  {signed}\n  digest {}", self.digest()?))
    }

    /// What it changes, for machines.
    fn value(&self) -> Result<Value, CliError> {
        let mut value = match self {
            Self::Root(root) => next_value(root),
            Self::List(list) => proposal_value(list),
        };
        if let Some(fields) = value.as_object_mut() {
            fields.insert("digest".to_owned(), json!(self.digest()?));
        }
        Ok(value)
    }

    async fn sign(self, administration: &mut Administration) -> Result<Signed, CliError> {
        let (mut text, mut value) = (self.text()?, self.value()?);
        let published = match self {
            Self::Root(root) => {
                let count = administration.put_root(*root, Vec::new()).await?;
                if let Some(fields) = value.as_object_mut() {
                    fields.insert("signed".to_owned(), json!(count.signed));
                    fields.insert("published".to_owned(), json!(count.published));
                }
                if count.published {
                    administration.root_acknowledged().await?;
                }
                text.push_str(&format!("\n{}", count_text(count)));
                count.published
            }
            Self::List(list) => {
                let tally = administration.put(*list).await?;
                value = with_tally(value, tally, &[]);
                text.push_str(&format!("\n{}", tally_text(tally)));
                tally.published
            }
        };
        Ok(Signed {
            text,
            value,
            published,
        })
    }
}

fn next_tally(value: &Value) -> String {
    format!(
        "{} of {} administrators signed, and {} of the {} of the next root",
        value["signed"], value["needed"], value["signed_by_own"], value["needed_by_own"]
    )
}

/// Everything that waits, roots first, and why other things that wait are not to be signed.
async fn waiting(
    administration: &mut Administration,
) -> Result<(Vec<Waiting>, Vec<String>), CliError> {
    let (roots, mut refused) = administration.root_proposals().await?;
    let (lists, bad_lists) = administration.proposals().await?;
    refused.extend(bad_lists);
    let roots = roots.into_iter().map(|root| Waiting::Root(Box::new(root)));
    let lists = lists.into_iter().map(|list| Waiting::List(Box::new(list)));
    Ok((roots.chain(lists).collect(), refused))
}

/// Those that were named, in the order of their names.
fn named(mut all: Vec<Waiting>, digests: &[String]) -> Result<Vec<Waiting>, CliError> {
    let mut chosen = Vec::new();
    for digest in digests {
        if digest.len() < DIGEST_CHARS_MIN {
            return Err(CliError::usage(format!(
                "{digest} is too short: give at least {DIGEST_CHARS_MIN} characters of the digest \
                 that --dry-run shows"
            )));
        }
        let mut found = None;
        for (place, one) in all.iter().enumerate() {
            if one.digest()?.starts_with(&digest.to_ascii_lowercase()) {
                found = Some(place);
            }
        }
        let place = found.ok_or_else(|| {
            CliError::refused(format!(
                "nothing that waits has the digest {digest}: it was published, or another took its \
                 place; look again with --dry-run"
            ))
        })?;
        chosen.push(all.swap_remove(place));
    }
    Ok(chosen)
}

/// Shows each, and keeps those that the person at the terminal wants to sign.
fn asked(all: Vec<Waiting>, output: &Output) -> Result<Vec<Waiting>, CliError> {
    let mut chosen = Vec::new();
    for one in all {
        output.remark(&one.text()?);
        if output.confirmed("sign this?")? {
            chosen.push(one);
        }
    }
    Ok(chosen)
}

/// Which of those that wait are to be signed.
fn choose(all: Vec<Waiting>, args: &SignArgs, output: &Output) -> Result<Vec<Waiting>, CliError> {
    if !args.digests.is_empty() {
        return named(all, &args.digests);
    }
    if all.is_empty() || std::io::stdin().is_terminal() {
        return asked(all, output);
    }
    let texts: Result<Vec<String>, CliError> = all.iter().map(Waiting::text).collect();
    Err(CliError::usage(format!(
        "name what you have read by its digest (creditmesh network sign {} DIGEST); waiting \
         are:\n{}",
        args.admin.dir.display(),
        texts?.join("\n")
    )))
}

/// Shows what waits for signatures, or signs what was named.
pub(super) async fn sign(args: &SignArgs, output: &Output) -> Result<Exit, CliError> {
    let mut administration = args.signing.open(&args.admin).await?;
    let (all, refused) = waiting(&mut administration).await?;
    let (mut texts, mut roots, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    let mut tell = |is_root: bool, text: String, value: Value| {
        texts.push(text);
        if is_root { &mut roots } else { &mut lists }.push(value);
    };
    if args.signing.dry_run {
        for one in &all {
            tell(matches!(one, Waiting::Root(_)), one.text()?, one.value()?);
        }
    } else {
        for one in choose(all, args, output)? {
            let is_root = matches!(one, Waiting::Root(_));
            let signed = one.sign(&mut administration).await?;
            tell(is_root, signed.text, signed.value);
            if signed.published {
                // What else was looked at followed what was in force before.
                break;
            }
        }
    }
    if texts.is_empty() {
        texts.push("nothing was signed, and no list or root waits that may be".to_owned());
    }
    texts.extend(refused.iter().cloned());
    let waits = administration.waiting().await?;
    let names: Vec<&str> = waits.iter().map(|member| member.as_str()).collect();
    let dir = args.admin.dir.display();
    texts.extend(
        names
            .iter()
            .map(|name| format!("{name} waits: creditmesh network approve {dir} {name}")),
    );
    texts.extend(unreached_text(&administration));
    let value = json!({ "proposals": lists, "roots": roots, "refused": refused, "waiting": names,
        "unreached": unreached_value(&administration) });
    output.show(&value, || texts.join("\n"));
    Ok(Exit::Done)
}
