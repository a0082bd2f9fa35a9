//! A small network with random histories: lenders, two of them of one group, and bureaus.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use crate::domain::{
    Application, ApplicationKind, ApplicationOutcome, Bands, Body, Borrower, Currency, Dispute,
    Hold, HoldState, LenderGroup, Level, Loan, LoanState, Money, NetworkId, Product, Record,
    RecordHead, RecordId, RetractionReason, Role, Signal, SignalKind, SilentReason, Summary,
    SummaryTerms, Timestamp, Version, summarize,
};
use crate::risk::{AskerContext, PeerStanding, PeerView, Policy, Seen};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// The asker's lender group.
pub(super) const ASKER: &str = "asker";

pub(super) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-15T10:20:30.400Z").unwrap()
}

pub(super) fn network() -> NetworkId {
    "net".parse().unwrap()
}

pub(super) fn group(name: &str) -> LenderGroup {
    name.parse().unwrap()
}

pub(super) fn bands() -> Bands {
    let edges = [100_000, 300_000, 500_000, 1_000_000, 5_000_000, 20_000_000];
    Bands::of(Currency::CNY, &edges).unwrap()
}

pub(super) fn policy() -> Policy {
    Policy::built_in(Currency::CNY).unwrap()
}

pub(super) fn asker() -> AskerContext {
    AskerContext::new(network(), group(ASKER), bands())
}

pub(super) fn cny(minor: i64) -> Money {
    Money::of(minor, Currency::CNY)
}

pub(super) fn record(number: u128, body: Body) -> Record {
    Record {
        head: RecordHead {
            record_id: RecordId(Uuid::from_u128(number)),
            version: Version::FIRST,
            reported_at: now(),
            as_of: now(),
            expires_on: None,
        },
        borrower: Borrower::default(),
        body,
    }
}

/// A member with what it has on record about one borrower.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) group: String,
    pub(super) role: Role,
    pub(super) weight: u32,
    pub(super) silent: bool,
    /// How long before `now` it last published.
    pub(super) published: Duration,
    pub(super) records: Vec<Record>,
}

impl Member {
    pub(super) fn lender(name: &str, records: Vec<Record>) -> Self {
        Self {
            name: name.to_owned(),
            group: format!("{name}-group"),
            role: Role::Lender,
            weight: 1,
            silent: false,
            published: Duration::ZERO,
            records,
        }
    }

    pub(super) fn bureau(name: &str, records: Vec<Record>) -> Self {
        Self {
            role: Role::Bureau,
            ..Self::lender(name, records)
        }
    }

    pub(super) fn silenced(&self) -> Self {
        Self {
            silent: true,
            ..self.clone()
        }
    }

    /// What it published last: at its time, and again whenever time alone changed it since.
    pub(super) fn summary(&self) -> Summary {
        let network = network();
        let own_group = group(&self.group);
        let bands = bands();
        let at = |now| {
            let terms = SummaryTerms {
                level: Level::Full,
                network: &network,
                own_group: &own_group,
                bands: &bands,
                now,
            };
            summarize(&self.records, &terms)
        };
        let mut made = at(now().minus(self.published));
        while let Some(change) = made.next_change.filter(|change| *change <= now()) {
            made = at(change);
        }
        Summary::decode(&made.summary.encode()).unwrap()
    }

    pub(super) fn view(&self) -> PeerView {
        PeerView {
            member: self.name.parse().unwrap(),
            lender_group: group(&self.group),
            role: self.role,
            level: Level::Full,
            weight: self.weight,
            standing: PeerStanding::default(),
            seen: if self.silent {
                Seen::Silent {
                    reason: SilentReason::Deadline,
                }
            } else {
                Seen::Answered {
                    national: Some(Box::new(self.summary())),
                    phone: None,
                    as_of: now(),
                    taken_on: None,
                }
            },
        }
    }
}

pub(super) fn views(members: &[Member]) -> Vec<PeerView> {
    members.iter().map(Member::view).collect()
}

