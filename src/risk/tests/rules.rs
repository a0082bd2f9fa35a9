//! The rules of `docs/flags.md`, one by one.

use super::world::*;
use crate::domain::*;
use crate::risk::{AskerContext, Conclusion, PeerView, Policy, Seen, conclude};

mod explained;

fn running(days_ago: u32) -> Record {
    let signed = now().minus(DAY * days_ago);
    let loan = Loan::new("a".to_owned(), Product::CashLoan, cny(250_000), signed);
    record(u128::from(days_ago) + 1, Body::Loan(loan))
}

fn late(days_ago: u32, dpd: u16) -> Record {
    let mut record = running(days_ago);
    if let Body::Loan(loan) = &mut record.body {
        loan.dpd = dpd;
    }
    record
}

fn applied(hours_ago: u32, kind: ApplicationKind) -> Record {
    let at = now().minus(HOUR * hours_ago);
    let one = Application::new(kind, Product::CashLoan, at);
    record(u128::from(hours_ago) + 5_000, Body::Application(one))
}

fn held(hours_ago: u32) -> Record {
    let hold = Hold::new(cny(100_000), now().minus(HOUR * hours_ago));
    record(u128::from(hours_ago) + 9_000, Body::Hold(hold))
}

fn signalled(kind: SignalKind) -> Record {
    let signal = Signal::new(kind, now().day(), "desk".to_owned());
    record(9_999, Body::Signal(signal))
}

fn lenders(books: Vec<Vec<Record>>) -> Vec<Member> {
    (1..)
        .zip(books)
        .map(|(number, book)| Member::lender(&format!("l{number}"), book))
        .collect()
}

fn concluded(members: &[Member]) -> Conclusion {
    conclude(&policy(), &asker(), &views(members), now())
}

fn flag(conclusion: &Conclusion, code: FlagCode) -> Flag {
    let found = conclusion.flags.iter().find(|flag| flag.code == code);
    found.unwrap().clone()
}

fn state(conclusion: &Conclusion, code: FlagCode) -> (FlagState, Severity) {
    let flag = flag(conclusion, code);
    (flag.state, flag.severity)
}

fn codes(conclusion: &Conclusion, code: FlagCode) -> Vec<String> {
    let reasons = flag(conclusion, code).reasons;
    reasons.into_iter().map(|reason| reason.code).collect()
}

const TRUE: FlagState = FlagState::True;

#[test]
fn severities_rise_with_lender_groups() {
    for (groups, severity, reason) in [
        (2, Severity::Low, "MB02"),
        (3, Severity::Medium, "MB03"),
        (5, Severity::High, "MB05"),
    ] {
        let conclusion = concluded(&lenders(vec![vec![running(100)]; groups]));
        assert_eq!(state(&conclusion, FlagCode::Mb), (TRUE, severity));
        assert_eq!(codes(&conclusion, FlagCode::Mb), [reason]);
    }
}

#[test]
fn members_of_one_group_and_a_bureau_that_repeats_it_count_once() {
    let mut members = lenders(vec![vec![running(100)], vec![running(50)]]);
    members[1].group = "l1-group".to_owned();
    let mut repeated = running(100);
    if let Body::Loan(loan) = &mut repeated.body {
        loan.lender_group = Some(group("l1-group"));
    }
    members.push(Member::bureau("b", vec![repeated]));
    let conclusion = concluded(&members);
    let count = conclusion.counts[&CountName::ActiveLenderGroups];
    assert_eq!(count, Interval::exactly(1));
    assert_eq!(conclusion.bands.exposure.lo_minor, 100_001, "not added up");
}

#[test]
fn a_stacker_is_seen_from_its_first_hold() {
    let conclusion = concluded(&lenders(vec![vec![held(2)], vec![held(1)], vec![]]));
    assert_eq!(state(&conclusion, FlagCode::St), (TRUE, Severity::Critical));
    assert_eq!(codes(&conclusion, FlagCode::St), ["ST72H-02", "ST15-02"]);
    assert_eq!(state(&conclusion, FlagCode::Ca), (TRUE, Severity::High));
    assert_eq!(conclusion.outcome, Outcome::Restrict);
    let one = concluded(&lenders(vec![vec![held(2)], vec![], vec![]]));
    assert_eq!(state(&one, FlagCode::Ca), (TRUE, Severity::Medium));
    assert_eq!(one.outcome, Outcome::Allow);
}

