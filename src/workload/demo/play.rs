//! The fortnight: events in the order of time, those of different borrowers side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::try_join_all;
use serde_json::Value;
use tokio::time::Instant;

use super::measure::{DemoFigures, Measure};
use super::stage::Stage;
use super::{Act, DemoError, DemoProgress, Heard, Judge, story};
use crate::domain::{
    ApplicationKind, ApplicationOutcome, Borrower, Money, Purpose, Record, RecordId, Role,
    Timestamp,
};
use crate::env::{Clock, PlayedClock};
use crate::flows::{Desk, Given, NewApplication, NewHold};
use crate::risk::Policy;
use crate::workload::needles::Planted;
use crate::workload::{Ask, Event, Population, Reporter, SimulatedNetwork, Step, Truth};

/// Events that run side by side at most.
const SIDE_BY_SIDE: usize = 24;

/// Simulated time that events which run side by side may lie apart.
const TOGETHER: Duration = Duration::from_secs(1_800);

/// Borrowers whose identifiers the scan looks for.
const PLANTED: usize = 200;

/// Life of a hold.
const HOLD_LIFE: Duration = Duration::from_secs(72 * 3_600);

/// Records made by one application and what followed it.
#[derive(Debug, Clone, Copy, Default)]
struct Case {
    application: Option<RecordId>,
    hold: Option<RecordId>,
    /// Steps were lost while the lender was stopped.
    broken: bool,
}

/// What one event left behind.
#[derive(Debug, Default)]
struct Done {
    records: Vec<RecordId>,
    application: Option<RecordId>,
    hold: Option<RecordId>,
    answer: Option<(Given, Duration)>,
}

/// The play.
#[derive(Debug)]
pub(super) struct Play {
    stage: Stage,
    population: Population,
    clock: PlayedClock,
    judge: Judge,
    cases: BTreeMap<u32, Case>,
    /// Reports of members whose node does not run.
    waiting: BTreeMap<usize, Vec<Record>>,
    pub(super) heard: Vec<Heard>,
    /// Signatures and payouts by person: when, and by whom.
    pub(super) signed: BTreeMap<usize, Vec<(Timestamp, usize)>>,
    pub(super) funded: BTreeMap<usize, Vec<(Timestamp, usize)>>,
    /// The borrower of the third story.
    late: Option<usize>,
    finished: u64,
}

impl Play {
    pub(super) fn new(
        stage: Stage,
        population: Population,
        clock: PlayedClock,
        policy: Policy,
    ) -> Result<Self, DemoError> {
        let mut reporters = Vec::with_capacity(stage.players.len());
        for player in &stage.players {
            let group = player.member.as_str().parse();
            let group = group.map_err(|error| DemoError::Spec(format!("{error}")))?;
            reporters.push(Reporter {
                group,
                role: player.role,
            });
        }
        let mut truth = Truth::of(reporters);
        let start = clock.now();
        for number in stage.numbers_of(Role::Lender) {
            for record in population.book(number) {
                truth.recorded(number, start, record.clone());
            }
        }
        let judge = Judge {
            truth,
            policy,
            measure: Measure::default(),
        };
        let late = story::defaulter_at_the_bureau(&population);
        Ok(Self {
            stage,
            population,
            clock,
            judge,
            cases: BTreeMap::new(),
            waiting: BTreeMap::new(),
            heard: Vec::new(),
            signed: BTreeMap::new(),
            funded: BTreeMap::new(),
            late,
            finished: 0,
        })
    }
}

impl Play {
    /// Plays a stretch of the fortnight.
    pub(super) async fn run(
        &mut self,
        events: &[Event],
        total: u64,
        progress: &(dyn Fn(DemoProgress) + Sync),
    ) -> Result<(), DemoError> {
        let mut rest = events;
        while !rest.is_empty() {
            let (together, later) = rest.split_at(self.side_by_side(rest));
            rest = later;
            if let Some(last) = together.last() {
                self.clock.advance_to(last.at);
            }
            let done = try_join_all(together.iter().map(|event| self.perform(event))).await?;
            for (event, done) in together.iter().zip(done) {
                self.take_in(event, done).await?;
            }
            self.finished += together.len() as u64;
            progress(DemoProgress {
                stage: "two weeks of lending",
                done: self.finished,
                total,
            });
        }
        Ok(())
    }

    /// How many of the next events have nothing to do with each other, and lie close together.
    fn side_by_side(&self, events: &[Event]) -> usize {
        let mut met = BTreeSet::new();
        let first = events.first().map(|event| event.at).unwrap_or_default();
        let apart = |event: &&Event| {
            let borrower = self
                .population
                .people
                .get(event.person)
                .map(|person| &person.borrower);
            let names = borrower.into_iter().flat_map(Borrower::identifiers);
            let mut alone = true;
            for name in names {
                alone &= met.insert(name.canonical().to_owned());
            }
            alone && event.at.since(first) <= TOGETHER
        };
        events
            .iter()
            .take(SIDE_BY_SIDE)
            .take_while(apart)
            .count()
            .max(1)
    }