/// A moment before `now`, often near the edge of a window.
fn moment() -> impl Strategy<Value = Timestamp> {
    let near_edge = prop::sample::select(vec![24_u32, 72, 7 * 24, 15 * 24, 30 * 24, 180 * 24]);
    prop_oneof![
        (0_u32..72 * 60).prop_map(|minutes| now().minus(MINUTE * minutes)),
        (0_u32..200 * 24).prop_map(|hours| now().minus(HOUR * hours)),
        (near_edge, 0_u32..180).prop_map(|(hours, minutes)| {
            now()
                .minus(HOUR * hours)
                .plus(MINUTE * 90)
                .minus(MINUTE * minutes)
        }),
    ]
    .prop_map(|at: Timestamp| at.min(now()))
}

/// What a random world may hold besides plain loans, applications and holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spice {
    pub(super) disputes: bool,
    pub(super) links: bool,
    pub(super) bureaus: bool,
    pub(super) silence: bool,
}

pub(super) const PLAIN: Spice = Spice {
    disputes: false,
    links: false,
    bureaus: false,
    silence: false,
};

fn loan(spice: Spice) -> impl Strategy<Value = Body> {
    let states = vec![
        LoanState::Active,
        LoanState::Active,
        LoanState::Active,
        LoanState::Paid,
        LoanState::ChargedOff,
        LoanState::Void,
        // A loan sold without a link may be another's: `lo` then counts less, not more.
        if spice.links {
            LoanState::Transferred
        } else {
            LoanState::SettledLess
        },
    ];
    let dpd = prop::sample::select(vec![0_u16, 0, 0, 10, 29, 30, 59, 60, 89, 90, 200]);
    let links =
        prop::option::weighted(0.4, 1_u8..4).prop_map(move |link| link.filter(|_| spice.links));
    let disputed = prop::bool::weighted(if spice.disputes { 0.3 } else { 0.0 });
    (
        moment(),
        prop::sample::select(states),
        dpd,
        links,
        disputed,
        1_i64..6_000_000,
    )
        .prop_map(|(signed, state, dpd, link, disputed, owed)| {
            let mut loan = Loan::new("a".to_owned(), Product::CashLoan, cny(owed), signed);
            loan.state = state;
            loan.transfer_link = link.map(|link| [link; 8]);
            if matches!(state, LoanState::Active | LoanState::ChargedOff) {
                loan.dpd = dpd;
                loan.instalment = Some(cny(owed / 10));
            } else {
                loan.outstanding = cny(0);
            }
            if disputed {
                loan.dispute = Dispute::Open;
            }
            Body::Loan(loan)
        })
}

fn application() -> impl Strategy<Value = Body> {
    let kinds = prop::sample::select(vec![
        ApplicationKind::Application,
        ApplicationKind::Application,
        ApplicationKind::Offer,
        ApplicationKind::Recheck,
    ]);
    (
        moment(),
        kinds,
        prop::sample::select(ApplicationOutcome::ALL),
    )
        .prop_map(|(at, kind, outcome)| {
            let mut one = Application::new(kind, Product::CashLoan, at);
            one.outcome = outcome;
            Body::Application(one)
        })
}

fn hold() -> impl Strategy<Value = Body> {
    let lives = prop::sample::select(vec![72_u32 * 60, 72 * 60, 30 * 60 + 7]);
    (
        0_u32..100 * 60,
        lives,
        prop::bool::weighted(0.2),
        1_i64..2_000_000,
    )
        .prop_map(|(minutes, life, released, amount)| {
            let signed = now().minus(MINUTE * minutes);
            let mut hold = Hold::new(cny(amount), signed);
            hold.expires_at = signed.plus(MINUTE * life);
            if released {
                hold.state = HoldState::Released;
            }
            Body::Hold(hold)
        })
}

