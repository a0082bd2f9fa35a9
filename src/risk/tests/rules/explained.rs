//! Rules of single answers: what links cannot do, and what the explanation says of age.

use super::*;

#[test]
fn invented_links_lower_nothing_that_others_report() {
    let owing = |number: u32, minor: i64, said: Option<&str>| {
        let mut record = running(100 + number);
        if let Body::Loan(loan) = &mut record.body {
            loan.principal = cny(minor);
            loan.outstanding = cny(minor);
            loan.lender_group = said.map(group);
            loan.transfer_link = said.map(|_| [9; 8]);
        }
        record
    };
    let honest = || vec![owing(0, 20_000_001, None)];
    for minor in [2_000_000, 25_000_000, 900_000_000_000] {
        for names in [["ghost-a", "ghost-b"], ["l1-group", "l2-group"]] {
            let invented = vec![
                owing(1, minor, Some(names[0])),
                owing(2, minor, Some(names[1])),
            ];
            let conclusion = concluded(&lenders(vec![honest(), honest(), invented]));
            let found = state(&conclusion, FlagCode::Ex);
            assert_eq!(found, (TRUE, Severity::Critical), "{minor} as {names:?}");
        }
    }
}

#[test]
fn the_age_of_applications_is_explained_and_changes_no_flag() {
    let told = |hours| {
        let applied = || vec![applied(hours, ApplicationKind::Application)];
        let one = concluded(&lenders(vec![applied(), applied()]));
        let line = one
            .explanation
            .into_iter()
            .find(|one| one.starts_with("CA "));
        line.expect("a line about CA")
    };
    let young = told(1);
    assert!(
        young.contains("0 days old, in a score it weighs 1.00"),
        "{young}"
    );
    let older = told(60);
    assert!(
        older.contains("2 days old, in a score it weighs 0.97"),
        "{older}"
    );
    let flag = |line: &str| line.split(';').next().map(str::to_owned);
    assert_eq!(flag(&young), flag(&older));
}
