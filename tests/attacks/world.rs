//! A network of lenders with drawn books: what each member publishes of a borrower, and what an
//! asker concludes from it.

use std::collections::BTreeMap;
use std::time::Duration;

use creditmesh::domain::{
    Bands, Body, Currency, FlagCode, FlagState, LenderGroup, Level, Loan, LoanState, NetworkId,
    Record, Role, SilentReason, Summary, SummaryTerms, Timestamp, summarize,
};
use creditmesh::risk::{AskerContext, Conclusion, PeerStanding, PeerView, Policy, Seen, conclude};
use creditmesh::workload::{Population, PopulationSpec};

use super::dice::Dice;

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// Members of the network, all of them lenders.
pub(crate) const LENDERS: usize = 20;

/// Every record about one borrower by the member that holds it.
pub(crate) type Books = BTreeMap<usize, Vec<Record>>;

/// What is known of members beside their books.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) standings: Vec<PeerStanding>,
    pub(crate) weights: Vec<u32>,
    pub(crate) silent: Vec<usize>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            standings: vec![PeerStanding::default(); LENDERS],
            weights: vec![1; LENDERS],
            silent: Vec::new(),
        }
    }
}

pub(crate) struct World {
    pub(crate) population: Population,
    pub(crate) books: Vec<Books>,
    policy: Policy,
    bands: Bands,
    network: NetworkId,
}

pub(crate) fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-03-02T00:30:00Z").unwrap()
}

impl World {
    pub(crate) fn of(seed: u64, borrowers: usize) -> Self {
        let population = Population::draw(PopulationSpec {
            seed,
            borrowers,
            lenders: LENDERS,
            outside_lenders: 0,
            start: Timestamp::parse_rfc3339("2026-03-02T00:00:00Z").unwrap(),
        })
        .unwrap();
        let books = population.people.iter().map(|person| {
            let mut books = Books::new();
            for filed in &person.book {
                let book = books.entry(filed.member).or_default();
                book.push(filed.record.clone());
            }
            books
        });
        let edges: Vec<i64> = [1, 2, 3, 5, 8, 10, 15, 20, 30, 40, 50, 75, 100, 150]
            .map(|thousands| thousands * 100_000)
            .into();
        Self {
            books: books.collect(),
            population,
            policy: Policy::built_in(Currency::USD).unwrap(),
            bands: Bands::of(Currency::USD, &edges).unwrap(),
            network: "attacks".parse().unwrap(),
        }
    }

    fn group(&self, member: usize) -> LenderGroup {
        self.population.platforms[member].group.clone()
    }

    pub(crate) fn summary(&self, member: usize, records: &[Record], at: Timestamp) -> Summary {
        let terms = SummaryTerms {
            level: Level::Full,
            network: &self.network,
            own_group: &self.group(member),
            bands: &self.bands,
            now: at,
        };
        // The asker sees what the bytes tell.
        Summary::decode(&summarize(records, &terms).summary.encode()).unwrap()
    }

    /// What `asker` concludes of the borrower of these books.
    pub(crate) fn assess(
        &self,
        asker: usize,
        books: &Books,
        network: &Network,
        at: Timestamp,
    ) -> Conclusion {
        let others = (0..LENDERS).filter(|member| *member != asker);
        let views: Vec<PeerView> = others
            .map(|member| PeerView {
                member: format!("member-{member:02}").parse().unwrap(),
                lender_group: self.group(member),
                role: Role::Lender,
                level: Level::Full,
                weight: network.weights[member],
                standing: network.standings[member],
                seen: if network.silent.contains(&member) {
                    Seen::Silent {
                        reason: SilentReason::Deadline,
                    }
                } else {
                    let book = books.get(&member);
                    Seen::Answered {
                        national: book.map(|records| Box::new(self.summary(member, records, at))),
                        phone: None,
                        as_of: at,
                        taken_on: None,
                    }
                },
            })
            .collect();
        let context =
            AskerContext::new(self.network.clone(), self.group(asker), self.bands.clone());
        conclude(&self.policy, &context, &views, at)
    }

    /// A lender that knows nothing of the borrower yet, and is none of `but`.
    pub(crate) fn asker(&self, person: usize, but: &[usize], dice: &Dice) -> usize {
        let books = &self.books[person];
        loop {
            let asker = usize::try_from(dice.below(LENDERS as u64)).unwrap();
            if !but.contains(&asker) && (!books.contains_key(&asker) || books.len() >= 15) {
                return asker;
            }
        }
    }
}

/// Whether a flag certainly holds.
pub(crate) fn holds(conclusion: &Conclusion, code: FlagCode) -> bool {
    let flag = conclusion.flags.iter().find(|flag| flag.code == code);
    flag.is_some_and(|flag| flag.state == FlagState::True)
}

/// The place of a loan that runs and is paid in time, if there is one.
pub(crate) fn good_loan(records: &[Record]) -> Option<usize> {
    records.iter().position(|record| {
        matches!(&record.body, Body::Loan(loan)
            if loan.state == LoanState::Active && loan.dpd == 0)
    })
}

/// Says that the loan is in default, in a new version.
pub(crate) fn mark_default(record: &mut Record, at: Timestamp) {
    record.head.version = record.head.version.next();
    record.head.reported_at = at;
    record.head.as_of = at;
    if let Body::Loan(loan) = &mut record.body {
        lie(loan, at);
    }
}

fn lie(loan: &mut Loan, at: Timestamp) {
    loan.dpd = 95;
    loan.past_due = loan.outstanding;
    loan.n_missed = 4;
    loan.first_delinquency_on = Some(at.day().plus_days(-95));
}
