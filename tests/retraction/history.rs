//! A random history: who files, corrects, disputes and retracts what, who asks, who is down, and
//! how time goes. Drawn before anything runs, so that two worlds can live through the same one.

use std::collections::BTreeSet;
use std::time::Duration;

use creditmesh::domain::{
    Application, ApplicationKind, ApplicationOutcome, Body, Borrower, Channel, Currency, Hold,
    HoldState, Identifier, Loan, LoanState, Money, Product, Purpose, Record, RecordHead, RecordId,
    RetractionReason, Signal, SignalKind, Timestamp, Version,
};

use crate::dice::Dice;
use crate::town::MEMBERS;

/// The borrowers: a national identity and a phone number each.
pub(crate) const BORROWERS: [(&str, &str); 2] = [
    ("us-ssn:219-09-9998", "phone:+12025550143"),
    ("us-ssn:457-55-5461", "phone:+12025550123"),
];

const HOUR: Duration = Duration::from_secs(3_600);

/// What is filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Application,
    Offer,
    Hold,
    Loan,
    LateLoan,
    DefaultSignal,
    LostContact,
}

/// One step. Records are named by their place among all that are filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    File {
        side: usize,
        borrower: usize,
        kind: Kind,
        with_phone: bool,
    },
    /// The record's next version says something else: a loan late, current or void, a signal that
    /// ended earlier, a hold given up, an application decided.
    Change {
        record: usize,
    },
    Cure {
        record: usize,
    },
    Dispute {
        record: usize,
    },
    Retract {
        record: usize,
    },
    Ask {
        side: usize,
        borrower: usize,
    },
    Stop {
        side: usize,
    },
    Start {
        side: usize,
    },
    Pass {
        hours: u64,
    },
}

/// A record as the history knows it: whose, and about whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filed {
    pub(crate) side: usize,
    pub(crate) borrower: usize,
    pub(crate) with_phone: bool,
}

/// The steps, and what becomes of every record.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) begin_hours: u64,
    pub(crate) steps: Vec<Step>,
    pub(crate) filed: Vec<Filed>,
    pub(crate) retracted: BTreeSet<usize>,
    /// Whether all nodes start anew before the last questions.
    pub(crate) restart: bool,
    /// Hours that pass before the very last questions.
    pub(crate) later_hours: u64,
}

impl History {
    pub(crate) fn draw(dice: &Dice) -> Self {
        let mut history = Self {
            // Early in an epoch, in the overlap of two, or right before it.
            begin_hours: [24 * 3, 24 * 31, 24 * 36 + 20, 24 * 29 + 22][pick(dice, 4)] + 10,
            restart: dice.chance(70),
            later_hours: [1, 5, 30, 24 * 8][pick(dice, 4)],
            ..Self::default()
        };
        let mut up = [true; 3];
        let mut days_left: u64 = 40;
        for _ in 0..12 + dice.below(16) {
            history.add(dice, &mut up, &mut days_left);
        }
        // A property about retractions needs one.
        if history.retracted.is_empty() {
            history.retract(dice, up);
        }
        for (side, up) in up.iter().enumerate() {
            if !up {
                history.steps.push(Step::Start { side });
            }
        }
        history
    }

