//! Who may do what: every rule of the one place that decides, with its reason.

use std::time::Duration;

use crate::domain::{Level, MemberId, Purpose, Role, Timestamp};
use crate::limits::FURNISHING_GRACE;
use crate::membership::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn now() -> Timestamp {
    at("2026-03-01T12:00:00Z")
}

fn member(change: impl FnOnce(&mut Member)) -> Member {
    let mut member = Member {
        id: "bank-a".parse().unwrap(),
        role: Role::Lender,
        state: MemberState::Active,
        lender_group: "bank-a".parse().unwrap(),
        endpoints: vec!["127.0.0.1:7420".to_owned()],
        identity_key: [7; 32],
        former_identity_keys: Vec::new(),
        level: Level::Full,
        weight: 4,
        quota_elements_per_epoch: 1_000,
        purposes: vec![Purpose::CreditApplication, Purpose::Collection],
        grants: Vec::new(),
        probation_until: None,
        late_warned_at: None,
        dispute: None,
    };
    change(&mut member);
    member
}

fn grant(service: Service, purposes: &[Purpose]) -> Grant {
    Grant {
        service,
        purposes: purposes.to_vec(),
        until: None,
        quota_elements_per_epoch: None,
    }
}

fn evaluate(purpose: Purpose) -> Wish {
    Wish {
        service: Service::Evaluate,
        purpose: Some(purpose),
        at: now(),
    }
}

fn feed() -> Wish {
    Wish {
        service: Service::Feed,
        purpose: None,
        at: now(),
    }
}

/// The word of the rule, with a `+` where it allows.
fn told(member: &Member, wish: &Wish) -> String {
    match Rights::of(member, 9).to(wish) {
        Ok(granted) => format!("+{}", granted.rule().code()),
        Err(denial) => {
            assert_eq!(denial.list_version, 9);
            denial.rule.code().to_owned()
        }
    }
}

#[test]
fn every_rule_decides_as_it_says() {
    let asks = evaluate(Purpose::CreditApplication);
    let reviews = evaluate(Purpose::AccountReview);
    let unnamed = Wish {
        purpose: None,
        ..asks
    };
    let described = Wish {
        service: Service::Describe,
        ..unnamed
    };
    let plain = member(|_| ());
    let regulator = member(|one| one.role = Role::Regulator);
    let nothing = member(|one| one.purposes.clear());
    let only_collects = member(|one| {
        one.purposes.clear();
        one.grants = vec![grant(Service::Evaluate, &[Purpose::Collection])];
    });
    let ended = member(|one| {
        one.purposes.clear();
        one.grants = vec![grant(Service::Evaluate, &[Purpose::CreditApplication])];
        one.grants[0].until = Some(now());
    });
    let mirrors = member(|one| {
        one.purposes.clear();
        one.grants = vec![grant(Service::Feed, &[])];
    });
    let watches = member(|one| {
        one.role = Role::Regulator;
        one.purposes.clear();
        one.grants = vec![grant(Service::Feed, &[])];
    });
    let late = member(|one| {
        one.level = Level::Defaults;
        one.late_warned_at = Some(now().minus(FURNISHING_GRACE));
    });
    for (who, wish, wanted) in [
        (&plain, &asks, "+purposes"),
        (&plain, &reviews, "purpose-not-granted"),
        (&plain, &unnamed, "no-purpose"),
        (&plain, &feed(), "+purposes"),
        (&plain, &described, "+every-member"),
        (&regulator, &asks, "role"),
        (&regulator, &feed(), "not-granted"),
        (&regulator, &described, "+every-member"),
        (&nothing, &asks, "not-granted"),
        (&nothing, &feed(), "not-granted"),
        (&nothing, &described, "+every-member"),
        (&only_collects, &asks, "purpose-not-granted"),
        (&only_collects, &evaluate(Purpose::Collection), "+granted"),
        (&only_collects, &feed(), "+granted"),
        (&ended, &asks, "grant-ended"),
        (&ended, &feed(), "grant-ended"),
        (&mirrors, &feed(), "+granted"),
        (&mirrors, &asks, "not-granted"),
        (&watches, &feed(), "+granted"),
        (&watches, &asks, "role"),
        (&late, &asks, "furnishing-late"),
        (&late, &feed(), "furnishing-late"),
        (&late, &described, "+every-member"),
    ] {
        assert_eq!(told(who, wish), wanted, "{wish:?} of {who:?}");
    }
}

#[test]
fn a_member_on_probation_has_a_tenth_of_its_quota_and_no_weight() {
    let new = member(|one| one.probation_until = Some(now().plus(Duration::from_secs(1))));
    let rights = Rights::of(&new, 1);
    let asks = evaluate(Purpose::CreditApplication);
    assert_eq!(rights.to(&asks).unwrap().quota_elements_per_epoch(), 100);
    assert_eq!(rights.weight(now()), 0);
    let later = now().plus(Duration::from_secs(1));
    let granted = rights.to(&Wish { at: later, ..asks }).unwrap();
    assert_eq!(granted.quota_elements_per_epoch(), 1_000);
    assert_eq!(rights.weight(later), 4);
}