    async fn perform(&self, event: &Event) -> Result<Done, DemoError> {
        let case = self.cases.get(&event.case).copied().unwrap_or_default();
        if let Step::Report(_, record) = &event.step {
            return self.report(event.member, record).await;
        }
        if case.broken || !self.stage.runs(event.member) {
            return Ok(Done::default());
        }
        let desk = self.stage.desk(event.member)?;
        let key = format!("{}/{}", event.case, event.at.unix_ms());
        match (&event.step, case.application, case.hold) {
            (Step::Apply(ask), _, _) => {
                let wanted = self.application(event.person, ask)?;
                let began = Instant::now();
                let given = desk.assess(&key, &wanted).await?;
                let application = given.application;
                Ok(Done {
                    records: vec![application],
                    application: Some(application),
                    hold: None,
                    answer: Some((given, began.elapsed())),
                })
            }
            (Step::Decline, Some(id), _) => close(desk, id, ApplicationOutcome::Declined).await,
            (Step::Withdraw, Some(id), _) => close(desk, id, ApplicationOutcome::Withdrawn).await,
            (Step::Sign(amount), Some(id), _) => sign(desk, &key, id, *amount).await,
            (Step::Recheck, Some(id), _) => {
                let began = Instant::now();
                let given = desk.recheck(&key, id).await?;
                Ok(Done {
                    answer: Some((given, began.elapsed())),
                    ..Done::default()
                })
            }
            (Step::Fund(_), application, Some(hold)) => {
                let loan = desk
                    .convert(&key, hold, &format!("L-{}", event.case))
                    .await?;
                let mut records = vec![loan.record.head.record_id, hold];
                records.extend(application);
                Ok(Done {
                    records,
                    ..Done::default()
                })
            }
            (Step::Release, application, Some(hold)) => {
                desk.release(hold).await?;
                let mut records = vec![hold];
                records.extend(application);
                Ok(Done {
                    records,
                    ..Done::default()
                })
            }
            // A step of a case whose beginning was lost while its lender was stopped.
            (_, _, _) => Ok(Done::default()),
        }
    }

    async fn report(&self, member: usize, record: &Record) -> Result<Done, DemoError> {
        if !self.stage.runs(member) {
            return Ok(Done::default());
        }
        for filed in self
            .stage
            .desk(member)?
            .furnish_published(std::slice::from_ref(record))
            .await?
        {
            filed?;
        }
        Ok(Done {
            records: vec![record.head.record_id],
            ..Done::default()
        })
    }

    fn application(&self, person: usize, ask: &Ask) -> Result<NewApplication, DemoError> {
        let borrower = self.borrower(person)?.clone();
        Ok(NewApplication {
            borrower,
            kind: ask.kind,
            purpose: Purpose::CreditApplication,
            product: ask.product,
            amount: Some(ask.amount),
            term_days: Some(ask.term_days),
            income_month: None,
            consent_reference: format!("C-{person}"),
        })
    }

    fn borrower(&self, person: usize) -> Result<&Borrower, DemoError> {
        let found = self
            .population
            .people
            .get(person)
            .map(|person| &person.borrower);
        found.ok_or_else(|| DemoError::Spec(format!("there is no borrower number {person}")))
    }

    /// Tells the oracle what was recorded, and the judge what was answered.
    async fn take_in(&mut self, event: &Event, done: Done) -> Result<(), DemoError> {
        let now = self.clock.now();
        if let Some((given, took)) = &done.answer {
            let recheck = matches!(event.step, Step::Recheck);
            let soft =
                matches!(&event.step, Step::Apply(ask) if ask.kind == ApplicationKind::Offer);
            self.judge_answer(event, given, *took, (recheck, soft))?;
        }
        if let Step::Report(_, record) = &event.step {
            if self.stage.runs(event.member) {
                self.judge
                    .truth
                    .recorded(event.member, now, (**record).clone());
            } else {
                self.waiting
                    .entry(event.member)
                    .or_default()
                    .push((**record).clone());
            }
            return Ok(());
        }
        if done.records.is_empty() && done.answer.is_none() {
            self.cases.entry(event.case).or_default().broken = true;
            return Ok(());
        }
        for id in &done.records {
            if let Some(record) = self.stage.desk(event.member)?.book().find(*id).await? {
                self.judge.truth.recorded(event.member, now, record);
            }
        }
        let case = self.cases.entry(event.case).or_default();
        case.application = done.application.or(case.application);
        case.hold = done.hold.or(case.hold);
        match event.step {
            Step::Sign(_) => self
                .signed
                .entry(event.person)
                .or_default()
                .push((now, event.member)),
            Step::Fund(_) => self
                .funded
                .entry(event.person)
                .or_default()
                .push((now, event.member)),
            Step::Apply(_)
            | Step::Decline
            | Step::Withdraw
            | Step::Recheck
            | Step::Release
            | Step::Report(_, _) => {}
        }
        Ok(())
    }