    fn add(&mut self, dice: &Dice, up: &mut [bool; 3], days_left: &mut u64) {
        let side = pick(dice, 3);
        let borrower = usize::from(dice.chance(25));
        match dice.below(100) {
            0..26 if up[side] => {
                let filed = Filed {
                    side,
                    borrower,
                    with_phone: dice.chance(60),
                };
                self.filed.push(filed);
                self.steps.push(Step::File {
                    side,
                    borrower,
                    kind: KINDS[pick(dice, KINDS.len())],
                    with_phone: filed.with_phone,
                });
            }
            26..54 if up[side] => self.steps.push(Step::Ask { side, borrower }),
            54..70 => self.retract(dice, *up),
            70..84 => {
                let Some(record) = self.live(dice, *up) else {
                    return;
                };
                let step = match dice.below(3) {
                    0 => Step::Change { record },
                    1 => Step::Cure { record },
                    _ => Step::Dispute { record },
                };
                if !matches!(step, Step::Change { .. }) {
                    // What is said about a record may stand under an identifier that it lacks.
                    let with_phone = self.filed[record].with_phone ^ dice.chance(30);
                    self.filed.push(Filed {
                        with_phone,
                        ..self.filed[record]
                    });
                }
                self.steps.push(step);
            }
            84..90 => {
                up[side] = !up[side];
                self.steps.push(if up[side] {
                    Step::Start { side }
                } else {
                    Step::Stop { side }
                });
            }
            90.. => {
                let hours = match dice.below(10) {
                    0..7 => 1 + dice.below(6),
                    7..9 => 20 + dice.below(30),
                    _ => 24 * (6 + dice.below(26)),
                };
                let days = hours.div_ceil(24);
                if days <= *days_left {
                    *days_left -= days;
                    self.steps.push(Step::Pass { hours });
                }
            }
            _ => {}
        }
    }

    fn live(&self, dice: &Dice, up: [bool; 3]) -> Option<usize> {
        let live = (0..self.filed.len())
            .filter(|one| !self.retracted.contains(one) && up[self.filed[*one].side]);
        let live: Vec<usize> = live.collect();
        (!live.is_empty()).then(|| live[pick(dice, live.len())])
    }

    fn retract(&mut self, dice: &Dice, up: [bool; 3]) {
        if let Some(record) = self.live(dice, up) {
            self.retracted.insert(record);
            self.steps.push(Step::Retract { record });
        }
    }
}

const KINDS: [Kind; 7] = [
    Kind::Application,
    Kind::Offer,
    Kind::Hold,
    Kind::Loan,
    Kind::LateLoan,
    Kind::DefaultSignal,
    Kind::LostContact,
];

fn pick(dice: &Dice, count: usize) -> usize {
    usize::try_from(dice.below(u64::try_from(count).unwrap())).unwrap()
}

/// The id of the record at a place.
pub(crate) fn id_of(place: usize) -> RecordId {
    RecordId(uuid::Uuid::from_u128(0x7000 + place as u128))
}

/// A borrower as its records name it.
pub(crate) fn borrower(of: usize, with_phone: bool) -> Borrower {
    let (national, phone) = BORROWERS[of];
    let parse = |text| Identifier::parse(text, None).unwrap();
    Borrower {
        national: Some(parse(national)),
        phone: with_phone.then(|| parse(phone)),
        name_dob: None,
    }
}

fn record(place: usize, filed: Filed, body: Body, now: Timestamp) -> Record {
    Record {
        head: RecordHead {
            record_id: id_of(place),
            version: Version::FIRST,
            reported_at: now,
            as_of: now,
            expires_on: None,
        },
        borrower: borrower(filed.borrower, filed.with_phone),
        body,
    }
}

