//! Three stories that a lender understands at a glance.

use std::collections::BTreeMap;

use super::{DemoError, Heard, Player, told};
use crate::domain::{ApplicationKind, Money, Product, Timestamp};
use crate::workload::{Ask, Behaviour, Population};

/// What the stories are made of.
pub(super) struct Material<'a> {
    pub(super) population: &'a Population,
    pub(super) players: &'a [Player],
    pub(super) heard: &'a [Heard],
    pub(super) signed: &'a BTreeMap<usize, Vec<(Timestamp, usize)>>,
    pub(super) funded: &'a BTreeMap<usize, Vec<(Timestamp, usize)>>,
    pub(super) late: Option<usize>,
}

/// A borrower whose default only the bureau knows.
pub(super) fn defaulter_at_the_bureau(population: &Population) -> Option<usize> {
    let bureau = population.bureau()?;
    population.people.iter().position(|person| {
        let in_default = person.book.iter().any(|filed| match &filed.record.body {
            crate::domain::Body::Loan(loan) => loan.dpd >= 90 && filed.member == bureau,
            crate::domain::Body::Application(_)
            | crate::domain::Body::Hold(_)
            | crate::domain::Body::Signal(_)
            | crate::domain::Body::Retracted(_) => false,
        });
        in_default
            && person.behaviour == Behaviour::Steady
            && person.borrower.national.is_some()
            && person.book.iter().all(|filed| filed.member == bureau)
    })
}

/// A small offer, which leaves no mark that counts.
pub(super) fn soft_ask() -> Result<Ask, DemoError> {
    let currency = "USD"
        .parse()
        .map_err(|_| DemoError::Spec("no US dollar".to_owned()))?;
    Ok(Ask {
        kind: ApplicationKind::Offer,
        product: Product::InstalmentUnsecured,
        amount: Money::of(250_000, currency),
        term_days: 360,
        apr_bps: 1_500,
        instalment: Money::of(22_500, currency),
    })
}

/// Tells the stories, line by line; a story that did not happen is left out.
pub(super) fn tell(material: &Material<'_>) -> Vec<Vec<String>> {
    let stories = [material.stacker(), material.shopper(), material.late()];
    stories.into_iter().flatten().collect()
}

impl Material<'_> {
    fn name(&self, member: usize) -> &str {
        self.players
            .get(member)
            .map_or("somebody", |player| player.member.as_str())
    }

    fn of(&self, person: usize) -> impl Iterator<Item = &Heard> {
        self.heard
            .iter()
            .filter(move |heard| heard.person == person)
    }

    fn kind(&self, person: usize) -> Option<Behaviour> {
        self.population
            .people
            .get(person)
            .map(|person| person.behaviour)
    }

    fn asked(&self, heard: &Heard) -> (Timestamp, String) {
        let act = match (heard.recheck, heard.soft) {
            (true, _) => "rechecks before it pays out",
            (false, true) => "makes an offer",
            (false, false) => "gets an application",
        };
        let is_told = |code: &&str| heard.shows(code) && *code != "TH";
        let codes = heard.flags.iter().map(|(code, _)| code.as_str());
        let shown: Vec<&str> = codes.filter(is_told).collect();
        let why = if shown.is_empty() {
            String::new()
        } else {
            format!("  ({})", shown.join(", "))
        };
        let line = format!(
            "{:<9} {act}: {}{why}",
            self.name(heard.asker),
            heard.outcome
        );
        (heard.at, line)
    }

    fn in_order(&self, mut lines: Vec<(Timestamp, String)>) -> Vec<String> {
        lines.sort_by_key(|(at, _)| *at);
        lines
            .into_iter()
            .map(|(at, line)| format!("  {}  {line}", told(at)))
            .collect()
    }

    fn steps(&self, person: usize) -> Vec<(Timestamp, String)> {
        let mut lines: Vec<_> = self.of(person).map(|heard| self.asked(heard)).collect();
        let acts = [
            (self.signed, "signs the contract"),
            (self.funded, "pays out"),
        ];
        for (moments, act) in acts {
            for (at, member) in moments.get(&person).into_iter().flatten() {
                lines.push((*at, format!("{:<9} {act}", self.name(*member))));
            }
        }
        lines
    }

    /// The borrower of the first story.
    pub(super) fn caught(&self) -> Option<usize> {
        let caught = self.heard.iter().filter(|heard| {
            self.kind(heard.person) == Some(Behaviour::Stacker)
                && heard.shows("CA")
                && self.signed.contains_key(&heard.person)
        });
        caught.map(|heard| heard.person).min_by_key(|person| {
            let stopped = self.of(*person).any(|heard| heard.outcome == "RESTRICT");
            let silence = self.of(*person).any(|heard| heard.shows("CV"));
            (!stopped, silence, self.of(*person).count())
        })
    }

    fn stacker(&self) -> Option<Vec<String>> {
        let person = self.caught()?;
        let mut story = vec!["A stacker, caught between two lenders".to_owned()];
        story.extend(self.in_order(self.steps(person)));
        story.push(
            "  No lender told another whom it asked about. (Here they pay out whatever".to_owned(),
        );
        story
            .push("  they hear, so that what a lender would have lost can be counted.)".to_owned());
        Some(story)
    }

    fn shopper(&self) -> Option<Vec<String>> {
        let shoppers = self.heard.iter().map(|heard| heard.person);
        let person = shoppers
            .filter(|person| self.kind(*person) == Some(Behaviour::RateShopper))
            .filter(|person| self.of(*person).all(|h| !h.shows("CA") && !h.shows("ST")))
            .max_by_key(|person| {
                let let_pass = self.of(*person).all(|heard| heard.outcome == "ALLOW");
                (let_pass, self.of(*person).count())
            })?;
        let mut story = vec!["A rate shopper, rightly let pass".to_owned()];
        story.extend(self.in_order(self.steps(person)));
        story.push("  Offers are soft: they never count against the borrower.".to_owned());
        Some(story)
    }

    fn late(&self) -> Option<Vec<String>> {
        let person = self.late?;
        let mut lines: Vec<_> = self.of(person).map(|heard| self.asked(heard)).collect();
        if lines.len() < 2 {
            return None;
        }
        let (first, _) = lines.first()?.clone();
        lines.insert(
            1,
            (
                first,
                "bureau    joins the network, with a book of loans of others".to_owned(),
            ),
        );
        let mut story = vec!["A defaulter, recognised by a bureau that joined late".to_owned()];
        story.extend(self.in_order(lines));
        Some(story)
    }
}
