//! Who is believed: trust, quarantine, corroboration, and the flags that rest on them.

use proptest::prelude::*;

use super::world::*;
use crate::domain::*;
use crate::risk::{Conclusion, PeerStanding, PeerView, Seen, conclude};

const TRUE: FlagState = FlagState::True;

fn loan(days_ago: u32, dpd: u16) -> Record {
    let signed = now().minus(DAY * days_ago);
    let mut loan = Loan::new("a".to_owned(), Product::CashLoan, cny(250_000), signed);
    loan.dpd = dpd;
    record(u128::from(days_ago) + 1, Body::Loan(loan))
}

fn peers(books: Vec<Vec<Record>>) -> Vec<PeerView> {
    let members = (1..).zip(books);
    members
        .map(|(number, book)| Member::lender(&format!("l{number}"), book).view())
        .collect()
}

fn concluded(peers: &[PeerView]) -> Conclusion {
    conclude(&policy(), &asker(), peers, now())
}

fn flag(conclusion: &Conclusion, code: FlagCode) -> Flag {
    let found = conclusion.flags.iter().find(|flag| flag.code == code);
    found.unwrap().clone()
}

fn state(conclusion: &Conclusion, code: FlagCode) -> (FlagState, Severity) {
    let flag = flag(conclusion, code);
    (flag.state, flag.severity)
}

const QUARANTINED: PeerStanding = PeerStanding {
    upheld: 0,
    overturned: 0,
    quarantined_since: Some(Timestamp::from_unix_ms(0)),
    troubled_since: None,
};

fn overturned(times: u32) -> PeerStanding {
    PeerStanding {
        overturned: times,
        ..PeerStanding::default()
    }
}

#[test]
fn a_default_at_a_member_of_low_trust_counts_one_step_less() {
    let mut peers = peers(vec![vec![loan(300, 95)], vec![], vec![]]);
    let trusted = concluded(&peers);
    assert_eq!(state(&trusted, FlagCode::Ad), (TRUE, Severity::High));
    assert_eq!(flag(&trusted, FlagCode::Uc).state, FlagState::False);
    assert_eq!(trusted.outcome, Outcome::Review);

    peers[0].standing = overturned(1);
    let doubted = concluded(&peers);
    assert_eq!(state(&doubted, FlagCode::Ad), (TRUE, Severity::Medium));
    assert_eq!(state(&doubted, FlagCode::Uc), (TRUE, Severity::Info));
    let reasons = flag(&doubted, FlagCode::Uc).reasons;
    assert_eq!(reasons[0].code, "UC-AD");
    assert_eq!(doubted.outcome, Outcome::Allow);
    let text = doubted.explanation.join("\n");
    assert!(text.contains("weight 0.61 from 1 source"), "{text}");
    assert!(text.contains("one step less"), "{text}");
}

#[test]
fn two_independent_sources_restrict_and_two_members_of_one_group_do_not() {
    let books = || vec![vec![loan(300, 95)], vec![loan(200, 120)], vec![]];
    let two = concluded(&peers(books()));
    assert_eq!(two.outcome, Outcome::Restrict);
    let text = two.explanation.join("\n");
    assert!(text.contains("weight 1.60 from 2 sources"), "{text}");

    // Two nodes of one group that report two other groups' defaults are one source.
    let mut named = books();
    for (book, name) in named.iter_mut().zip(["x", "y"]) {
        if let Some(Body::Loan(loan)) = book.first_mut().map(|record| &mut record.body) {
            loan.lender_group = Some(group(name));
        }
    }
    let mut same = peers(named);
    same[1].lender_group = same[0].lender_group.clone();
    let one_source = concluded(&same);
    assert_eq!(state(&one_source, FlagCode::Ad), (TRUE, Severity::Critical));
    assert_eq!(one_source.outcome, Outcome::Review);
    let text = one_source.explanation.join("\n");
    assert!(
        text.contains("needs weight 1.50 from two sources"),
        "{text}"
    );
}

#[test]
fn a_liar_beside_an_honest_member_cannot_restrict() {
    let mut peers = peers(vec![vec![loan(300, 95)], vec![loan(200, 120)], vec![]]);
    peers[1].standing = QUARANTINED;
    let conclusion = concluded(&peers);
    assert_eq!(state(&conclusion, FlagCode::Ad), (TRUE, Severity::High));
    assert_eq!(conclusion.outcome, Outcome::Review);
    let alone = concluded(&peers[1..]);
    assert_eq!(state(&alone, FlagCode::Ad), (TRUE, Severity::Medium));
    assert_eq!(alone.outcome, Outcome::Allow);
    let text = alone.explanation.join("\n");
    assert!(text.contains("a lender is in quarantine"), "{text}");
}

#[test]
fn what_stood_before_the_quarantine_keeps_its_weight() {
    let mut peers = peers(vec![vec![loan(300, 95)], vec![]]);
    peers[0].standing.quarantined_since = Some(now().plus(HOUR));
    let conclusion = concluded(&peers);
    assert_eq!(state(&conclusion, FlagCode::Ad), (TRUE, Severity::High));
}