#[test]
fn a_warned_member_loses_its_level_after_the_grace_and_not_before() {
    let warned_at = now().minus(FURNISHING_GRACE);
    let warned = member(|one| one.late_warned_at = Some(warned_at));
    let rights = Rights::of(&warned, 1);
    let asks = evaluate(Purpose::CreditApplication);
    assert_eq!(rights.to(&asks).unwrap().level(), Level::Defaults);
    let before = now().minus(Duration::from_millis(1));
    let granted = rights.to(&Wish { at: before, ..asks }).unwrap();
    assert_eq!(granted.level(), Level::Full);
    assert_eq!(granted.until(), Some(now()), "it is told when that ends");
}

#[test]
fn the_best_live_grant_counts_and_never_beyond_the_members_quota() {
    let purposes = [Purpose::CreditApplication];
    let end = now().plus(Duration::from_secs(60));
    let rich = member(|one| {
        one.purposes.clear();
        one.grants = vec![
            grant(Service::Evaluate, &purposes),
            grant(Service::Evaluate, &purposes),
        ];
        one.grants[0].quota_elements_per_epoch = Some(50);
        one.grants[1].quota_elements_per_epoch = Some(5_000);
        one.grants[1].until = Some(end);
    });
    let rights = Rights::of(&rich, 1);
    let asks = evaluate(Purpose::CreditApplication);
    let granted = rights.to(&asks).unwrap();
    assert_eq!(granted.quota_elements_per_epoch(), 1_000);
    assert_eq!(granted.until(), Some(end));
    let later = rights.to(&Wish { at: end, ..asks }).unwrap();
    assert_eq!(later.quota_elements_per_epoch(), 50);
}

#[test]
fn the_gate_lets_nobody_to_a_service_that_no_purpose_opens() {
    let plain = member(|_| ());
    let regulator = member(|one| one.role = Role::Regulator);
    let nothing = member(|one| one.purposes.clear());
    let reach = |one: &Member, service| {
        let reached = Rights::of(one, 1).reach(service, now());
        reached.map_err(|denial| denial.rule.code())
    };
    assert_eq!(reach(&plain, Service::Evaluate), Ok(()));
    assert_eq!(reach(&plain, Service::Feed), Ok(()));
    assert_eq!(reach(&regulator, Service::Evaluate), Err("role"));
    assert_eq!(reach(&nothing, Service::Evaluate), Err("not-granted"));
    assert_eq!(reach(&nothing, Service::Feed), Err("not-granted"));
    assert_eq!(reach(&nothing, Service::Standard), Ok(()));
}

#[test]
fn what_the_list_says_of_the_member_itself_comes_first() {
    let id: MemberId = "bank-a".parse().unwrap();
    let entropy = crate::env::SeededEntropy::from_seed(3);
    let usd = crate::domain::Currency::from_code("USD").unwrap();
    let seats = [Seat::of(&id, Role::Lender, "127.0.0.1:1").unwrap()];
    let network = "credit-net".parse().unwrap();
    let mut net = MintedNetwork::mint(&network, usd, &seats, now(), &entropy).unwrap();
    let asks = evaluate(Purpose::CreditApplication);
    assert!(Rights::decide(&net.roster, &id, &asks).is_ok());
    let other = Rights::decide(&net.roster, &"bank-z".parse().unwrap(), &asks);
    assert_eq!(other.unwrap_err().rule.code(), "not-a-member");
    let late = Wish {
        at: net.roster.expires_at(),
        ..asks
    };
    let denial = Rights::decide(&net.roster, &id, &late).unwrap_err();
    assert_eq!(denial.rule.code(), "list-expired");
    let suspend = |list: &mut MemberList| list.set_state(&id, MemberState::Suspended);
    net.publish(now(), suspend).unwrap();
    let denial = Rights::decide(&net.roster, &id, &asks).unwrap_err();
    assert_eq!(denial.rule.code(), "suspended");
    assert_eq!(denial.list_version, net.roster.version());
}

#[test]
fn a_grant_that_says_what_it_must_not_makes_the_list_unsound() {
    let purposes = [Purpose::CreditApplication];
    let twice = [Purpose::Collection, Purpose::Collection];
    let limited = Grant {
        quota_elements_per_epoch: Some(1),
        ..grant(Service::Feed, &[])
    };
    for (grants, keeps_purposes) in [
        (vec![grant(Service::Describe, &[])], false),
        (vec![grant(Service::Standard, &[])], false),
        (vec![grant(Service::Evaluate, &[])], false),
        (vec![grant(Service::Evaluate, &twice)], false),
        (vec![grant(Service::Feed, &purposes)], false),
        (vec![limited], false),
        (vec![grant(Service::Feed, &[]); 33], false),
        (vec![grant(Service::Evaluate, &purposes)], true),
    ] {
        let mut list = MemberList::first(
            &"credit-net".parse().unwrap(),
            now(),
            Duration::from_secs(86_400),
        );
        let entered = list.enter(member(|one| {
            if !keeps_purposes {
                one.purposes.clear();
            }
            one.grants.clone_from(&grants);
        }));
        assert!(entered.is_err(), "{grants:?}");
    }
}
