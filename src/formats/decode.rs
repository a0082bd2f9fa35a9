//! From the cells of a row to a record.

use data_encoding::HEXLOWER_PERMISSIVE;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::cells::{Cell, Cells};
use super::columns::{has_column, is_body_column};
use super::reject::Problem;
use crate::domain::{
    Application, ApplicationKind, ApplicationOutcome, Attempts, Body, Borrower, Channel, Day,
    Dispute, FraudType, History, Hold, HoldState, Identifier, IdentifierClass, IdentifierKind,
    LenderGroup, Loan, LoanRole, LoanState, Money, NameDob, Product, Proof, Purpose, Record,
    RecordHead, RecordId, RecordKind, Retraction, RetractionReason, Signal, SignalKind, Timestamp,
    Treatment, Version,
};

/// Where a row comes from, and so how far it is believed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    /// A file: everything is normalised and checked; a telephone number without country code is
    /// read in the default region.
    File(Option<&'a str>),
    /// This node's own sealed row: it was checked when it was written.
    Sealed,
}

type Decoded<T> = Result<T, Problem>;

/// The record that `cells` tell.
pub(super) fn decode(cells: Cells, source: Source<'_>) -> Decoded<Record> {
    let mut row = Row { cells };
    let kind = row.required("kind", |row| word_of!(row, "kind", RecordKind))?;
    let foreign = row.cells.names().find(|name| !has_column(kind, name));
    if let Some(name) = foreign {
        return Err(Problem::of(name, format!("must be empty in a {kind} row")));
    }
    let head = row.head()?;
    let retraction = word_of!(row, "retraction", RetractionReason)?;
    let borrower = row.borrower(source)?;
    let body = match (retraction, kind) {
        (Some(reason), _) => row.retracted(Retraction { kind, reason })?,
        (None, RecordKind::Loan) => Body::Loan(row.loan()?),
        (None, RecordKind::Application) => Body::Application(row.application()?),
        (None, RecordKind::Hold) => Body::Hold(row.hold()?),
        (None, RecordKind::Signal) => Body::Signal(row.signal()?),
    };
    let record = Record {
        head,
        borrower,
        body,
    };
    match source {
        Source::File(_) => record.check(None)?,
        Source::Sealed => {}
    }
    Ok(record)
}

struct Row {
    cells: Cells,
}

/// The value of a column whose values are words.
macro_rules! word_of {
    ($row:expr, $name:literal, $type:ident) => {
        $row.word($name, $type::from_word, || {
            let words: Vec<&str> = $type::ALL.iter().map(|value| value.word()).collect();
            words.join(", ")
        })
    };
}
use word_of;

impl Row {
    fn text(&mut self, name: &'static str) -> Option<Zeroizing<String>> {
        match self.cells.take(name) {
            Some(Cell::Text(text)) => Some(text),
            Some(Cell::Number(_)) | None => None,
        }
    }

    fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self) -> Decoded<Option<T>>,
    ) -> Decoded<T> {
        read(self)?.ok_or_else(|| Problem::of(name, "is missing"))
    }

    fn parsed<T, E: ToString>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Decoded<Option<T>> {
        self.text(name)
            .map(|text| parse(&text))
            .transpose()
            .map_err(|error| Problem::of(name, error.to_string()))
    }

    fn word<T>(
        &mut self,
        name: &'static str,
        from_word: impl FnOnce(&str) -> Option<T>,
        words: impl FnOnce() -> String,
    ) -> Decoded<Option<T>> {
        self.parsed(name, |text| {
            from_word(text).ok_or_else(|| format!("must be one of: {}", words()))
        })
    }

    fn number<T: TryFrom<u64>>(&mut self, name: &'static str) -> Decoded<Option<T>> {
        let number = match self.cells.take(name) {
            Some(Cell::Number(number)) => number,
            Some(Cell::Text(_)) | None => return Ok(None),
        };
        T::try_from(number)
            .map(Some)
            .map_err(|_| Problem::of(name, "is too large"))
    }

    fn count(&mut self, name: &'static str) -> Decoded<u16> {
        Ok(self.number(name)?.unwrap_or(0))
    }

    fn moment(&mut self, name: &'static str) -> Decoded<Option<Timestamp>> {
        self.parsed(name, Timestamp::parse_rfc3339)
    }

    fn day(&mut self, name: &'static str) -> Decoded<Option<Day>> {
        self.parsed(name, str::parse)
    }

    fn money(&mut self, name: &'static str) -> Decoded<Option<Money>> {
        self.parsed(name, str::parse)
    }

    fn record_id(&mut self, name: &'static str) -> Decoded<Option<RecordId>> {
        self.parsed(name, |text| {
            let id = Uuid::try_parse(text).map_err(|_| "must be a UUID of 32 hexadecimal digits");
            id.map(RecordId)
        })
    }

    fn group(&mut self) -> Decoded<Option<LenderGroup>> {
        self.parsed("lender_group", str::parse)
    }

    fn hex<const N: usize>(&mut self, name: &'static str) -> Decoded<Option<[u8; N]>> {
        self.parsed(name, |text| {
            let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
            bytes
                .and_then(|bytes| <[u8; N]>::try_from(bytes).ok())
                .ok_or_else(|| format!("must be {} hexadecimal digits", N * 2))
        })
    }

    fn head(&mut self) -> Decoded<RecordHead> {
        let record_id = self.required("record_id", |row| row.record_id("record_id"))?;
        let version = match self.number("version")? {
            Some(number) => {
                Version::of(number).ok_or_else(|| Problem::of("version", "must be 1 or more"))?
            }
            None => Version::FIRST,
        };
        let as_of = self.required("as_of", |row| row.moment("as_of"))?;
        Ok(RecordHead {
            record_id,
            version,
            reported_at: self.moment("reported_at")?.unwrap_or(as_of),
            as_of,
            expires_on: self.day("expires_on")?,
        })
    }

    fn borrower(&mut self, source: Source<'_>) -> Decoded<Borrower> {
        let name = self.text("name");
        let name_dob = match (name, self.day("born")?) {
            (Some(name), Some(born)) => Some(name_dob(&name, born, source)?),
            (Some(_), None) => return Err(Problem::of("born", "is needed beside a name")),
            (None, Some(_)) => return Err(Problem::of("name", "is needed beside a birth date")),
            (None, None) => None,
        };
        Ok(Borrower {
            national: self
                .text("national_id")
                .map(|text| national(&text, source))
                .transpose()?,
            phone: self
                .text("phone")
                .map(|text| phone(&text, source))
                .transpose()?,
            name_dob,
        })
    }

    /// A tombstone: whatever else the row says would be lost, so it may not say more.
    fn retracted(&self, retraction: Retraction) -> Decoded<Body> {
        match self.cells.names().find(|name| is_body_column(name)) {
            Some(name) => Err(Problem::of(name, "must be empty in a retraction")),
            None => Ok(Body::Retracted(retraction)),
        }
    }

    fn loan(&mut self) -> Decoded<Loan> {
        let reference = self.required("account_ref", |row| Ok(row.text("account_ref")))?;
        Ok(Loan {
            account_ref: reference.as_str().to_owned(),
            lender_group: self.group()?,
            product: self.required("product", |row| word_of!(row, "product", Product))?,
            role: word_of!(self, "role", LoanRole)?.unwrap_or(LoanRole::Sole),
            state: self.required("state", |row| word_of!(row, "state", LoanState))?,
            signed_at: self.required("signed_at", |row| row.moment("signed_at"))?,
            funded_at: self.moment("funded_at")?,
            opened_on: self.required("opened_on", |row| row.day("opened_on"))?,
            maturity_on: self.day("maturity_on")?,
            closed_on: self.day("closed_on")?,
            principal: self.required("principal", |row| row.money("principal"))?,
            outstanding: self.required("outstanding", |row| row.money("outstanding"))?,
            past_due: self.required("past_due", |row| row.money("past_due"))?,
            instalment: self.money("instalment")?,
            credit_limit: self.money("credit_limit")?,
            term_days: self.count("term_days")?,
            apr_bps: self.number("apr_bps")?,
            dpd: self.required("dpd", |row| row.number("dpd"))?,
            first_delinquency_on: self.day("first_delinquency_on")?,
            history: self.history()?,
            n_on_time: self.count("n_on_time")?,
            n_late: self.count("n_late")?,
            n_missed: self.count("n_missed")?,
            treatment: word_of!(self, "treatment", Treatment)?.unwrap_or(Treatment::None),
            dispute: word_of!(self, "dispute", Dispute)?.unwrap_or(Dispute::None),
            transfer_link: self.hex("transfer_link")?,
            consent_ref: self.hex("consent_ref")?,
        })
    }

    fn history(&mut self) -> Decoded<History> {
        let history = self.parsed("history", |text| {
            History::from_text(text).ok_or("must be 24 characters of . 0 1 2 3 4 5 6 7 G L Z")
        })?;
        Ok(history.unwrap_or(History::UNKNOWN))
    }

    fn purpose(&mut self) -> Decoded<Option<Purpose>> {
        self.parsed("purpose", |text| {
            Purpose::read(text).map_err(|error| error.to_string())
        })
    }

    fn application(&mut self) -> Decoded<Application> {
        let kind = self.required("application_kind", |row| {
            word_of!(row, "application_kind", ApplicationKind)
        })?;
        Ok(Application {
            kind,
            lender_group: self.group()?,
            purpose: self.purpose()?.unwrap_or(kind.purpose()),
            product: self.required("product", |row| word_of!(row, "product", Product))?,
            amount: self.money("amount")?,
            term_days: self.number("term_days")?,
            income_month: self.money("income_month")?,
            channel: word_of!(self, "channel", Channel)?.unwrap_or(Channel::Other),
            at: self.required("at", |row| row.moment("at"))?,
            outcome: self.required("outcome", |row| {
                word_of!(row, "outcome", ApplicationOutcome)
            })?,
            outcome_at: self.moment("outcome_at")?,
            consent_ref: self.hex("consent_ref")?,
        })
    }

    fn hold(&mut self) -> Decoded<Hold> {
        let amount = self.required("amount", |row| row.money("amount"))?;
        let signed_at = self.required("signed_at", |row| row.moment("signed_at"))?;
        let default = Hold::new(amount, signed_at);
        let loan = self.record_id("loan_id")?;
        let state = self.required("state", |row| Ok(row.text("state")))?;
        let state = match (state.as_str(), loan) {
            ("live", None) => HoldState::Live,
            ("released", None) => HoldState::Released,
            ("expired", None) => HoldState::Expired,
            ("converted", Some(loan)) => HoldState::Converted { loan },
            ("converted", None) => {
                return Err(Problem::of("loan_id", "is needed for a converted hold"));
            }
            ("live" | "released" | "expired", Some(_)) => {
                return Err(Problem::of(
                    "loan_id",
                    "must be empty unless state is converted",
                ));
            }
            (_, _) => {
                let reason = "must be one of: live, converted, released, expired";
                return Err(Problem::of("state", reason));
            }
        };
        Ok(Hold {
            application: self.record_id("application_id")?,
            lender_group: self.group()?,
            expires_at: self.moment("expires_at")?.unwrap_or(default.expires_at),
            state,
            ..default
        })
    }

    fn signal(&mut self) -> Decoded<Signal> {
        let attempts = match (self.number("attempts")?, self.number("attempts_days")?) {
            (Some(count), Some(over_days)) => Some(Attempts { count, over_days }),
            (None, None) => None,
            (Some(_), None) => return Err(Problem::of("attempts_days", "is needed too")),
            (None, Some(_)) => return Err(Problem::of("attempts", "is needed too")),
        };
        let filed_by = self.required("filed_by", |row| Ok(row.text("filed_by")))?;
        Ok(Signal {
            kind: self.required("signal_kind", |row| {
                word_of!(row, "signal_kind", SignalKind)
            })?,
            fraud_type: word_of!(self, "fraud_type", FraudType)?,
            about: self.record_id("about")?,
            event_on: self.required("event_on", |row| row.day("event_on"))?,
            evidence: self.hex("evidence")?,
            proof: word_of!(self, "proof", Proof)?,
            filed_by: filed_by.as_str().to_owned(),
            reviewed_by: self
                .text("reviewed_by")
                .map(|text| text.as_str().to_owned()),
            ends_on: self.day("ends_on")?,
            amount: self.money("amount")?,
            attempts,
        })
    }
}

