//! What changes from one member list to the next, in words for administrators who are to sign.

use super::list::{Member, MemberList, MemberState};
use super::text::hex_groups;

/// One sentence for each thing that differs; empty where the members are the same.
#[must_use]
pub fn differences(held: &MemberList, next: &MemberList) -> Vec<String> {
    let mut words = Vec::new();
    for member in &next.members {
        match held.member(&member.id) {
            None => words.push(entered(member)),
            Some(before) => changed(before, member, &mut words),
        }
    }
    for before in &held.members {
        if next.member(&before.id).is_none() {
            words.push(format!("{} loses its entry: do not sign", before.id));
        }
    }
    words
}

fn entered(member: &Member) -> String {
    let purposes: Vec<&str> = member.purposes.iter().map(|one| one.word()).collect();
    let told = [
        "id",
        "role",
        "level",
        "weight",
        "lender_group",
        "quota_elements_per_epoch",
        "purposes",
        "endpoints",
        "identity_key",
    ];
    let document = serde_json::to_value(member).unwrap_or_default();
    let fields = document.as_object().into_iter().flatten();
    // What has no words of its own yet is told as it stands in the document.
    let rest = fields.filter(|(name, _)| !told.contains(&name.as_str()));
    let rest: String = rest
        .map(|(name, value)| format!(", {name} {value}"))
        .collect();
    format!(
        "{} joins: {}, level {}, weight {}, lender group {}, quota {} elements per epoch, \
         purposes {}, at {}, identity key {}{rest}",
        member.id,
        member.role.word(),
        member.level.word(),
        member.weight,
        member.lender_group,
        member.quota_elements_per_epoch,
        purposes.join(" "),
        member.endpoints.join(" "),
        hex_groups(&member.identity_key),
    )
}

fn changed(before: &Member, after: &Member, words: &mut Vec<String>) {
    let id = &after.id;
    if before.state != after.state {
        words.push(match after.state {
            MemberState::Active => format!("{id} is restored"),
            MemberState::Suspended => format!("{id} is suspended"),
            MemberState::Removed => format!("{id} is removed for good"),
        });
    }
    let mut tell = |what: &str, before: String, after: String| {
        if before != after {
            words.push(format!("{id}: {what} {before} becomes {after}"));
        }
    };
    tell("role", before.role.to_string(), after.role.to_string());
    tell(
        "endpoints",
        before.endpoints.join(" "),
        after.endpoints.join(" "),
    );
    let key = |member: &Member| hex_groups(&member.identity_key);
    tell("identity key", key(before), key(after));
    tell("level", before.level.to_string(), after.level.to_string());
    tell(
        "weight",
        before.weight.to_string(),
        after.weight.to_string(),
    );
    // The key that was replaced is told already, where it is kept as such.
    let last = after.former_identity_keys.last();
    let replaced =
        last.map(|last| before.with_identity_key(after.identity_key, last.until_version));
    let as_told = replaced
        .is_some_and(|replaced| replaced.former_identity_keys == after.former_identity_keys);
    // What has no words of its own yet is told as it stands in the document.
    let rest = |member: &Member| {
        let mut bare = member.clone();
        bare.state = MemberState::Active;
        bare.role = after.role;
        bare.endpoints.clear();
        bare.identity_key = [0; 32];
        if as_told {
            bare.former_identity_keys.clear();
        }
        bare.level = after.level;
        bare.weight = 0;
        serde_json::to_value(&bare).unwrap_or_default()
    };
    let (old, new) = (rest(before), rest(after));
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return;
    };
    let names = old
        .keys()
        .chain(new.keys().filter(|name| !old.contains_key(*name)));
    for name in names {
        let text = |fields: &serde_json::Map<String, serde_json::Value>| {
            fields
                .get(name)
                .map_or("nothing".to_owned(), ToString::to_string)
        };
        tell(name, text(old), text(new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Currency, Role, Timestamp};
    use crate::env::SeededEntropy;
    use crate::membership::{MintedNetwork, Seat};

    #[test]
    fn every_change_of_an_entry_is_told() {
        let now = Timestamp::from_unix_ms(1_772_000_000_000);
        let seat = |id: &str| Seat::of(&id.parse().unwrap(), Role::Lender, "127.0.0.1:1").unwrap();
        let usd = Currency::from_code("USD").unwrap();
        let net = MintedNetwork::mint(
            &"credit-net".parse().unwrap(),
            usd,
            &[seat("bank-a"), seat("bank-b")],
            now,
            &SeededEntropy::from_seed(1),
        );
        let list = net.unwrap().roster.list().clone();
        assert_eq!(differences(&list, &list), Vec::<String>::new());
        let mut next = list.clone();
        next.members[0].state = MemberState::Suspended;
        next.members[0].quota_elements_per_epoch = 7;
        next.members[0].dispute = Some("desk@bank-a.example".to_owned());
        next.members.remove(1);
        next.members[0] = next.members[0].with_identity_key([9; 32], 2);
        let told = differences(&list, &next);
        for words in [
            "bank-a is suspended",
            "bank-a: quota_elements_per_epoch 2000000 becomes 7",
            "bank-a: dispute nothing becomes \"desk@bank-a.example\"",
            "bank-b loses its entry: do not sign",
        ] {
            assert!(told.iter().any(|one| one == words), "{words}: {told:?}");
        }
        let keys = told.iter().filter(|one| one.contains("identity"));
        assert_eq!(keys.count(), 1, "once: {told:?}");
        next.members[0].former_identity_keys.clear();
        let told = differences(&list, &next);
        assert!(
            told.iter()
                .any(|one| one.starts_with("bank-a: identity key"))
        );
        assert!(
            differences(
                &MemberList {
                    members: vec![],
                    ..list.clone()
                },
                &list
            )[0]
            .starts_with("bank-a joins: lender, level full, weight 1")
        );
    }
}