    fn judge_answer(
        &mut self,
        event: &Event,
        given: &Given,
        took: Duration,
        (recheck, soft): (bool, bool),
    ) -> Result<(), DemoError> {
        let now = self.clock.now();
        let json: Value = serde_json::from_str(&given.json)?;
        let borrower = self.borrower(event.person)?.clone();
        let truth = self.judge.truth.answer(event.member, &borrower, now);
        let flags = truth.flags(&self.judge.policy, now);
        self.judge.measure.answer(&json, &truth, &flags, took);
        let list = json.get("flags").and_then(Value::as_array);
        let word = |flag: &Value, key: &str| {
            flag.get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let flags = list
            .into_iter()
            .flatten()
            .map(|f| (word(f, "code"), word(f, "state")));
        self.heard.push(Heard {
            at: now,
            asker: event.member,
            person: event.person,
            recheck,
            soft,
            outcome: given.outcome.clone(),
            flags: flags.collect(),
        });
        Ok(())
    }

    /// Changes the network between two stretches.
    pub(super) async fn act(&mut self, act: Act, at: Timestamp) -> Result<(), DemoError> {
        self.clock.advance_to(at);
        let bureau = self.stage.numbers_of(Role::Bureau).first().copied();
        let stopped = self.stage.numbers_of(Role::Lender).len().saturating_sub(1);
        match act {
            Act::BureauJoins => {
                let Some(bureau) = bureau else { return Ok(()) };
                self.ask_about_the_late_one().await?;
                self.stage.join(bureau).await?;
                let mut records: Vec<Record> = self.population.book(bureau).cloned().collect();
                records.extend(self.waiting.remove(&bureau).unwrap_or_default());
                self.stage.import(bureau, &records, |_| {}).await?;
                self.stage.start(bureau).await?;
                for record in records {
                    self.judge.truth.recorded(bureau, at, record);
                }
                self.ask_about_the_late_one().await
            }
            Act::LenderStops => self.stage.stop(stopped).await,
            Act::LenderReturns => {
                self.stage.start(stopped).await?;
                for record in self.waiting.remove(&stopped).unwrap_or_default() {
                    self.report(stopped, &record).await?;
                    self.judge.truth.recorded(stopped, at, record);
                }
                Ok(())
            }
            Act::Ends => Ok(()),
        }
    }

    /// The first lender makes the borrower of the third story a soft offer.
    async fn ask_about_the_late_one(&mut self) -> Result<(), DemoError> {
        let Some(person) = self.late else {
            return Ok(());
        };
        let ask = story::soft_ask()?;
        let case = u32::MAX - u32::try_from(self.heard.len()).unwrap_or(0);
        let event = Event {
            at: self.clock.now(),
            member: 0,
            person,
            case,
            step: Step::Apply(ask),
        };
        let done = self.perform(&event).await?;
        self.take_in(&event, done).await
    }

    /// Identifiers and names of borrowers whom somebody asked about, for the scan of the disks.
    pub(super) fn planted(&self) -> Vec<Planted> {
        let asked: BTreeSet<usize> = self.heard.iter().map(|heard| heard.person).collect();
        let people = asked
            .into_iter()
            .filter_map(|person| self.population.people.get(person));
        let identifiers = people
            .take(PLANTED)
            .flat_map(|person| person.borrower.identifiers());
        identifiers.cloned().map(Planted::Identifier).collect()
    }

    /// The three stories, and the identifier of the first one's borrower.
    pub(super) fn stories(&self) -> (Vec<Vec<String>>, Option<String>) {
        let material = story::Material {
            population: &self.population,
            players: &self.stage.players,
            heard: &self.heard,
            signed: &self.signed,
            funded: &self.funded,
            late: self.late,
        };
        let caught = material.caught();
        let borrower = caught.and_then(|person| self.borrower(person).ok());
        let national = borrower.and_then(|borrower| borrower.national.as_ref());
        let known = national.map(|id| format!("{}:{}", id.kind(), id.value()));
        (story::tell(&material), known)
    }

    /// The figures, and the network to be stopped.
    pub(super) fn finish(self) -> (DemoFigures, SimulatedNetwork) {
        let members = self.stage.players.len();
        let figures = self.judge.measure.figures(&super::measure::Conduct {
            members,
            population: &self.population,
            heard: &self.heard,
            signed: &self.signed,
            funded: &self.funded,
        });
        (figures, self.stage.network)
    }
}

async fn close(desk: &Desk, id: RecordId, outcome: ApplicationOutcome) -> Result<Done, DemoError> {
    desk.close(id, outcome).await?;
    Ok(Done {
        records: vec![id],
        ..Done::default()
    })
}

async fn sign(desk: &Desk, key: &str, id: RecordId, amount: Money) -> Result<Done, DemoError> {
    let wanted = NewHold {
        application: id,
        amount_minor: Some(amount.minor),
        life: HOLD_LIFE,
    };
    let hold = desk.hold(key, &wanted).await?.record.head.record_id;
    Ok(Done {
        records: vec![hold, id],
        hold: Some(hold),
        ..Done::default()
    })
}