#[test]
fn a_troubled_member_weighs_half_where_it_is_adverse_and_whole_where_it_lends() {
    let mut peers = peers(vec![
        vec![loan(1, 0)],
        vec![loan(2, 0)],
        vec![loan(300, 95)],
    ]);
    for peer in &mut peers {
        peer.standing.troubled_since = Some(Timestamp::from_unix_ms(0));
    }
    let conclusion = concluded(&peers);
    assert_eq!(state(&conclusion, FlagCode::Ad), (TRUE, Severity::Medium));
    assert_eq!(state(&conclusion, FlagCode::St), (TRUE, Severity::Critical));
    assert_eq!(conclusion.outcome, Outcome::Restrict, "its loans are loans");
}

#[test]
fn who_is_late_at_one_lender_and_pays_all_others_is_selective() {
    let selective = concluded(&peers(vec![vec![loan(120, 70)], vec![loan(60, 0)], vec![]]));
    assert_eq!(state(&selective, FlagCode::Sd), (TRUE, Severity::Medium));
    for books in [
        // An old loan; late elsewhere too; nothing else to pay.
        vec![vec![loan(200, 70)], vec![loan(60, 0)]],
        vec![vec![loan(120, 70)], vec![loan(60, 35)]],
        vec![vec![loan(120, 70)], vec![]],
    ] {
        let conclusion = concluded(&peers(books));
        assert_eq!(flag(&conclusion, FlagCode::Sd).state, FlagState::False);
    }
    let mut silent = peers(vec![vec![loan(120, 70)], vec![loan(60, 0)]]);
    silent.push(Member::lender("l9", vec![]).silenced().view());
    let conclusion = concluded(&silent);
    assert_eq!(flag(&conclusion, FlagCode::Sd).state, FlagState::Unknown);
}

fn seen_with(mut peer: PeerView, phones: Option<usize>, nationals: Option<usize>) -> PeerView {
    if let Seen::Answered {
        national, phone, ..
    } = &mut peer.seen
    {
        let told = |others: usize| {
            Some(Box::new(Summary {
                others_90d: Some(Tally::of(others)),
                ..Summary::default()
            }))
        };
        *national = phones.map_or(national.take(), told);
        *phone = nationals.and_then(told);
    }
    peer
}

#[test]
fn identities_are_inconsistent_by_the_most_that_one_member_saw() {
    let of = |tallies: &[(usize, usize)]| {
        let peers: Vec<PeerView> = (1..)
            .zip(tallies)
            .map(|(number, (phones, nationals))| {
                let member = Member::lender(&format!("l{number}"), vec![]).view();
                seen_with(member, Some(*phones), Some(*nationals))
            })
            .collect();
        flag(&concluded(&peers), FlagCode::Id)
    };
    let calm = of(&[(1, 1), (1, 1)]);
    assert_eq!(calm.state, FlagState::False);
    let open = of(&[(2, 1), (1, 1)]);
    assert_eq!(
        (open.state, open.up_to),
        (FlagState::Unknown, Severity::Medium)
    );
    let phones = of(&[(4, 1), (1, 1)]);
    assert_eq!((phones.state, phones.severity), (TRUE, Severity::Medium));
    assert_eq!(phones.reasons[0].code, "IDP04");
    let ring = of(&[(1, 3), (1, 1)]);
    assert_eq!((ring.state, ring.severity), (TRUE, Severity::High));
    assert_eq!(ring.reasons[0].code, "IDN03");
    // A summary of version 1 does not tell, and a silent member may know more.
    let mut peers = peers(vec![vec![], vec![loan(9, 0)]]);
    assert_eq!(
        flag(&concluded(&peers), FlagCode::Id).state,
        FlagState::False
    );
    if let Seen::Answered { national, .. } = &mut peers[1].seen
        && let Some(summary) = national
    {
        summary.others_90d = None;
    }
    assert_eq!(
        flag(&concluded(&peers), FlagCode::Id).state,
        FlagState::Unknown
    );
}

proptest! {
    /// However a member's word is doubted, counts stay and nothing gets graver.
    #[test]
    fn doubt_never_makes_an_answer_graver(
        members in members(Spice { disputes: true, links: true, bureaus: true, silence: true }),
        which in 0_usize..8,
        wrong in 0_u32..9,
        quarantined in any::<bool>(),
    ) {
        let before = views(&members);
        let mut after = before.clone();
        let at = which % after.len();
        after[at].standing = PeerStanding {
            quarantined_since: quarantined.then_some(Timestamp::from_unix_ms(0)),
            ..overturned(wrong)
        };
        let (before, after) = (concluded(&before), concluded(&after));
        prop_assert_eq!(&before.counts, &after.counts);
        for (before, after) in before.flags.iter().zip(&after.flags) {
            prop_assert_eq!(before.code, after.code);
            if before.code != FlagCode::Uc {
                prop_assert_eq!(before.state, after.state);
                prop_assert!(after.severity <= before.severity);
                prop_assert_eq!(before.up_to, after.up_to);
            }
        }
        if after.outcome == Outcome::Restrict {
            prop_assert_eq!(before.outcome, Outcome::Restrict);
        }
    }

    /// A single lender, whatever it reports and however it is trusted, restricts nobody.
    #[test]
    fn a_single_member_never_restricts(
        members in members(Spice { disputes: true, links: true, bureaus: true, silence: true }),
        which in 0_usize..8,
        upheld in 0_u32..10_000,
    ) {
        let mut one = members;
        let at = which % one.len();
        for (place, member) in one.iter_mut().enumerate() {
            if place != at {
                member.records.clear();
            }
        }
        let mut peers = views(&one);
        peers[at].standing.upheld = upheld;
        prop_assert_ne!(concluded(&peers).outcome, Outcome::Restrict);
    }
}
