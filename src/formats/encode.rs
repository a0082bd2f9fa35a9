//! From a record to its cells, in canonical order and form.

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::cells::Cell;
use crate::domain::{
    Application, Body, Borrower, Hold, HoldState, Loan, Record, RecordHead, Signal,
};

/// The cells of `record`; a field without a value has none.
pub(super) fn encode(record: &Record) -> Vec<(&'static str, Cell)> {
    let mut row = Row(Vec::with_capacity(40));
    row.text("kind", record.kind().word());
    row.head(&record.head);
    if let Body::Retracted(retraction) = &record.body {
        row.text("retraction", retraction.reason.word());
    }
    row.borrower(&record.borrower);
    match &record.body {
        Body::Loan(loan) => row.loan(loan),
        Body::Application(application) => row.application(application),
        Body::Hold(hold) => row.hold(hold),
        Body::Signal(signal) => row.signal(signal),
        Body::Retracted(_) => {}
    }
    row.0
}

struct Row(Vec<(&'static str, Cell)>);

impl Row {
    fn text(&mut self, name: &'static str, value: impl Into<String>) {
        self.0
            .push((name, Cell::Text(Zeroizing::new(value.into()))));
    }

    /// A value that is written by its `Display`, where there is one.
    fn shown<T: ToString>(&mut self, name: &'static str, value: Option<T>) {
        if let Some(value) = value {
            self.text(name, value.to_string());
        }
    }

    fn hex(&mut self, name: &'static str, bytes: Option<&[u8]>) {
        if let Some(bytes) = bytes {
            self.text(name, HEXLOWER.encode(bytes));
        }
    }

    fn number(&mut self, name: &'static str, value: impl Into<u64>) {
        self.0.push((name, Cell::Number(value.into())));
    }

    fn head(&mut self, head: &RecordHead) {
        self.shown("record_id", Some(head.record_id));
        self.number("version", head.version.number());
        self.shown("reported_at", Some(head.reported_at));
        self.shown("as_of", Some(head.as_of));
        self.shown("expires_on", head.expires_on);
    }

    fn borrower(&mut self, borrower: &Borrower) {
        if let Some(national) = &borrower.national {
            self.text(
                "national_id",
                format!("{}:{}", national.kind(), national.value()),
            );
        }
        if let Some(phone) = &borrower.phone {
            // The prefix also keeps the plus from being read as a formula.
            self.text("phone", format!("{}:{}", phone.kind(), phone.value()));
        }
        if let Some(name_dob) = &borrower.name_dob {
            self.text("name", name_dob.name());
            self.shown("born", Some(name_dob.born()));
        }
    }

    fn loan(&mut self, loan: &Loan) {
        self.text("account_ref", loan.account_ref.as_str());
        self.shown("lender_group", loan.lender_group.as_ref());
        self.text("product", loan.product.word());
        self.text("role", loan.role.word());
        self.text("state", loan.state.word());
        self.shown("signed_at", Some(loan.signed_at));
        self.shown("funded_at", loan.funded_at);
        self.shown("opened_on", Some(loan.opened_on));
        self.shown("maturity_on", loan.maturity_on);
        self.shown("closed_on", loan.closed_on);
        self.shown("principal", Some(loan.principal));
        self.shown("outstanding", Some(loan.outstanding));
        self.shown("past_due", Some(loan.past_due));
        self.shown("instalment", loan.instalment);
        self.shown("credit_limit", loan.credit_limit);
        self.number("term_days", loan.term_days);
        if let Some(apr_bps) = loan.apr_bps {
            self.number("apr_bps", apr_bps);
        }
        self.number("dpd", loan.dpd);
        self.shown("first_delinquency_on", loan.first_delinquency_on);
        self.shown("history", Some(loan.history));
        self.number("n_on_time", loan.n_on_time);
        self.number("n_late", loan.n_late);
        self.number("n_missed", loan.n_missed);
        self.text("treatment", loan.treatment.word());
        self.text("dispute", loan.dispute.word());
        self.hex(
            "transfer_link",
            loan.transfer_link.as_ref().map(|link| link.as_slice()),
        );
        self.hex(
            "consent_ref",
            loan.consent_ref.as_ref().map(|hash| hash.as_slice()),
        );
    }

    fn application(&mut self, application: &Application) {
        self.text("application_kind", application.kind.word());
        self.shown("lender_group", application.lender_group.as_ref());
        self.text("purpose", application.purpose.word());
        self.text("product", application.product.word());
        self.shown("amount", application.amount);
        if let Some(term_days) = application.term_days {
            self.number("term_days", term_days);
        }
        self.shown("income_month", application.income_month);
        self.text("channel", application.channel.word());
        self.shown("at", Some(application.at));
        self.text("outcome", application.outcome.word());
        self.shown("outcome_at", application.outcome_at);
        self.hex(
            "consent_ref",
            application.consent_ref.as_ref().map(|hash| hash.as_slice()),
        );
    }

    fn hold(&mut self, hold: &Hold) {
        self.shown("application_id", hold.application);
        self.shown("lender_group", hold.lender_group.as_ref());
        self.shown("amount", Some(hold.amount));
        self.shown("signed_at", Some(hold.signed_at));
        self.shown("expires_at", Some(hold.expires_at));
        self.text("state", hold.state.word());
        if let HoldState::Converted { loan } = hold.state {
            self.shown("loan_id", Some(loan));
        }
    }

    fn signal(&mut self, signal: &Signal) {
        self.text("signal_kind", signal.kind.word());
        self.shown("fraud_type", signal.fraud_type);
        self.shown("about", signal.about);
        self.shown("event_on", Some(signal.event_on));
        self.hex(
            "evidence",
            signal.evidence.as_ref().map(|hash| hash.as_slice()),
        );
        self.shown("proof", signal.proof);
        self.text("filed_by", signal.filed_by.as_str());
        self.shown("reviewed_by", signal.reviewed_by.as_ref());
        self.shown("ends_on", signal.ends_on);
        self.shown("amount", signal.amount);
        if let Some(attempts) = signal.attempts {
            self.number("attempts", attempts.count);
            self.number("attempts_days", attempts.over_days);
        }
    }
}
