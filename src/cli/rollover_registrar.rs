//! `creditmesh network rollover …` in a network with registrars: nothing is stopped, and no file is
//! copied by hand.

use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::network::{Admin, member_id, now};
use super::network_registrar::{unreached_text, unreached_value};
use super::output::Output;
use super::rollover::{
    CuttingStep, RolloverCommand, Step, changes, show_changes, state_lines, state_value,
};
use crate::domain::MemberId;
use crate::env::OsEntropy;
use crate::membership::SigningKey;
use crate::node::{AdminFolder, Administration, NextRoot, Readiness, Stage, require_ready};
use crate::wire::RootCount;

/// What a step did, before it is told.
struct Done {
    /// One line each.
    lines: Vec<String>,
    exit: Exit,
}

pub(super) async fn run(command: &RolloverCommand, output: &Output) -> Result<Exit, CliError> {
    let Step { admin, signing } = command.step();
    let mut administration = signing.open(admin).await?;
    // After the newest root was fetched into the folder.
    let mut folder = admin.open()?;
    if signing.dry_run {
        let changes = changes(command, &folder)?;
        show_changes(folder.root().version(), &changes, output);
        return Ok(Exit::Done);
    }
    let entropy = OsEntropy::default();
    let done = match command {
        RolloverCommand::Prepare(_) => {
            let document = folder.preparing(&admin.source(), now(), &entropy)?;
            let next = administration.propose_root(document).await?;
            put(&mut administration, next, Vec::new()).await?
        }
        RolloverCommand::Activate(_) => activate(admin, &mut folder, &mut administration).await?,
        RolloverCommand::Taint(step) => {
            ready_for(&mut administration, Stage::Active, step).await?;
            let document = folder.tainting(now())?;
            // Once more, for a registrar that did not answer when they were activated.
            let certificates = folder.issuing_to_hand()?;
            administration.hand_issuing(&certificates).await?;
            let next = administration.propose_root(document).await?;
            put(&mut administration, next, Vec::new()).await?
        }
        RolloverCommand::Revoke(step) => revoke(step, &mut folder, &mut administration).await?,
        RolloverCommand::Status(_) => Done {
            lines: Vec::new(),
            exit: Exit::Done,
        },
        RolloverCommand::ReplaceKey { lost, new, .. } => {
            let at = (now(), &entropy as &dyn crate::env::Entropy);
            let (document, seed) = folder.replacing(lost, new, &admin.source(), at)?;
            let next = administration.propose_root(document).await?;
            let added = vec![SigningKey::from_seed(seed)];
            let done = put(&mut administration, next, added).await?;
            if administration.root().version() > folder.root().version() {
                folder.drop_key(lost);
            }
            done
        }
    };
    let folder = admin.open()?;
    let stage = folder.stage();
    let ready = match command {
        RolloverCommand::Status(_) => administration.readiness_now(stage).await?,
        // What the nodes do by themselves is awaited for some seconds.
        RolloverCommand::Prepare(_)
        | RolloverCommand::Activate(_)
        | RolloverCommand::Taint(_)
        | RolloverCommand::Revoke(_)
        | RolloverCommand::ReplaceKey { .. } => administration.readiness(stage).await?,
    };
    show(&folder, &administration, (&ready, &done.lines), output);
    Ok(done.exit)
}

async fn ready_for(
    administration: &mut Administration,
    stage: Stage,
    step: &CuttingStep,
) -> Result<(), CliError> {
    let without: Result<Vec<MemberId>, _> = step.without.iter().map(|id| member_id(id)).collect();
    let ready = administration.readiness(stage).await?;
    Ok(require_ready(&ready, &without?)?)
}

async fn revoke(
    step: &CuttingStep,
    folder: &mut AdminFolder,
    administration: &mut Administration,
) -> Result<Done, CliError> {
    let source = step.step.admin.source();
    let mut done = Done {
        lines: Vec::new(),
        exit: Exit::Done,
    };
    if folder.stage() != Stage::Revoked {
        let document = folder.revoking(now())?;
        ready_for(administration, Stage::Tainted, step).await?;
        let certificates = folder.issuing_to_hand()?;
        administration.hand_issuing(&certificates).await?;
        let next = administration.propose_root(document).await?;
        done = put(administration, next, Vec::new()).await?;
        *folder = step.step.admin.open()?;
    }
    if folder.stage() == Stage::Revoked {
        folder.settle(&source)?;
    }
    Ok(done)
}

