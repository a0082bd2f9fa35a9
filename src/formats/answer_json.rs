//! An answer as the JSON that scripts rely on: `creditmesh assess --json`.

use serde_json::{Map, Value, json};

use crate::domain::{
    AmountSpan, Answer, AnswerBands, Coverage, Flag, MemberId, RevisionKind, Timestamp,
};

/// The answer as JSON.
///
/// Shares are numbers from 0 to 1, counts integers, moments RFC 3339 text, amounts integers in
/// minor units with `null` for "nothing bounds it". Keys may be added; those that are there stay.
#[must_use]
pub fn answer_json(answer: &Answer) -> Value {
    let counts: Map<String, Value> = answer
        .counts
        .iter()
        .map(|(name, interval)| {
            let bounds = json!({"lo": interval.lo, "hi": interval.hi});
            (name.word().to_owned(), bounds)
        })
        .collect();
    json!({
        "query_id": answer.query_id.to_string(),
        "as_of": answer.as_of.to_rfc3339(),
        "outcome": answer.outcome.word(),
        "coverage": coverage_json(&answer.coverage),
        "counts": counts,
        "bands": bands_json(&answer.bands),
        "flags": answer.flags.iter().map(flag_json).collect::<Vec<Value>>(),
        "score": answer.score,
        "valid_until": answer.valid_until.to_rfc3339(),
        "explanation": answer.explanation,
    })
}

/// What became of an answer after it was given, as it is shown beside it.
#[derive(Debug, Clone, Copy)]
pub struct Revised<'a> {
    /// What happened to a record that it rested on.
    pub kind: RevisionKind,
    /// When, rounded down to the hour.
    pub at: Timestamp,
    /// When the asking node learned of it.
    pub noted_at: Timestamp,
    /// Whose record it was, where that may be shown.
    pub member: Option<&'a MemberId>,
}

/// A kept answer with what became of it, under the key `revised`; `None` where `json` is no object.
#[must_use]
pub fn with_revisions<'a>(
    json: &str,
    revisions: impl Iterator<Item = Revised<'a>>,
) -> Option<String> {
    let mut answer: Map<String, Value> = serde_json::from_str(json).ok()?;
    let revised = revisions.map(|one| {
        let mut row = Map::new();
        row.insert("kind".to_owned(), one.kind.word().into());
        row.insert("at".to_owned(), one.at.to_rfc3339().into());
        row.insert("noted_at".to_owned(), one.noted_at.to_rfc3339().into());
        if let Some(member) = one.member {
            row.insert("member".to_owned(), member.as_str().into());
        }
        Value::Object(row)
    });
    answer.insert("revised".to_owned(), Value::Array(revised.collect()));
    Some(Value::Object(answer).to_string())
}

fn coverage_json(coverage: &Coverage) -> Value {
    let silent: Vec<Value> = coverage
        .silent
        .iter()
        .map(|silent| {
            let mut one = Map::new();
            if let Some(member) = &silent.member {
                one.insert("member".to_owned(), member.as_str().into());
            }
            one.insert("reason".to_owned(), silent.reason.word().into());
            Value::Object(one)
        })
        .collect();
    json!({
        "asked": coverage.asked,
        "answered": coverage.answered,
        "weight": coverage.weight(),
        "silent": silent,
    })
}

fn span_json(span: AmountSpan) -> Value {
    json!({"lo_minor": span.lo_minor, "hi_minor": span.hi_minor})
}

fn bands_json(bands: &AnswerBands) -> Value {
    let worst: Map<String, Value> = bands
        .worst_arrears
        .iter()
        .map(|(months, span)| {
            let bounds = json!({"lo": span.lo.word(), "hi": span.hi.word()});
            (format!("{months}m"), bounds)
        })
        .collect();
    json!({
        "currency": bands.currency.code(),
        "exposure": span_json(bands.exposure),
        "instalments": span_json(bands.instalments),
        "worst_arrears": worst,
    })
}

