//! What members may ask for: explaining the decision, and changing what it rests on.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::network::Admin;
use super::network_registrar::{self as through, Signing};
use super::output::Output;
use crate::domain::{MemberId, Purpose, PurposeError, Timestamp};
use crate::env::{Clock, SystemClock};
use crate::membership::{
    Denial, Grant, Granted, NetworkRoot, Rights, RightsChange, Roster, Service, Wish,
};
use crate::node::{MemberWish, registrar_config};

/// `creditmesh network can-i`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    creditmesh network can-i admin alpha evaluate --purpose collection\n  \
    creditmesh network can-i alpha-node alpha feed --at 2027-06-30T00:00:00Z\n\n\
    DIR is the administrators' folder or a node's: the member list in it decides, as every\n\
    node that has this list does. Nothing is opened, so no passphrase is asked for.\n\
    Exit code 0 yes, 1 no.")]
pub(super) struct CanIArgs {
    /// The administrators' folder, or a node's.
    dir: PathBuf,
    /// The member.
    member: String,
    /// What it wants: evaluate, feed, describe or standard.
    service: String,
    /// Why it asks; an evaluation needs one.
    #[arg(long)]
    purpose: Option<String>,
    /// When, as 2026-12-01T08:00:00Z; now without it.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// `creditmesh network rights`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("change"),
    after_help = "Examples:\n  \
    creditmesh network rights admin alpha\n  \
    creditmesh network rights admin alpha --grant collection --until 2027-06-30T00:00:00Z\n  \
    creditmesh network rights admin alpha --warn-late"
)]
pub(super) struct RightsArgs {
    #[command(flatten)]
    admin: Admin,
    /// The member.
    member: String,
    /// Grant evaluation for these purposes, separated by commas.
    #[arg(long, value_name = "PURPOSES", value_delimiter = ',', group = "change")]
    grant: Vec<String>,
    /// End of the grant.
    #[arg(long, value_name = "TIME", requires = "grant")]
    until: Option<String>,
    /// Up to how many elements of the member's epoch this grant still evaluates.
    #[arg(long, value_name = "ELEMENTS", requires = "grant")]
    quota: Option<u64>,
    /// Take these purposes back, separated by commas.
    #[arg(long, value_name = "PURPOSES", value_delimiter = ',', group = "change")]
    withdraw: Vec<String>,
    /// The member is new until then: a tenth of its quota, no weight in the coverage.
    #[arg(long, value_name = "TIME", group = "change")]
    probation_until: Option<String>,
    /// Warn the member that its furnishing is late: in 14 days it loses its level.
    #[arg(long, group = "change")]
    warn_late: bool,
    /// Take the warning back.
    #[arg(long, group = "change")]
    take_warning_back: bool,
    #[command(flatten)]
    signing: Signing,
}

fn moment(option: &str, text: &str) -> Result<Timestamp, CliError> {
    let wrong = |_| CliError::usage(format!("{option}: a time such as 2026-12-01T08:00:00Z"));
    Timestamp::parse_rfc3339(text).map_err(wrong)
}

/// A purpose from its word; what is never one is refused, what is not known is a mistake.
pub(super) fn purpose(text: &str) -> Result<Purpose, CliError> {
    Purpose::read(text).map_err(|error| match error {
        PurposeError::Never(_) => CliError::refused(format!("purpose: {error}")),
        PurposeError::Unknown => CliError::usage(format!("no purpose {text:?}: it {error}")),
    })
}

fn member_id(text: &str) -> Result<MemberId, CliError> {
    text.parse()
        .map_err(|error| CliError::usage(format!("member: {error}")))
}

pub(super) fn can_i(args: &CanIArgs, output: &Output) -> Result<Exit, CliError> {
    let member = member_id(&args.member)?;
    let service = Service::from_word(&args.service).ok_or_else(|| {
        let words: Vec<&str> = Service::ALL.iter().map(|one| one.word()).collect();
        CliError::usage(format!(
            "no service {:?}: {}",
            args.service,
            words.join(", ")
        ))
    })?;
    let now = SystemClock.now();
    let at = args.at.as_deref().map(|text| moment("--at", text));
    let wish = Wish {
        service,
        purpose: args.purpose.as_deref().map(purpose).transpose()?,
        at: at.transpose()?.unwrap_or(now),
    };
    let read = |name: &str| {
        let path = args.dir.join(name);
        crate::node::read_text(&path).map_err(|error| CliError::file(&path, &error))
    };
    let refused = |error: &dyn std::error::Error| CliError::refused(error.to_string());
    let root = NetworkRoot::verify(&read("network.json")?, now).map_err(|e| refused(&e))?;
    let roster = Roster::verify_kept(&root, &read("members.json")?, now);
    let roster = roster.map_err(|error| refused(&error))?;
    let decided = Rights::decide(&roster, &member, &wish);
    let exit = if decided.is_ok() {
        Exit::Done
    } else {
        Exit::Refused
    };
    output.show(&value_of(&member, &wish, &decided), || {
        text_of(&member, &wish, &decided)
    });
    Ok(exit)
}