/// Hands the issuing authorities' new certificates to the registrars.
async fn activate(
    admin: &Admin,
    folder: &mut AdminFolder,
    administration: &mut Administration,
) -> Result<Done, CliError> {
    let certificates = folder.issuing_to_hand()?;
    let handed = administration.hand_issuing(&certificates).await?;
    let mut done = Done {
        lines: Vec::new(),
        exit: Exit::Done,
    };
    for (endpoint, taken) in &handed {
        if *taken == 0 {
            return Err(CliError::refused(format!(
                "the registrar at {endpoint} works with an issuing key that the new X.509 root has \
                 not certified: put its certificate request into {}/authority",
                admin.dir.display()
            )));
        }
        done.lines
            .push(format!("{endpoint} takes the new certificate into use"));
    }
    if !administration.unreached().is_empty() {
        done.lines
            .push("not active yet: give the command again when every registrar runs".to_owned());
        done.exit = Exit::Peers;
    } else if folder.stage() == Stage::Prepared {
        folder.activate(&admin.source())?;
    }
    Ok(done)
}

/// Signs and puts a next root; once it is published, waits for the nodes that follow.
async fn put(
    administration: &mut Administration,
    next: NextRoot,
    added: Vec<SigningKey>,
) -> Result<Done, CliError> {
    let mut lines = next_lines(&next);
    let count = administration.put_root(next, added).await?;
    lines.push(count_text(count));
    if count.published {
        administration.root_acknowledged().await?;
    }
    Ok(Done {
        lines,
        exit: Exit::Done,
    })
}

/// What a next root changes, for people.
pub(super) fn next_lines(next: &NextRoot) -> Vec<String> {
    let mut lines = vec![format!("root {}:", next.version())];
    lines.extend(next.differences.iter().map(|one| format!("  {one}")));
    lines
}

/// What a next root changes, for machines.
pub(super) fn next_value(next: &NextRoot) -> Value {
    let tally = next.tally;
    json!({ "root_version": next.version(), "changes": next.differences,
        "signed": tally.signed, "needed": tally.needed,
        "signed_by_own": tally.signed_by_own, "needed_by_own": tally.needed_by_own })
}

pub(super) fn count_text(count: RootCount) -> String {
    if count.published {
        return "published".to_owned();
    }
    let RootCount {
        signed,
        needed,
        signed_by_own,
        needed_by_own,
        ..
    } = count;
    format!(
        "waiting: {signed} of {needed} administrators signed, and {signed_by_own} of the \
         {needed_by_own} of the next root; the others run: creditmesh network sign --dry-run"
    )
}

const fn leads(one: &Readiness) -> &'static str {
    match (one.leads_to_old, one.leads_to_new) {
        (true, true) => "both",
        (true, false) => "old",
        (false, true) => "new",
        (false, false) => "none",
    }
}

fn show(
    folder: &AdminFolder,
    administration: &Administration,
    (ready, told): (&[Readiness], &[String]),
    output: &Output,
) {
    let mut value = state_value(folder);
    let members = ready.iter().map(|one| {
        let node = &one.standing;
        json!({
            "member": node.member.as_str(), "follows": node.follows,
            "root_version": node.root_version, "list_version": node.list_version,
            "certificate_leads_to": leads(one),
            "certificate_not_after": node.certificate_not_after.map(|end| end.to_rfc3339()),
            "blocks": one.blocks,
        })
    });
    let members: Value = members.collect();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("members".to_owned(), members);
        fields.insert("told".to_owned(), json!(told));
        fields.insert("unreached".to_owned(), unreached_value(administration));
    }
    output.show(&value, || {
        let mut lines = told.to_vec();
        lines.extend(state_lines(folder));
        lines.extend(table(ready));
        lines.extend(unreached_text(administration));
        lines.join("\n")
    });
}

/// One line for each member's node, and what blocks the next stage.
fn table(ready: &[Readiness]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<20} {:<8} {:>5} {:>5}  {:<11} {}",
        "member", "follows", "root", "list", "leads to", "certificate until"
    )];
    for one in ready {
        let node = &one.standing;
        let end = node.certificate_not_after.map(|end| end.to_rfc3339());
        lines.push(format!(
            "{:<20} {:<8} {:>5} {:>5}  {:<11} {}",
            node.member.as_str(),
            if node.follows { "yes" } else { "no" },
            node.root_version,
            node.list_version,
            leads(one),
            end.unwrap_or_else(|| "not said".to_owned())
        ));
    }
    let blocking = ready.iter().filter_map(|one| one.blocks.as_ref());
    let blocking: Vec<String> = blocking.map(|reason| format!("waits: {reason}")).collect();
    if blocking.is_empty() {
        lines.push("nobody blocks the next stage".to_owned());
    }
    lines.extend(blocking);
    lines
}