#[test]
fn offers_never_feed_an_adverse_flag() {
    let offers = vec![applied(5, ApplicationKind::Offer)];
    let mut books = vec![offers; 8];
    books.push(vec![applied(4, ApplicationKind::Application)]);
    let conclusion = concluded(&lenders(books));
    assert_eq!(flag(&conclusion, FlagCode::Vl).state, FlagState::False);
    assert_eq!(codes(&conclusion, FlagCode::Ca), ["CA01"]);
    let offers = conclusion.counts[&CountName::SoftApplications30d];
    assert_eq!(offers, Interval::exactly(8));
    assert_eq!(conclusion.outcome, Outcome::Allow);
}

#[test]
fn velocity_names_its_windows() {
    let books = vec![vec![applied(5, ApplicationKind::Application)]; 6];
    let conclusion = concluded(&lenders(books));
    assert_eq!(state(&conclusion, FlagCode::Vl), (TRUE, Severity::High));
    assert_eq!(
        codes(&conclusion, FlagCode::Vl),
        ["VL24H-06", "VL07-06", "VL15-06", "VL30-06"]
    );
}

#[test]
fn a_default_at_one_member_is_high_and_at_two_critical() {
    let one = concluded(&lenders(vec![vec![late(300, 95)], vec![], vec![]]));
    assert_eq!(state(&one, FlagCode::Ad), (TRUE, Severity::High));
    assert_eq!(one.outcome, Outcome::Review);
    let two = concluded(&lenders(vec![vec![late(300, 95)], vec![late(200, 120)]]));
    assert_eq!(codes(&two, FlagCode::Ad), ["AD2"]);
    assert_eq!(two.outcome, Outcome::Restrict);
}

#[test]
fn what_rests_on_a_single_member_is_reviewed() {
    let fraud = vec![signalled(SignalKind::FraudConfirmed)];
    let one = concluded(&lenders(vec![fraud.clone(), vec![running(9)], vec![]]));
    assert_eq!(state(&one, FlagCode::Fr), (TRUE, Severity::Critical));
    assert_eq!(one.outcome, Outcome::Review);
    assert!(
        one.explanation
            .iter()
            .any(|line| line.contains("single member"))
    );
    let two = concluded(&lenders(vec![fraud.clone(), fraud]));
    assert_eq!(two.outcome, Outcome::Restrict);

    let book = |names: [&str; 2]| {
        (1..)
            .zip(names)
            .map(|(number, name)| {
                let mut late = late(300 + number, 95);
                if let Body::Loan(loan) = &mut late.body {
                    loan.lender_group = Some(group(name));
                }
                late
            })
            .collect()
    };
    let liar = Member::bureau("b", book(["x-group", "y-group"]));
    let alone = concluded(std::slice::from_ref(&liar));
    assert_eq!(state(&alone, FlagCode::Ad), (TRUE, Severity::Critical));
    assert_eq!(alone.outcome, Outcome::Review);
    let other = Member::bureau("c", book(["x-group", "y-group"]));
    assert_eq!(concluded(&[liar, other]).outcome, Outcome::Restrict);
}

