//! Lines for a person: what each flag rests on, and which silent member could change it.

use std::collections::BTreeSet;

use super::amounts;
use super::decay;
use super::flags::Raised;
use super::trust::{CORROBORATED_PER_MILLE, CRITICAL_PER_MILLE};
use super::witness::{Bench, Witness};
use crate::domain::{
    AmountSpan, CountName, Coverage, FlagCode, FlagState, Money, Outcome, Reason, Severity,
};

/// The explanation of an answer.
pub(crate) fn lines(
    bench: &Bench<'_>,
    coverage: &Coverage,
    raised: &[Raised],
    rests_on_one: &BTreeSet<FlagCode>,
    outcome: Outcome,
) -> Vec<String> {
    let mut lines = vec![headline(coverage, outcome)];
    let members = || bench.witnesses.iter();
    lines.extend(members().filter_map(|one| silent_line(one, bench)));
    lines.extend(members().filter_map(|one| doubt_line(one, bench)));
    for one in raised
        .iter()
        .filter(|one| one.flag.state != FlagState::False)
    {
        lines.push(flag_line(one, bench, rests_on_one.contains(&one.flag.code)));
        lines.extend(change_line(one, bench));
    }
    lines
}

fn headline(coverage: &Coverage, outcome: Outcome) -> String {
    let silent = coverage.asked.saturating_sub(coverage.answered);
    format!(
        "{outcome}: {} of {} members answered, {silent} silent; coverage {:.2} by weight",
        coverage.answered,
        coverage.asked,
        coverage.weight(),
    )
}

fn name_of(witness: &Witness, bench: &Bench<'_>) -> String {
    if bench.policy.show_members {
        format!("member {}", witness.member)
    } else if witness.is_bureau {
        "a bureau".to_owned()
    } else {
        "a lender".to_owned()
    }
}

fn silent_line(witness: &Witness, bench: &Bench<'_>) -> Option<String> {
    let name = name_of(witness, bench);
    match witness.silent {
        Some(reason) => Some(format!("{name} is silent ({reason})")),
        None if witness.behind => Some(format!("{name} answered from a state that is not current")),
        None => None,
    }
}

fn doubt_line(witness: &Witness, bench: &Bench<'_>) -> Option<String> {
    let doubt = witness.doubt?;
    Some(format!("{} {}", name_of(witness, bench), doubt.text()))
}

/// The weight behind a flag, and what follows where it is too little.
fn votes_text(raised: &Raised, rests_on_one: bool) -> String {
    let Some(votes) = raised.votes else {
        return String::new();
    };
    let plural = if votes.sources == 1 { "" } else { "s" };
    let mut text = format!(
        "; weight {} from {} source{plural}",
        decimal(votes.total),
        votes.sources
    );
    if !votes.corroborates() {
        text.push_str(&format!(
            "; uncorroborated: the threshold turns on weight {} where {} is needed, so it counts \
             one step less",
            decimal(votes.deciding),
            decimal(CORROBORATED_PER_MILLE)
        ));
    } else if raised.flag.severity == Severity::Critical && !votes.restricts() && !rests_on_one {
        text.push_str(&format!(
            "; to restrict it needs weight {} from two sources, so a person should look",
            decimal(CRITICAL_PER_MILLE)
        ));
    }
    text
}

/// Thousandths with two decimals, rounded down.
fn decimal(per_mille: u32) -> String {
    format!("{}.{:02}", per_mille / 1_000, per_mille % 1_000 / 10)
}

fn flag_line(raised: &Raised, bench: &Bench<'_>, rests_on_one: bool) -> String {
    let flag = &raised.flag;
    let mut line = format!("{} {} ({})", flag.code, flag.state, flag.severity);
    if flag.state == FlagState::True && flag.up_to > flag.severity {
        line.push_str(&format!(", possibly {}", flag.up_to));
    }
    let reasons: Vec<String> = flag.reasons.iter().map(reason_text).collect();
    if !reasons.is_empty() {
        line.push_str(": ");
        line.push_str(&reasons.join("; "));
    }
    if flag.code == FlagCode::Ex {
        line.push_str(&owed_text(amounts::exposure(bench), bench));
    }
    if !raised.reporters.is_empty() {
        line.push_str("; reported by ");
        line.push_str(&reporters_text(&raised.reporters, bench));
    }
    line.push_str(&votes_text(raised, rests_on_one));
    line.push_str(&age_text(raised, bench));
    if rests_on_one {
        line.push_str("; it rests on a single member, so a person should look");
    }
    if flag.code == FlagCode::Fr && flag.state == FlagState::True {
        line.push_str("; a person decides");
    }
    if flag.code == FlagCode::Vi && flag.state == FlagState::True {
        line.push_str("; verify the borrower's identity");
    }
    line
}

/// How old what a flag rests on is, and how much a score would make of it.
fn age_text(raised: &Raised, bench: &Bench<'_>) -> String {
    let Some((decaying, at)) = decay::newest(raised.flag.code, bench) else {
        return String::new();
    };
    let age = bench.now.since(at);
    let days = age.as_secs() / 86_400;
    let left = decaying.weight(age);
    format!("; the newest is {days} days old, in a score it weighs {left:.2}")
}

fn owed_text(owed: AmountSpan, bench: &Bench<'_>) -> String {
    let currency = bench.asker.bands.currency;
    let text = |minor: u64| Money::of(i64::try_from(minor).unwrap_or(i64::MAX), currency);
    match owed.hi_minor {
        Some(hi) => format!("; owed elsewhere: {} to {}", text(owed.lo_minor), text(hi)),
        None => format!("; owed elsewhere: {} or more", text(owed.lo_minor)),
    }
}

fn reason_text(reason: &Reason) -> String {
    match reason.evidence {
        Some((name, interval)) => format!("{} ({name} is {interval})", reason.code),
        None => reason.code.clone(),
    }
}

fn reporters_text(reporters: &BTreeSet<usize>, bench: &Bench<'_>) -> String {
    let count = reporters.len();
    if !bench.policy.show_members {
        let plural = if count == 1 { "" } else { "s" };
        return format!("{count} member{plural}");
    }
    let names: Vec<String> = reporters
        .iter()
        .filter_map(|at| bench.witnesses.get(*at))
        .map(|one| one.member.to_string())
        .collect();
    names.join(", ")
}

/// Who could change a flag that is not settled.
fn change_line(raised: &Raised, bench: &Bench<'_>) -> Option<String> {
    let flag = &raised.flag;
    let settled = flag.state == FlagState::True && flag.up_to == flag.severity;
    let about_members = matches!(flag.code, FlagCode::Cv | FlagCode::Sa | FlagCode::Th);
    if settled || about_members || raised.could_change.is_empty() {
        return None;
    }
    let who: Vec<String> = raised
        .could_change
        .iter()
        .filter_map(|at| bench.witnesses.get(*at))
        .map(|one| could_text(one, bench))
        .collect();
    Some(format!(
        "  {} could become {} by the answer of {}",
        flag.code,
        flag.up_to,
        who.join(", ")
    ))
}

fn could_text(witness: &Witness, bench: &Bench<'_>) -> String {
    let name = name_of(witness, bench);
    match witness.silent {
        Some(reason) => format!("{name} (silent: {reason})"),
        None if witness.behind => format!("{name} (not current)"),
        None if !bench.hears(witness, CountName::ActiveLenderGroups) => {
            format!("{name} (shares defaults only)")
        }
        None => format!("{name} (has more than fits a summary)"),
    }
}