fn signal() -> impl Strategy<Value = Body> {
    let others = SignalKind::ALL.iter().copied();
    let others: Vec<_> = others
        .filter(|kind| *kind != SignalKind::Disputed)
        .collect();
    let kinds = prop::sample::select(others);
    (kinds, 0_i64..900).prop_map(|(kind, days)| {
        Body::Signal(Signal::new(
            kind,
            now().day().plus_days(-days),
            "desk".to_owned(),
        ))
    })
}

fn body(spice: Spice) -> impl Strategy<Value = Body> {
    prop_oneof![
        4 => loan(spice),
        4 => application(),
        2 => hold(),
        1 => signal(),
    ]
}

fn of_group(body: Body, name: Option<usize>) -> Body {
    let name = name.map(|number| match number {
        0 => group(ASKER),
        number => group(&format!("l{number}-group")),
    });
    match body {
        Body::Loan(loan) => Body::Loan(Loan {
            lender_group: name,
            ..loan
        }),
        Body::Application(one) => Body::Application(Application {
            lender_group: name,
            ..one
        }),
        Body::Hold(hold) => Body::Hold(Hold {
            lender_group: name,
            ..hold
        }),
        other @ (Body::Signal(_) | Body::Retracted(_)) => other,
    }
}

/// Gives each record an id; some are followed by their retraction.
fn filed(member: u128, bodies: Vec<(Body, Option<usize>, bool)>) -> Vec<Record> {
    let mut records = Vec::new();
    for (number, (body, lender, retract)) in (1..).zip(bodies) {
        let filed = record(member * 1_000 + number, of_group(body, lender));
        if retract {
            records.push(filed.retracted(RetractionReason::FurnisherError, now()));
        }
        records.push(filed);
    }
    records
}

/// A network of lenders, the first two of one group, one of the asker's own, and perhaps bureaus.
pub(super) fn members(spice: Spice) -> impl Strategy<Value = Vec<Member>> {
    let retract = || prop::bool::weighted(0.1);
    let own = prop::collection::vec((body(spice), Just(None), retract()), 0..8);
    let of_many = (body(spice), (0_usize..14).prop_map(Some), retract());
    let book = prop::collection::vec(of_many, 0..40);
    let silent = prop::bool::weighted(if spice.silence { 0.3 } else { 0.0 });
    let lenders = prop::collection::vec((own, 0_u32..120, silent), 2..6);
    let bureaus = prop::collection::vec((book, 0_u32..120, silent), 0..3);
    (lenders, bureaus, 1_u32..8).prop_map(move |(lenders, bureaus, weight)| {
        let mut members = Vec::new();
        for (number, (bodies, minutes, silent)) in (1_u128..).zip(lenders) {
            let group = match number {
                1 | 2 => "l1-group".to_owned(),
                3 => ASKER.to_owned(),
                _ => format!("l{number}-group"),
            };
            members.push(Member {
                name: format!("l{number}"),
                group,
                role: Role::Lender,
                weight,
                silent,
                published: MINUTE * minutes,
                records: filed(number, bodies),
            });
        }
        for (number, (bodies, minutes, silent)) in (100_u128..).zip(bureaus) {
            if spice.bureaus {
                members.push(Member {
                    silent,
                    weight,
                    published: MINUTE * minutes,
                    ..Member::bureau(&format!("b{number}"), filed(number, bodies))
                });
            }
        }
        settle_links(&mut members);
        members
    })
}

/// A transfer has two parties: a third group that reports its link loses it.
fn settle_links(members: &mut [Member]) {
    let mut parties: BTreeMap<[u8; 8], BTreeSet<String>> = BTreeMap::new();
    for member in members {
        for record in &mut member.records {
            let Body::Loan(loan) = &mut record.body else {
                continue;
            };
            let named = loan.lender_group.as_ref().map(ToString::to_string);
            if let Some(link) = loan.transfer_link {
                let known = parties.entry(link).or_default();
                let party = named.unwrap_or_else(|| member.group.clone());
                if known.len() < 2 || known.contains(&party) {
                    known.insert(party);
                } else {
                    loan.transfer_link = None;
                }
            }
        }
    }
}