#[test]
fn coverage_decides_what_may_be_said() {
    let network = |silent: usize, book: Vec<Record>| {
        let mut members = lenders(vec![vec![]; 10]);
        members[9].records = book;
        for member in members.iter_mut().take(silent) {
            *member = member.silenced();
        }
        concluded(&members)
    };
    assert_eq!(network(0, vec![]).outcome, Outcome::Allow);
    let one = network(1, vec![]);
    assert_eq!(one.outcome, Outcome::Allow, "0.90 is good");
    assert!(
        one.explanation[0].contains("1 silent"),
        "{}",
        one.explanation[0]
    );
    assert_eq!(
        state(&one, FlagCode::Ad),
        (FlagState::Unknown, Severity::High)
    );
    assert_eq!(network(2, vec![]).outcome, Outcome::Review);
    assert_eq!(
        network(3, vec![]).outcome,
        Outcome::Review,
        "0.70 is enough"
    );
    assert_eq!(network(4, vec![]).outcome, Outcome::Inconclusive);
    let found = network(9, vec![late(300, 95)]);
    assert_eq!(found.outcome, Outcome::Review, "what is found stands");
    assert_eq!(codes(&found, FlagCode::Cv), ["CV70", "CV90"]);
    assert_eq!(network(10, vec![]).outcome, Outcome::Inconclusive);
}

#[test]
fn nobody_asked_is_inconclusive() {
    assert_eq!(concluded(&[]).outcome, Outcome::Inconclusive);
    let mut own = Member::lender("l1", vec![running(3)]);
    own.group = ASKER.to_owned();
    let conclusion = concluded(&[own]);
    assert_eq!(conclusion.coverage.asked, 0);
    assert_eq!(conclusion.outcome, Outcome::Inconclusive);
}

#[test]
fn without_a_national_identifier_nothing_is_concluded() {
    let members = lenders(vec![vec![running(3)]; 3]);
    let mut peers = views(&members);
    for peer in &mut peers {
        if let Seen::Answered {
            national, phone, ..
        } = &mut peer.seen
        {
            std::mem::swap(national, phone);
        }
    }
    let by_both = conclude(&policy(), &asker(), &peers, now());
    let phone = CountName::PhoneActiveLenderGroups;
    assert_eq!(by_both.counts[&phone], Interval::exactly(3));
    assert_eq!(flag(&by_both, FlagCode::Mb).state, FlagState::False);
    let asker = AskerContext {
        asked_national: false,
        ..asker()
    };
    let conclusion = conclude(&policy(), &asker, &peers, now());
    assert_eq!(conclusion.counts[&phone], Interval::exactly(3));
    assert_eq!(conclusion.outcome, Outcome::Inconclusive);
    assert_eq!(conclusion.coverage.answered, 0);
}

fn aged(hours: u32) -> PeerView {
    let mut view = Member::lender("l1", vec![running(3)]).view();
    if let Seen::Answered { as_of, .. } = &mut view.seen {
        *as_of = now().minus(HOUR * hours);
    }
    view
}

#[test]
fn an_old_state_widens_then_warns_then_is_missing() {
    let name = CountName::LiveHolds;
    let at = |hours| conclude(&policy(), &asker(), &[aged(hours)], now());
    assert_eq!(at(0).counts[&name], Interval::exactly(0));
    assert_eq!(at(1).counts[&name], Interval { lo: 0, hi: 1 });
    assert_eq!(flag(&at(24), FlagCode::Sa).state, FlagState::False);
    assert_eq!(flag(&at(25), FlagCode::Sa).state, FlagState::True);
    assert_eq!(at(25).coverage.answered, 1);
    let missing = at(169);
    assert_eq!(missing.coverage.answered, 0);
    assert_eq!(missing.coverage.silent[0].reason, SilentReason::Stale);
    let active = missing.counts[&CountName::ActiveLenderGroups];
    assert_eq!(active, Interval { lo: 0, hi: 1 }, "not used any more");
}

#[test]
fn a_member_that_shares_defaults_only_is_unknown_about_the_rest() {
    let mut view = Member::lender("l1", vec![]).view();
    view.level = Level::Defaults;
    let conclusion = conclude(&policy(), &asker(), &[view], now());
    let holds = conclusion.counts[&CountName::LiveHolds];
    let defaults = conclusion.counts[&CountName::ActiveDefaults];
    assert_eq!((holds.hi, defaults.hi), (1, 0));
}

