//! Signals by hand, their review, and disputes: through the operator port of real nodes, with what
//! another lender is told before and after.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

use std::sync::Arc;
use std::time::Duration;

use creditmesh::domain::{
    ApplicationKind, Borrower, Identifier, MemberId, Money, OperatorName, Product, Purpose,
    Timestamp,
};
use creditmesh::env::{Clock, OsEntropy, PlayedClock};
use creditmesh::flows::NewApplication;
use creditmesh::formats::jsonl;
use creditmesh::membership::CertificateKey;
use creditmesh::net::operator_channel;
use creditmesh::node::{CredentialFolder, CredentialRequest, NodeParts};
use creditmesh::wire::pb;
use creditmesh::wire::pb::corrections_client::CorrectionsClient;
use creditmesh::wire::pb::operator_client::OperatorClient;
use creditmesh::workload::SimulatedNetwork;
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

const SSN: &str = "us-ssn:536-90-4399";
const LOAN: &str = "019c0000-0000-7000-8000-000000000002";
const DAY: Duration = Duration::from_secs(86_400);

/// Disputes are decided within a day here.
const TERMS: &str = include_str!("../policies/retention.toml");

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

/// Two lenders; alpha's staff are ann and bob, on other machines.
struct Bed {
    network: SimulatedNetwork,
    clock: PlayedClock,
    dir: TempDir,
    asked: usize,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let start = Timestamp::parse_rfc3339("2026-03-02T09:00:00Z").unwrap();
        let clock = PlayedClock::at(start);
        let parts = NodeParts::by(clock.clone());
        let (id, currency) = ("test-net".parse().unwrap(), "USD".parse().unwrap());
        let mut network = SimulatedNetwork::found(dir.path(), id, currency, parts).unwrap();
        network.join_lenders(&["alpha", "beta"]).await.unwrap();
        let mut bed = Self {
            network,
            clock,
            dir,
            asked: 0,
        };
        let path = bed.dir.path().join("alpha");
        let terms = TERMS.replace("dispute_days = 20", "dispute_days = 1");
        std::fs::write(path.join("terms.toml"), terms).unwrap();
        let config = std::fs::read_to_string(path.join("node.toml")).unwrap();
        let more = "operator_listen = \"127.0.0.1:0\"\nretention = \"terms.toml\"\n";
        std::fs::write(path.join("node.toml"), config + more).unwrap();
        for operator in ["ann", "bob"] {
            bed.issue(operator).await;
        }
        bed.network.start_all().await.unwrap();
        bed
    }

    async fn issue(&self, operator: &str) {
        let key = CertificateKey::generate().unwrap();
        let name: OperatorName = operator.parse().unwrap();
        let request = CredentialRequest {
            name: &name,
            request_pem: &key.request_pem().unwrap(),
            life_days: 90,
        };
        let folder = self.network.folder_of(&member("alpha")).unwrap();
        let issued = folder
            .issue_credential(&request, self.clock.now(), &OsEntropy::default())
            .await;
        let credentials = CredentialFolder::at(&self.dir.path().join(operator));
        credentials.prepare().unwrap();
        credentials.write(&key, &issued.unwrap()).unwrap();
    }

    async fn channel(&self, operator: &str) -> Channel {
        let credentials = CredentialFolder::at(&self.dir.path().join(operator))
            .read()
            .unwrap();
        let node = self.network.node(&member("alpha")).unwrap();
        let endpoint = node.operator_address().unwrap().to_string();
        let clock = Arc::new(self.clock.clone());
        operator_channel(&endpoint, &credentials, clock)
            .await
            .unwrap()
    }

    async fn of(&self, operator: &str) -> CorrectionsClient<Channel> {
        CorrectionsClient::new(self.channel(operator).await)
    }

    /// A loan of alpha's, 120 days past due.
    async fn default(&self) {
        let line = format!(
            concat!(
                r#"{{"kind":"loan","record_id":"{}","version":1,"#,
                r#""reported_at":"2026-03-01T08:00:00Z","as_of":"2026-03-01T08:00:00Z","#,
                r#""national_id":"us-ssn:536904399","account_ref":"L-1","#,
                r#""product":"instalment-unsecured","principal":"9000.00 USD","#,
                r#""outstanding":"8000.00 USD","past_due":"900.00 USD","#,
                r#""signed_at":"2025-06-01T08:00:00Z","opened_on":"2025-06-01","dpd":120,"#,
                r#""state":"active","first_delinquency_on":"2025-11-01"}}"#,
            ),
            LOAN
        );
        let loan = jsonl::from_line(&line).unwrap();
        let desk = self.network.node(&member("alpha")).unwrap().desk();
        for filed in desk.furnish_published(&[loan]).await.unwrap() {
            filed.unwrap();
        }
    }

    /// What beta is told: the outcome, and the state of each of these flags.
    async fn told<const N: usize>(&mut self, codes: [&str; N]) -> (String, [String; N]) {
        self.asked += 1;
        let wanted = NewApplication {
            borrower: Borrower {
                national: Some(Identifier::parse(SSN, None).unwrap()),
                ..Borrower::default()
            },
            kind: ApplicationKind::Offer,
            purpose: Purpose::CreditApplication,
            product: Product::InstalmentUnsecured,
            amount: Some(Money::of(120_000, "USD".parse().unwrap())),
            term_days: Some(90),
            income_month: None,
            consent_reference: "C-1".to_owned(),
        };
        let desk = self.network.node(&member("beta")).unwrap().desk();
        let given = desk
            .assess(&format!("b-{}", self.asked), &wanted)
            .await
            .unwrap();
        let json: Value = serde_json::from_str(&given.json).unwrap();
        let flags = json["flags"].as_array().unwrap();
        let state = |code: &str| {
            let flag = flags.iter().find(|flag| flag["code"] == code);
            flag.map_or("absent", |flag| flag["state"].as_str().unwrap())
                .to_owned()
        };
        (given.outcome, codes.map(state))
    }

    /// Waits until beta is told this of AD and DP.
    async fn until_told(&mut self, default: &str, disputed: &str) {
        for _ in 0..80 {
            let (_, states) = self.told(["AD", "DP"]).await;
            if states == [default.to_owned(), disputed.to_owned()] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let told = self.told(["AD", "DP"]).await.1;
        assert_eq!(told, [default, disputed], "never told");
    }

    async fn late_disputes(&self) -> usize {
        let mut operator = OperatorClient::new(self.channel("ann").await);
        let found = operator
            .examine(pb::ExamineRequest {})
            .await
            .unwrap()
            .into_inner();
        let of_disputes = found.findings.iter().filter(|one| one.area == "dispute");
        of_disputes.filter(|one| one.severity == "warning").count()
    }
}