fn value_of(member: &MemberId, wish: &Wish, decided: &Result<Granted, Denial>) -> Value {
    let mut value = json!({
        "allowed": decided.is_ok(), "member": member.as_str(), "service": wish.service.word(),
        "purpose": wish.purpose.map(Purpose::word), "at": wish.at.to_rfc3339(),
    });
    let told = match decided {
        Ok(granted) => json!({
            "rule": granted.rule().code(), "reason": granted.rule().to_string(),
            "list_version": granted.list_version(), "level": granted.level().word(),
            "quota_elements_per_epoch": granted.quota_elements_per_epoch(),
            "until": granted.until().map(Timestamp::to_rfc3339),
        }),
        Err(denial) => json!({
            "rule": denial.rule.code(), "reason": denial.rule.to_string(),
            "next_step": denial.rule.next_step(), "list_version": denial.list_version,
        }),
    };
    if let (Value::Object(value), Value::Object(told)) = (&mut value, told) {
        value.extend(told);
    }
    value
}

fn text_of(member: &MemberId, wish: &Wish, decided: &Result<Granted, Denial>) -> String {
    let wanted = match wish.purpose {
        Some(purpose) => format!("{} for {purpose}", wish.service),
        None => wish.service.to_string(),
    };
    match decided {
        Ok(granted) => {
            let until = granted.until().map(|until| format!("\nuntil   {until}"));
            format!(
                "yes: {member} has {wanted}\nrule    {}: {}, member list {}\nlevel   {}\n\
                 quota   {} elements in a key epoch{}",
                granted.rule().code(),
                granted.rule(),
                granted.list_version(),
                granted.level(),
                granted.quota_elements_per_epoch(),
                until.unwrap_or_default()
            )
        }
        Err(denial) => format!(
            "no: {member} does not have {wanted}\nrule    {}: {}, member list {}\nnext    {}",
            denial.rule.code(),
            denial.rule,
            denial.list_version,
            denial.rule.next_step()
        ),
    }
}

pub(super) async fn rights(args: &RightsArgs, output: &Output) -> Result<Exit, CliError> {
    let member = member_id(&args.member)?;
    let now = SystemClock.now();
    let change = change_of(args, now)?;
    if let Some(change) = &change
        && registrar_config(&args.admin.dir)?.is_some()
    {
        let wish = MemberWish::Rights(member, change.clone());
        return through::change(&args.admin, &args.signing, &wish, output).await;
    }
    let mut folder = args.admin.open()?;
    if let Some(change) = &change {
        folder.change_rights(&member, change, now)?;
    }
    let roster = folder.roster();
    let wishes = Purpose::ALL.iter().map(|purpose| Wish {
        service: Service::Evaluate,
        purpose: Some(*purpose),
        at: now,
    });
    let feed = Wish {
        service: Service::Feed,
        purpose: None,
        at: now,
    };
    let decided: Vec<_> = wishes
        .chain([feed])
        .map(|wish| (wish, Rights::decide(roster, &member, &wish)))
        .collect();
    let values: Vec<Value> = decided
        .iter()
        .map(|(wish, decided)| value_of(&member, wish, decided))
        .collect();
    let value = json!({ "member": member.as_str(), "list_version": roster.version(),
        "changed": change.is_some(), "rights": values });
    output.show(&value, || {
        let mut lines = vec![format!("{member} on member list {}", roster.version())];
        lines.extend(decided.iter().map(|(wish, decided)| line_of(wish, decided)));
        if change.is_some() {
            lines.push("send members.json to every member, as after every change".to_owned());
        }
        lines.join("\n")
    });
    Ok(Exit::Done)
}

fn line_of(wish: &Wish, decided: &Result<Granted, Denial>) -> String {
    let what = wish.purpose.map_or(wish.service.word(), Purpose::word);
    match decided {
        Ok(granted) => {
            let until = granted.until().map(|until| format!(", until {until}"));
            format!(
                "{what:<22} yes  {} at level {}, quota {}{}",
                granted.rule().code(),
                granted.level(),
                granted.quota_elements_per_epoch(),
                until.unwrap_or_default()
            )
        }
        Err(denial) => format!("{what:<22} no   {}: {}", denial.rule.code(), denial.rule),
    }
}

fn change_of(args: &RightsArgs, now: Timestamp) -> Result<Option<RightsChange>, CliError> {
    let purposes = |texts: &[String]| -> Result<Vec<Purpose>, CliError> {
        texts.iter().map(|text| purpose(text)).collect()
    };
    Ok(if !args.grant.is_empty() {
        let until = args.until.as_deref().map(|text| moment("--until", text));
        Some(RightsChange::Grant(Grant {
            service: Service::Evaluate,
            purposes: purposes(&args.grant)?,
            until: until.transpose()?,
            quota_elements_per_epoch: args.quota,
        }))
    } else if !args.withdraw.is_empty() {
        Some(RightsChange::Withdraw(purposes(&args.withdraw)?))
    } else if let Some(until) = &args.probation_until {
        let until = moment("--probation-until", until)?;
        Some(RightsChange::ProbationUntil(until))
    } else if args.warn_late {
        Some(RightsChange::WarnLate(now))
    } else if args.take_warning_back {
        Some(RightsChange::TakeWarningBack)
    } else {
        None
    })
}