#[test]
fn an_asker_at_defaults_level_is_told_defaults_only() {
    let asker = AskerContext {
        level: Level::Defaults,
        ..asker()
    };
    let members = lenders(vec![vec![late(300, 95)], vec![running(3)]]);
    let conclusion = conclude(&policy(), &asker, &views(&members), now());
    let names: Vec<_> = conclusion.counts.keys().copied().collect();
    assert_eq!(
        names,
        [CountName::ActiveDefaults, CountName::PhoneActiveDefaults]
    );
    let codes: Vec<_> = conclusion
        .flags
        .iter()
        .map(|flag| flag.code.word())
        .collect();
    assert_eq!(codes, ["AD", "FP", "RC", "CV", "SA", "UC", "DP", "RV"]);
}

#[test]
fn a_disputed_default_raises_nothing_and_shows() {
    let mut disputed = late(300, 95);
    if let Body::Loan(loan) = &mut disputed.body {
        loan.dispute = Dispute::Open;
    }
    let conclusion = concluded(&lenders(vec![vec![disputed], vec![]]));
    assert_eq!(flag(&conclusion, FlagCode::Ad).state, FlagState::Unknown);
    assert_eq!(state(&conclusion, FlagCode::Dp), (TRUE, Severity::Info));
    // Nothing automated rests on the record, and no ALLOW on its absence.
    assert_eq!(conclusion.outcome, Outcome::Review);
}

#[test]
fn the_askers_own_signals_in_a_bureaus_book_are_not_others() {
    let own_loan = |id: u128, name: &str| {
        let mut own = running(40);
        own.head.record_id = RecordId(uuid::Uuid::from_u128(id));
        if let Body::Loan(loan) = &mut own.body {
            loan.lender_group = Some(group(name));
            loan.treatment = Treatment::Restructured;
        }
        own
    };
    let only_own = Member::bureau("b", vec![own_loan(1, ASKER)]);
    assert_eq!(
        flag(&concluded(&[only_own]), FlagCode::Rs).state,
        FlagState::False
    );
    let both = Member::bureau("b", vec![own_loan(1, ASKER), own_loan(2, "x-group")]);
    let peers = views(std::slice::from_ref(&both));
    let heard = concluded(&[both]);
    assert_eq!(state(&heard, FlagCode::Rs), (TRUE, Severity::Medium));
    let own = Member::lender("own", vec![own_loan(1, "own-group")]).summary();
    let asker = AskerContext {
        own: Some(own),
        ..asker()
    };
    let conclusion = conclude(&policy(), &asker, &peers, now());
    assert_eq!(flag(&conclusion, FlagCode::Rs).state, FlagState::Unknown);
}

#[test]
fn exposure_and_income_are_held_against_their_caps() {
    let owing = |minor| {
        let mut record = running(100);
        if let Body::Loan(loan) = &mut record.body {
            loan.outstanding = cny(minor);
            loan.instalment = Some(cny(minor / 10));
        }
        vec![record]
    };
    let conclusion = concluded(&lenders(vec![owing(20_000_001); 2]));
    assert_eq!(state(&conclusion, FlagCode::Ex), (TRUE, Severity::Critical));
    assert_eq!(conclusion.outcome, Outcome::Restrict);
    let one = concluded(&lenders(vec![owing(20_000_001), vec![]]));
    assert_eq!(state(&one, FlagCode::Ex), (TRUE, Severity::High));
    assert_eq!(flag(&one, FlagCode::Ex).up_to, Severity::Critical);
    let asker = AskerContext {
        income_month_minor: Some(20_000),
        ..asker()
    };
    let members = lenders(vec![owing(400_000)]);
    let conclusion = conclude(&policy(), &asker, &views(&members), now());
    assert_eq!(codes(&conclusion, FlagCode::Ex), ["EXINC"]);
}

#[test]
fn a_cap_in_another_currency_says_nothing() {
    let usd = Policy::built_in(Currency::USD).unwrap();
    let members = lenders(vec![vec![running(3)], vec![]]);
    let conclusion = conclude(&usd, &asker(), &views(&members), now());
    let flag = flag(&conclusion, FlagCode::Ex);
    assert_eq!(
        (flag.state, flag.up_to),
        (FlagState::Unknown, Severity::Critical)
    );
}