fn fraud(by: &str) -> pb::FileSignalRequest {
    pb::FileSignalRequest {
        identifiers: vec![SSN.to_owned()],
        kind: "fraud-confirmed".to_owned(),
        fraud_type: "takeover".to_owned(),
        event_on: "2026-03-01".to_owned(),
        evidence: vec![7; 32].into(),
        proof: "four-part-rejected".to_owned(),
        by: by.to_owned(),
        ..pb::FileSignalRequest::default()
    }
}

/// What is deleted by terms, and not with the age of a key epoch or an answer.
fn of_records(planned: &pb::ListDeletionsResponse) -> impl Iterator<Item = &pb::Deletion> {
    let by_terms = |one: &&pb::Deletion| one.rule == "expires_on" || one.rule.ends_with("_months");
    planned.deletions.iter().filter(by_terms)
}

fn retract(id: &str) -> pb::RetractRecordRequest {
    pb::RetractRecordRequest {
        record_id: id.to_owned(),
        reason: "furnisher-error".to_owned(),
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.unwrap_err();
    (status.code(), status.message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn fraud_stands_only_after_another_person_upheld_it() {
    let mut bed = Bed::new().await;
    let (mut ann, mut bob) = (bed.of("ann").await, bed.of("bob").await);

    let (code, why) = refusal(ann.file_signal(fraud("bob")).await);
    assert_eq!(code, Code::PermissionDenied, "{why}");
    let unproven = pb::FileSignalRequest {
        proof: String::new(),
        ..fraud("")
    };
    let (code, why) = refusal(ann.file_signal(unproven).await);
    assert_eq!(code, Code::InvalidArgument, "{why}");
    assert!(why.contains("proof"), "{why}");

    let filed = ann.file_signal(fraud("")).await.unwrap().into_inner();
    assert_eq!(filed.state, "pending");
    assert!(filed.row.contains(r#""filed_by":"ann""#), "{}", filed.row);
    let id = filed.record_id;
    assert_eq!(
        bed.told(["FR"]).await.1,
        ["FALSE"],
        "nothing is published yet"
    );
    let listed = bob
        .list_signals(pb::ListSignalsRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.into_inner().pending.len(), 1);

    let review = |uphold| pb::ReviewSignalRequest {
        record_id: id.clone(),
        by: String::new(),
        uphold,
    };
    let (code, why) = refusal(ann.review_signal(review(true)).await);
    assert_eq!(code, Code::FailedPrecondition, "{why}");
    assert!(why.contains("may not review"), "{why}");
    assert!(
        bob.review_signal(review(true))
            .await
            .unwrap()
            .into_inner()
            .upheld
    );
    let (outcome, states) = bed.told(["FR"]).await;
    assert_eq!((outcome.as_str(), states[0].as_str()), ("REVIEW", "TRUE"));
    assert_eq!(
        refusal(bob.review_signal(review(true)).await).0,
        Code::NotFound
    );

    // A second one is rejected, and leaves nothing.
    let another = pb::FileSignalRequest {
        event_on: "2026-02-28".to_owned(),
        ..fraud("ann")
    };
    let filed = ann.file_signal(another).await.unwrap().into_inner();
    let rejected = pb::ReviewSignalRequest {
        record_id: filed.record_id.clone(),
        by: "bob".to_owned(),
        uphold: false,
    };
    assert!(
        !bob.review_signal(rejected)
            .await
            .unwrap()
            .into_inner()
            .upheld
    );
    let show = pb::ShowSignalRequest {
        record_id: filed.record_id,
    };
    assert_eq!(refusal(bob.show_signal(show).await).0, Code::NotFound);
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_suspends_at_once_and_suppresses_without_a_decision() {
    let mut bed = Bed::new().await;
    bed.default().await;
    assert_eq!(bed.told(["AD", "DP"]).await.1, ["TRUE", "FALSE"]);
    let mut ann = bed.of("ann").await;
    let open = pb::OpenDisputeRequest {
        record_id: LOAN.to_owned(),
        reason: "never borrowed there".to_owned(),
        by: String::new(),
    };
    let opened = ann.open_dispute(open.clone()).await.unwrap().into_inner();
    assert_eq!(
        (opened.state.as_str(), opened.decide_by.as_str()),
        ("opened", "2026-03-03")
    );
    assert_eq!(
        bed.told(["AD", "DP"]).await.1,
        ["UNKNOWN", "TRUE"],
        "suspended at once"
    );
    let (code, why) = refusal(ann.open_dispute(open.clone()).await);
    assert_eq!(code, Code::FailedPrecondition, "{why}");
    assert_eq!(bed.late_disputes().await, 0);

    // The signal of an open dispute cannot be taken back but by a decision.
    let taken_back = pb::RetractRecordRequest {
        record_id: opened.dispute_id.clone(),
        reason: "furnisher-error".to_owned(),
    };
    let mut operator = OperatorClient::new(bed.channel("ann").await);
    let (code, why) = refusal(operator.retract_record(taken_back).await);
    assert_eq!(code, Code::FailedPrecondition, "{why}");
    assert!(why.contains("dispute resolve"), "{why}");

    bed.clock.advance_to(bed.clock.now().plus(DAY * 2));
    bed.until_told("FALSE", "FALSE").await;
    assert_eq!(bed.late_disputes().await, 1);

    // Rejected late, the record comes back.
    let resolve = |id: &str, resolution: &str| pb::ResolveDisputeRequest {
        dispute_id: id.to_owned(),
        resolution: resolution.to_owned(),
        by: String::new(),
    };
    let corrected = ann
        .resolve_dispute(resolve(&opened.dispute_id, "corrected"))
        .await;
    assert_eq!(refusal(corrected).0, Code::FailedPrecondition);
    let decided = ann
        .resolve_dispute(resolve(&opened.dispute_id, "rejected"))
        .await;
    assert_eq!(decided.unwrap().into_inner().state, "decided");
    bed.until_told("TRUE", "FALSE").await;
    assert_eq!(bed.late_disputes().await, 0);

    // Upheld, it is gone for good, as if it had never been filed.
    let again = ann.open_dispute(open).await.unwrap().into_inner();
    let noted = pb::AcknowledgeDisputeRequest {
        dispute_id: again.dispute_id.clone(),
        by: String::new(),
    };
    let noted = ann.acknowledge_dispute(noted).await.unwrap().into_inner();
    assert_eq!(
        (noted.state.as_str(), noted.acknowledged_by.as_str()),
        ("acknowledged", "ann")
    );
    ann.resolve_dispute(resolve(&again.dispute_id, "upheld"))
        .await
        .unwrap();
    bed.until_told("FALSE", "FALSE").await;
    let desk = bed.network.node(&member("alpha")).unwrap().desk();
    let loan = desk
        .book()
        .find(LOAN.parse().map(creditmesh::domain::RecordId).unwrap());
    assert!(loan.await.unwrap().unwrap().is_retracted());
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cure_ends_the_signal_that_it_is_about() {
    let mut bed = Bed::new().await;
    let mut ann = bed.of("ann").await;
    let filed = pb::FileSignalRequest {
        kind: "default".to_owned(),
        fraud_type: String::new(),
        proof: String::new(),
        ..fraud("")
    };
    let filed = ann.file_signal(filed).await.unwrap().into_inner();
    assert_eq!(filed.state, "standing");
    assert_eq!(bed.told(["AD", "RC"]).await.1, ["TRUE", "FALSE"]);
    let cure = pb::CureSignalRequest {
        record_id: filed.record_id.clone(),
        paid_on: "2026-03-02".to_owned(),
        by: String::new(),
    };
    ann.cure_signal(cure.clone()).await.unwrap();
    assert_eq!(bed.told(["AD", "RC"]).await.1, ["FALSE", "TRUE"]);
    assert_eq!(
        refusal(ann.cure_signal(cure).await).0,
        Code::FailedPrecondition
    );
    let list = pb::ListSignalsRequest {
        identifiers: vec![SSN.to_owned()],
    };
    let standing = ann.list_signals(list).await.unwrap().into_inner().standing;
    let kinds: Vec<&str> = standing.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["cured"]);
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_retracted_takes_along_what_was_said_about_it() {
    let mut bed = Bed::new().await;
    bed.default().await;
    let mut ann = bed.of("ann").await;
    let about = |kind: &str, about: &str| pb::FileSignalRequest {
        kind: kind.to_owned(),
        about: about.to_owned(),
        fraud_type: String::new(),
        proof: String::new(),
        ..fraud("")
    };
    // Not past a dispute that nobody decided.
    let open = pb::OpenDisputeRequest {
        record_id: LOAN.to_owned(),
        reason: "never borrowed there".to_owned(),
        by: String::new(),
    };
    let dispute = ann.open_dispute(open).await.unwrap().into_inner();
    let mut operator = OperatorClient::new(bed.channel("ann").await);
    let (code, why) = refusal(operator.retract_record(retract(LOAN)).await);
    assert_eq!(code, Code::FailedPrecondition, "{why}");
    assert!(why.contains("--upheld"), "{why}");
    let decided = pb::ResolveDisputeRequest {
        dispute_id: dispute.dispute_id,
        resolution: "rejected".to_owned(),
        by: String::new(),
    };
    ann.resolve_dispute(decided).await.unwrap();

    // A mistake and its cure: neither is told once the mistake is taken back.
    let mistake = ann.file_signal(about("default", LOAN)).await;
    let mistake = mistake.unwrap().into_inner().record_id;
    let cure = pb::CureSignalRequest {
        record_id: mistake.clone(),
        paid_on: "2026-03-02".to_owned(),
        by: String::new(),
    };
    ann.cure_signal(cure).await.unwrap();
    let restructured = about("restructured", LOAN);
    ann.file_signal(restructured.clone()).await.unwrap();
    let (code, why) = refusal(ann.file_signal(restructured).await);
    assert_eq!(code, Code::FailedPrecondition, "the same again: {why}");
    assert_eq!(
        bed.told(["AD", "RC", "RS"]).await.1,
        ["TRUE", "TRUE", "TRUE"]
    );
    operator.retract_record(retract(&mistake)).await.unwrap();
    assert_eq!(
        bed.told(["AD", "RC", "RS"]).await.1,
        ["TRUE", "FALSE", "TRUE"]
    );
    let otherwise = pb::RetractRecordRequest {
        reason: "wrong-person".to_owned(),
        ..retract(&mistake)
    };
    let (code, why) = refusal(operator.retract_record(otherwise).await);
    assert_eq!(code, Code::FailedPrecondition, "{why}");

    // The loan takes every signal about it along, and none can be filed about it again.
    operator.retract_record(retract(LOAN)).await.unwrap();
    assert_eq!(
        bed.told(["AD", "RC", "RS"]).await.1,
        ["FALSE", "FALSE", "FALSE"]
    );
    let (code, why) = refusal(ann.file_signal(about("default", LOAN)).await);
    assert_eq!(code, Code::InvalidArgument, "{why}");
    assert!(why.contains("retracted"), "{why}");
    let list = pb::ListSignalsRequest {
        identifiers: vec![SSN.to_owned()],
    };
    let standing = ann.list_signals(list).await.unwrap().into_inner().standing;
    assert!(standing.is_empty(), "{standing:?}");
    bed.network.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_deleted_at_the_end_of_their_terms_and_the_schedule_says_so() {
    let mut bed = Bed::new().await;
    bed.default().await;
    let id = "019c0000-0000-7000-8000-000000000009";
    let line = format!(
        concat!(
            r#"{{"kind":"signal","record_id":"{}","version":1,"expires_on":"2026-03-03","#,
            r#""reported_at":"2026-03-02T08:00:00Z","as_of":"2026-03-02T08:00:00Z","#,
            r#""national_id":"us-ssn:536904399","signal_kind":"lost-contact","#,
            r#""event_on":"2026-03-01","filed_by":"desk","attempts":4,"attempts_days":35}}"#,
        ),
        id
    );
    let desk = bed.network.node(&member("alpha")).unwrap().desk().clone();
    let signal = jsonl::from_line(&line).unwrap();
    for filed in desk.furnish_published(&[signal]).await.unwrap() {
        filed.unwrap();
    }
    let mut ann = bed.of("ann").await;
    let request = pb::ListDeletionsRequest {};
    let planned = ann.list_deletions(request).await.unwrap().into_inner();
    let told: Vec<_> = of_records(&planned)
        .map(|one| (one.rule.as_str(), one.records, one.due))
        .collect();
    assert_eq!(told, [("expires_on", 1, 0), ("adverse_months", 1, 0)]);
    assert_eq!(desk.delete_expired().await.unwrap(), 0);
    assert_eq!(bed.told(["LC", "AD"]).await.1, ["TRUE", "TRUE"]);

    bed.clock.advance_to(bed.clock.now().plus(DAY * 2));
    assert_eq!(desk.delete_expired().await.unwrap(), 1);
    let id = id.parse().map(creditmesh::domain::RecordId).unwrap();
    assert_eq!(desk.book().find(id).await.unwrap(), None);
    let identifier = Identifier::parse(SSN, None).unwrap();
    let left = desk.book().records_of(identifier.canonical()).await;
    assert!(
        left.unwrap()
            .iter()
            .all(|record| record.head.record_id != id)
    );
    let planned = ann.list_deletions(request).await.unwrap().into_inner();
    assert_eq!(of_records(&planned).count(), 1);
    bed.until_told("TRUE", "FALSE").await;
    assert_eq!(bed.told(["LC"]).await.1, ["FALSE"]);
    bed.network.stop_all().await.unwrap();
}
