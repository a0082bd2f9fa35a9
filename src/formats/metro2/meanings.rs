//! What the words of a file mean in the book: `docs/metro2.md` gives the reasons.

use super::codes::{Compliance, Ecoa};
use super::consumers::Consumer;
use super::tables::{AccountType, Indicator, SpecialComment};
use crate::domain::{Currency, Dispute, Money, MonthStatus, Product, Treatment};

/// Whole dollars, which is all that the format has.
pub(super) fn dollars(amount: u64) -> Money {
    let cents = i64::try_from(amount.saturating_mul(100)).unwrap_or(i64::MAX);
    Money::of(cents, Currency::USD)
}

/// The field of a base segment that a field of a record comes from.
pub(super) fn base_field(field: &str) -> Option<&'static str> {
    Some(match field {
        "opened_on" | "signed_at" => "date_opened",
        "closed_on" => "date_closed",
        "principal" => "highest_credit",
        "outstanding" => "current_balance",
        "past_due" => "amount_past_due",
        "instalment" => "scheduled_monthly_payment",
        "credit_limit" => "credit_limit",
        "dpd" | "state" => "account_status",
        "first_delinquency_on" => "date_first_delinquency",
        "term_days" | "maturity_on" => "terms_duration",
        "account_ref" => "consumer_account_number",
        "as_of" => "date_account_information",
        "reported_at" | "version" => "time_stamp",
        "amount" => "original_charge_off",
        "event_on" => "payment_history_profile",
        _ => return None,
    })
}

pub(super) fn instalment_product(account: AccountType) -> Product {
    use AccountType as T;
    let is_secured = matches!(
        account,
        T::Auto
            | T::Secured
            | T::PartlySecured
            | T::RealEstate
            | T::TimeShare
            | T::Construction
            | T::Lease
            | T::AutoLease
            | T::Manufactured
            | T::SecondMortgage
            | T::SecondLien
            | T::GovernmentGuaranteedSecured
            | T::GovernmentLoanSecured
            | T::HomeEquity
            | T::SecuredHomeImprovement
    );
    let is_of_goods = matches!(
        account,
        T::SalesContract | T::ChargeAccount | T::Recreational
    );
    let is_business = matches!(
        account,
        T::Business | T::BusinessInstalment | T::BusinessInstalmentLine | T::Agricultural
    );
    if is_secured {
        Product::Secured
    } else if is_of_goods {
        Product::ConsumerInstalment
    } else if is_business {
        Product::MicroBusiness
    } else {
        Product::InstalmentUnsecured
    }
}

pub(super) fn month_status(character: char) -> Option<MonthStatus> {
    Some(match character {
        '0' => MonthStatus::Current,
        '1' => MonthStatus::D30To59,
        '2' => MonthStatus::D60To89,
        '3' => MonthStatus::D90To119,
        '4' => MonthStatus::D120To149,
        '5' => MonthStatus::D150To179,
        '6' => MonthStatus::D180Plus,
        'B' | 'D' | 'Z' | ' ' => MonthStatus::Unknown,
        'E' => MonthStatus::ZeroBalance,
        // Foreclosure, surrender and repossession are the lender's way to its money too.
        'G' | 'H' | 'J' | 'K' => MonthStatus::Collection,
        'L' => MonthStatus::ChargedOff,
        _ => return None,
    })
}

pub(super) fn treatment(comment: Option<SpecialComment>, consumer: &Consumer<'_>) -> Treatment {
    if consumer.ecoa == Ecoa::Deceased {
        return Treatment::Deceased;
    }
    let is_insolvent = consumer.indicator.is_some_and(|indicator| {
        use Indicator as I;
        matches!(
            indicator,
            I::Undesignated
                | I::Petition7
                | I::Petition11
                | I::Petition12
                | I::Petition13
                | I::Discharged7
                | I::Discharged11
                | I::Discharged12
                | I::Completed13
                | I::Receivership
        )
    });
    if is_insolvent {
        return Treatment::Insolvency;
    }
    match comment {
        Some(SpecialComment::Forbearance | SpecialComment::InterestOnly) => Treatment::Forbearance,
        Some(
            SpecialComment::Modified
            | SpecialComment::FederalModification
            | SpecialComment::PartialPayment,
        ) => Treatment::Restructured,
        Some(SpecialComment::Disaster) => Treatment::Disaster,
        Some(_) | None => Treatment::None,
    }
}

pub(super) const fn dispute(code: Option<Compliance>) -> Dispute {
    match code {
        Some(
            Compliance::Disputed
            | Compliance::ClosedDisputed
            | Compliance::BillingDispute
            | Compliance::ClosedBilling,
        ) => Dispute::Open,
        Some(
            Compliance::Disagrees
            | Compliance::ClosedDisagrees
            | Compliance::BillingDisagrees
            | Compliance::ClosedBillingDisagrees,
        ) => Dispute::ResolvedDisagrees,
        Some(Compliance::Resolved) => Dispute::Resolved,
        Some(Compliance::ClosedByConsumer | Compliance::Remove) | None => Dispute::None,
    }
}
