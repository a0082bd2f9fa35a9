//! What the doctor says of witnesses and forks.

use super::status::Source;
use crate::flows::FlowError;
use crate::protocol::fork::LogName;
use crate::service::Finding;

impl Source {
    /// How far the audit log is cosigned, and who signed two histories.
    pub(super) async fn witnessing(&self) -> Result<Vec<Finding>, FlowError> {
        let state = self.cosigning.state().await?;
        let mut findings = Vec::new();
        let (cosigned, size, needed) = (state.cosigned_size, state.size, state.needed);
        let says = format!("{cosigned} of {size} audit entries cosigned by {needed} witnesses");
        findings.push(match state.waiting_since.filter(|_| state.late) {
            None if size > 0 && needed == 0 => Finding::warning(
                "witness",
                "no peer is there to cosign the audit log",
                "give checkpoints of the log to an auditor (`creditmesh audit copy`)",
            ),
            None => Finding::fine("witness", says),
            Some(since) => {
                let why: Vec<String> = state
                    .troubles
                    .iter()
                    .map(|(witness, why)| format!("{witness}: {why}"))
                    .collect();
                let says = format!("{says}; the rest waits since {since}: {}", why.join("; "));
                let fix = "see `creditmesh audit witnesses`, and ask the peers named there";
                Finding::warning("witness", says, fix)
            }
        });
        findings.extend(state.ahead.iter().map(|(witness, known)| {
            let says = format!(
                "{witness} cosigned {known} entries of this audit log, which has {size}: it was \
                 cut, or restored from an older backup"
            );
            let fix = "find out who put an older folder back, and tell the administrators: the \
                       log is cosigned again once they gave the node another identity key";
            Finding::warning("witness", says, fix).with(witness)
        }));
        findings.extend(self.forks().await?);
        Ok(findings)
    }

    async fn forks(&self) -> Result<Vec<Finding>, FlowError> {
        let forks = self.mirrors.forks();
        let mut findings = Vec::new();
        for fork in forks.list().await? {
            let (origin, told_by) = (&fork.proof.origin, &fork.told_by);
            let says = format!("{origin} has two signed histories (proof from {told_by})");
            let fix = "write the proof with `creditmesh audit forks --out`, and give it to the \
                       administrators: the member needs another identity key";
            let finding = Finding::warning("fork", says, fix);
            findings.push(match fork.proof.log() {
                Some(log) => finding.with(log.member()),
                None => finding,
            });
        }
        for doubt in forks.doubts() {
            let says = format!("{}: {}", doubt.origin, doubt.says);
            let fix = "ask the member for a copy of its log, and check it against what is known";
            let finding = Finding::warning("fork", says, fix);
            findings.push(match LogName::of(&doubt.origin) {
                Some(log) => finding.with(log.member()),
                None => finding,
            });
        }
        if findings.is_empty() {
            let says = "nobody is known to have signed two histories";
            findings.push(Finding::fine("fork", says));
        }
        Ok(findings)
    }
}