fn flag_json(flag: &Flag) -> Value {
    let reasons: Vec<&str> = flag.reasons.iter().map(|one| one.code.as_str()).collect();
    let evidence: Vec<Value> = flag
        .reasons
        .iter()
        .filter_map(|reason| {
            let (name, interval) = reason.evidence?;
            Some(json!({
                "reason": reason.code,
                "count": name.word(),
                "lo": interval.lo,
                "hi": interval.hi,
            }))
        })
        .collect();
    json!({
        "code": flag.code.word(),
        "state": flag.state.word(),
        "severity": flag.severity.word(),
        "up_to": flag.up_to.word(),
        "reasons": reasons,
        "evidence": evidence,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        Arrears, ArrearsSpan, CountName, Currency, FlagCode, FlagState, Interval, Outcome, QueryId,
        Reason, Severity, Silent, SilentReason, Timestamp,
    };

    fn answer() -> Answer {
        let interval = Interval { lo: 2, hi: 3 };
        Answer {
            query_id: QueryId(Uuid::from_u128(7)),
            as_of: Timestamp::from_unix_ms(0),
            coverage: Coverage {
                asked: 4,
                answered: 3,
                asked_weight: 4,
                answered_weight: 3,
                silent: vec![Silent {
                    member: Some("lender-b".parse().unwrap()),
                    reason: SilentReason::Deadline,
                }],
            },
            counts: BTreeMap::from([(CountName::SignedGroups72h, interval)]),
            bands: AnswerBands {
                currency: Currency::CNY,
                exposure: AmountSpan::exactly(5),
                instalments: AmountSpan::ANY,
                worst_arrears: BTreeMap::from([(
                    3,
                    ArrearsSpan {
                        lo: Arrears::Below30,
                        hi: Arrears::From90,
                    },
                )]),
            },
            flags: vec![Flag {
                code: FlagCode::St,
                state: FlagState::True,
                severity: Severity::Critical,
                up_to: Severity::Critical,
                reasons: vec![Reason {
                    code: "ST72H-02".to_owned(),
                    evidence: Some((CountName::SignedGroups72h, interval)),
                }],
            }],
            outcome: Outcome::Restrict,
            score: None,
            valid_until: Timestamp::from_unix_ms(3_600_000),
            explanation: vec!["RESTRICT: 3 of 4 members answered".to_owned()],
        }
    }

    #[test]
    fn an_answer_has_the_keys_that_scripts_rely_on() {
        let expected = json!({
            "query_id": "00000000-0000-0000-0000-000000000007",
            "as_of": "1970-01-01T00:00:00Z",
            "outcome": "RESTRICT",
            "coverage": {
                "asked": 4,
                "answered": 3,
                "weight": 0.75,
                "silent": [{"member": "lender-b", "reason": "deadline"}],
            },
            "counts": {"signed_groups_72h": {"lo": 2, "hi": 3}},
            "bands": {
                "currency": "CNY",
                "exposure": {"lo_minor": 5, "hi_minor": 5},
                "instalments": {"lo_minor": 0, "hi_minor": null},
                "worst_arrears": {"3m": {"lo": "below-30", "hi": "90-plus"}},
            },
            "flags": [{
                "code": "ST",
                "state": "TRUE",
                "severity": "critical",
                "up_to": "critical",
                "reasons": ["ST72H-02"],
                "evidence": [
                    {"reason": "ST72H-02", "count": "signed_groups_72h", "lo": 2, "hi": 3},
                ],
            }],
            "score": null,
            "valid_until": "1970-01-01T01:00:00Z",
            "explanation": ["RESTRICT: 3 of 4 members answered"],
        });
        assert_eq!(answer_json(&answer()), expected);
    }

    #[test]
    fn silent_members_stay_unnamed_where_the_policy_says_so() {
        let mut answer = answer();
        answer.coverage.silent[0].member = None;
        let json = answer_json(&answer);
        assert_eq!(json["coverage"]["silent"], json!([{"reason": "deadline"}]));
    }
}