#[test]
fn growth_needs_a_new_lender_and_a_base() {
    let grown = concluded(&lenders(vec![vec![running(200)], vec![running(10)]]));
    assert_ne!(flag(&grown, FlagCode::Eg).state, FlagState::False);
    let no_base = concluded(&lenders(vec![vec![], vec![running(10)]]));
    assert_eq!(flag(&no_base, FlagCode::Eg).state, FlagState::False);
    let same = vec![running(200), running(10), running(11)];
    let same_lender = concluded(&lenders(vec![same]));
    assert_eq!(flag(&same_lender, FlagCode::Eg).state, FlagState::False);
    let mut large = running(9);
    if let Body::Loan(loan) = &mut large.body {
        loan.outstanding = cny(900_000);
    }
    let certain = concluded(&lenders(vec![vec![running(200)], vec![large]]));
    assert_eq!(state(&certain, FlagCode::Eg), (TRUE, Severity::Medium));
}

#[test]
fn a_transferred_loan_counts_once_by_its_link() {
    let linked = |link: Option<[u8; 8]>| {
        let mut record = running(5);
        if let Body::Loan(loan) = &mut record.body {
            loan.transfer_link = link;
        }
        vec![record]
    };
    let name = CountName::SignedGroups15d;
    let once = concluded(&lenders(vec![linked(Some([7; 8])), linked(Some([7; 8]))]));
    assert_eq!(once.counts[&name], Interval::exactly(1));
    let twice = concluded(&lenders(vec![linked(None), linked(None)]));
    assert_eq!(twice.counts[&name], Interval::exactly(2));
    let mut sold = lenders(vec![linked(None), linked(None)]);
    if let Body::Loan(loan) = &mut sold[0].records[0].body {
        loan.state = LoanState::Transferred;
    }
    assert_eq!(concluded(&sold).counts[&name], Interval { lo: 1, hi: 2 });
}

#[test]
fn thin_needs_good_coverage() {
    let empty = concluded(&lenders(vec![vec![]; 3]));
    assert_eq!(state(&empty, FlagCode::Th), (TRUE, Severity::Info));
    let mut members = lenders(vec![vec![]; 3]);
    members[0] = members[0].silenced();
    let silent = concluded(&members);
    assert_eq!(flag(&silent, FlagCode::Th).state, FlagState::Unknown);
    let hit = concluded(&lenders(vec![vec![running(400)]]));
    assert_eq!(flag(&hit, FlagCode::Th).state, FlagState::False);
}

#[test]
fn protective_marks_are_never_adverse() {
    let victim = vec![signalled(SignalKind::FraudVictim)];
    let conclusion = concluded(&lenders(vec![victim.clone(), victim]));
    assert_eq!(state(&conclusion, FlagCode::Vi), (TRUE, Severity::Info));
    assert_eq!(conclusion.outcome, Outcome::Allow);
}

#[test]
fn names_of_members_stay_out_unless_the_policy_shows_them() {
    let mut members = lenders(vec![vec![held(1)], vec![held(2)], vec![], vec![]]);
    members[3] = members[3].silenced();
    let hidden = concluded(&members);
    assert!(!hidden.explanation.iter().any(|line| line.contains("l1")));
    assert_eq!(hidden.coverage.silent[0].member, None);
    let mut policy = policy();
    policy.show_members = true;
    let shown = conclude(&policy, &asker(), &views(&members), now());
    let text = shown.explanation.join("\n");
    assert!(text.contains("reported by l1, l2"), "{text}");
    assert!(
        text.contains("by the answer of member l4 (silent: deadline)"),
        "{text}"
    );
}

#[test]
fn an_answer_is_valid_for_as_long_as_the_policy_says() {
    let conclusion = concluded(&lenders(vec![vec![]]));
    assert_eq!(conclusion.valid_until, now().plus(HOUR));
}