/// The first version of a record.
pub(crate) fn first(place: usize, filed: Filed, kind: Kind, now: Timestamp) -> Record {
    let earlier = now.minus(HOUR * 24 * u32::try_from(place % 9).unwrap());
    let signal = |kind| Signal::new(kind, earlier.day(), "desk-1".to_owned());
    let usd = |minor| Money::of(minor, Currency::USD);
    let body = match kind {
        Kind::Application | Kind::Offer => Body::Application(Application {
            kind: if kind == Kind::Offer {
                ApplicationKind::Offer
            } else {
                ApplicationKind::Application
            },
            lender_group: None,
            purpose: Purpose::CreditApplication,
            product: Product::InstalmentUnsecured,
            amount: Some(usd(50_000)),
            term_days: Some(90),
            income_month: None,
            channel: Channel::Other,
            at: earlier,
            outcome: ApplicationOutcome::Pending,
            outcome_at: None,
            consent_ref: None,
        }),
        Kind::Hold => Body::Hold(Hold {
            application: None,
            lender_group: None,
            amount: usd(70_000),
            signed_at: now,
            expires_at: now.plus(HOUR * 72),
            state: HoldState::Live,
        }),
        Kind::Loan | Kind::LateLoan => {
            let days = if kind == Kind::LateLoan { 200 } else { 60 };
            let earlier = earlier.minus(HOUR * 24 * days);
            let mut loan = Loan::new(
                format!("account-{place}"),
                Product::InstalmentUnsecured,
                usd(90_000 + 10_000 * i64::try_from(place).unwrap()),
                earlier,
            );
            if place % 4 != 3 || kind == Kind::LateLoan {
                loan.funded_at = Some(earlier);
            }
            if kind == Kind::LateLoan {
                loan.dpd = [35, 65, 95][place % 3];
                loan.past_due = usd(10_000);
                loan.first_delinquency_on = Some(earlier.day().plus_days(100));
            }
            Body::Loan(loan)
        }
        Kind::DefaultSignal => {
            let mut signal = signal(SignalKind::Default);
            signal.amount = Some(usd(30_000));
            signal.evidence = Some([3; 32]);
            signal.reviewed_by = Some("desk-2".to_owned());
            Body::Signal(signal)
        }
        Kind::LostContact => {
            let mut signal = signal(SignalKind::LostContact);
            signal.evidence = Some([3; 32]);
            signal.reviewed_by = Some("desk-2".to_owned());
            signal.attempts = Some(creditmesh::domain::Attempts {
                count: 4,
                over_days: 31,
            });
            Body::Signal(signal)
        }
    };
    record(place, filed, body, now)
}

/// A signal about another record.
pub(crate) fn about(
    place: usize,
    (subject, filed): (usize, Filed),
    kind: SignalKind,
    now: Timestamp,
) -> Record {
    let mut signal = Signal::new(kind, now.day(), "desk-1".to_owned());
    signal.about = Some(id_of(subject));
    signal.evidence = Some([4; 32]);
    signal.reviewed_by = Some("desk-2".to_owned());
    record(place, filed, Body::Signal(signal), now)
}

/// The next version of a record, where it has one to tell.
pub(crate) fn changed(held: &Record, now: Timestamp) -> Option<Record> {
    let body = match held.body.clone() {
        Body::Application(mut application) if application.is_undecided() => {
            application.outcome = ApplicationOutcome::Declined;
            application.outcome_at = Some(now);
            Body::Application(application)
        }
        Body::Hold(mut hold) if hold.state == HoldState::Live => {
            hold.state = HoldState::Released;
            Body::Hold(hold)
        }
        Body::Loan(mut loan) if loan.state == LoanState::Active => {
            if loan.funded_at.is_none() {
                loan.state = LoanState::Void;
                loan.outstanding = Money::of(0, Currency::USD);
                loan.closed_on = Some(now.day());
            } else if loan.dpd > 0 {
                loan.dpd = 0;
                loan.past_due = Money::of(0, Currency::USD);
            } else {
                loan.dpd = 40;
                loan.past_due = Money::of(5_000, Currency::USD);
                loan.first_delinquency_on
                    .get_or_insert(now.day().plus_days(-40));
            }
            Body::Loan(loan)
        }
        Body::Signal(mut signal) => {
            signal.ends_on = Some(now.day().plus_days(-1).max(signal.event_on));
            Body::Signal(signal)
        }
        Body::Application(_) | Body::Hold(_) | Body::Loan(_) | Body::Retracted(_) => return None,
    };
    let head = RecordHead {
        version: held.head.version.next(),
        reported_at: now,
        as_of: now,
        ..held.head
    };
    Some(Record {
        head,
        borrower: held.borrower.clone(),
        body,
    })
}

/// The last version of a record.
pub(crate) fn retracted(held: &Record, now: Timestamp) -> Record {
    held.retracted(RetractionReason::FurnisherError, now)
}

/// The level at which a member is answered.
pub(crate) fn level(side: usize) -> creditmesh::domain::Level {
    MEMBERS[side].1
}