fn name_dob(name: &str, born: Day, source: Source<'_>) -> Decoded<NameDob> {
    match source {
        Source::File(_) => {
            NameDob::of(name, born).map_err(|error| Problem::of("name", error.to_string()))
        }
        Source::Sealed => Ok(NameDob::restore(name, born)),
    }
}

/// A national identity number, written `kind:value`.
fn national(text: &str, source: Source<'_>) -> Decoded<Identifier> {
    let kind = text
        .split_once(':')
        .and_then(|(word, value)| Some((IdentifierKind::from_word(word)?, value)));
    let identifier = match (source, kind) {
        (Source::Sealed, Some((kind, value))) => Ok(Identifier::restore(kind, value)),
        (Source::Sealed | Source::File(_), _) => Identifier::parse(text, None),
    };
    let identifier = identifier.map_err(|error| Problem {
        class: kind.map_or("identifier", |(kind, _)| kind.word()),
        ..Problem::of("national_id", error.to_string())
    })?;
    if identifier.class() == IdentifierClass::National {
        Ok(identifier)
    } else {
        Err(Problem::of("national_id", "belongs into the column phone"))
    }
}

/// A telephone number; `phone:` in front is optional.
fn phone(text: &str, source: Source<'_>) -> Decoded<Identifier> {
    let value = text.strip_prefix("phone:").unwrap_or(text);
    match source {
        Source::Sealed => Ok(Identifier::restore(IdentifierKind::Phone, value)),
        Source::File(region) => Identifier::of(IdentifierKind::Phone, value, region)
            .map_err(|error| Problem::of("phone", error.to_string())),
    }
}
