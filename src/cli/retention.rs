//! What the node deletes when.

use serde_json::{Value, json};

use super::exit::{CliError, Exit};
use super::operator::NodeAt;
use super::output::Output;
use crate::domain::Timestamp;
use crate::wire::pb;

pub(super) async fn run(node: &NodeAt, output: &Output) -> Result<Exit, CliError> {
    let request = pb::ListDeletionsRequest {};
    let found = node.corrections().await?.list_deletions(request).await?;
    let found = found.into_inner().deletions;
    let first = |one: &pb::Deletion| Timestamp::from_unix_ms(one.first_unix_ms).to_rfc3339();
    let values = found.iter().map(|one| {
        json!({
            "kind": one.kind, "rule": one.rule, "records": one.records, "due": one.due,
            "first_at": first(one),
        })
    });
    let values: Vec<Value> = values.collect();
    output.show(&json!({ "deletions": values }), || {
        let mut lines = vec!["kind         rule               records  due  first".to_owned()];
        lines.extend(found.iter().map(|one| {
            let first = first(one);
            let pb::Deletion {
                kind,
                rule,
                records,
                due,
                ..
            } = one;
            format!("{kind:<12} {rule:<18} {records:>7} {due:>4}  {first}")
        }));
        lines.join("\n")
    });
    Ok(Exit::Done)
}
