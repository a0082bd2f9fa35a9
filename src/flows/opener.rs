//! Opening a query to an auditor: logged first, then encrypted to the auditor's stated key.

use std::sync::Arc;
use std::time::Duration;

use super::log_tree::LogTree;
use super::openings;
use super::{AuditEvent, AuditReader, FlowError, Home, Ledger, Logged};
use crate::domain::{MemberId, Role, Timestamp};
use crate::membership::AuditorKeyStatement;
use crate::protocol::audit::AuditProof;
use crate::protocol::opening::{AskedLine, Opening, SealedOpening};

/// How long an auditor's node may take to tell its key.
const KEY_DEADLINE: Duration = Duration::from_secs(10);

/// Opens this node's own queries.
#[derive(Debug, Clone)]
pub struct Opener {
    home: Arc<Home>,
    ledger: Ledger,
    reader: AuditReader,
    tree: Arc<LogTree>,
}

impl Opener {
    /// Opens the queries of this node; `tree` is that of its audit log.
    #[must_use]
    pub(crate) fn new(home: Arc<Home>, ledger: Ledger, tree: Arc<LogTree>) -> Self {
        Self {
            tree,
            reader: AuditReader::new(Arc::clone(&home)),
            home,
            ledger,
        }
    }

    /// The key of an auditor of the member list, asked of its node, and stated by the identity key
    /// that the list pins.
    ///
    /// # Errors
    /// [`FlowError::NotPossible`] where the member is no auditor, [`FlowError::Call`] where its
    /// node does not tell, [`FlowError::Statement`].
    pub async fn key_of(&self, auditor: &MemberId) -> Result<AuditorKeyStatement, FlowError> {
        let home = &self.home;
        let roster = home.trust.roster();
        let listed = roster.listed(auditor).ok();
        let entry = listed.filter(|entry| entry.role == Role::Regulator);
        let entry = entry.ok_or_else(|| {
            FlowError::NotPossible(format!(
                "{auditor} is no auditor: nobody with this id and the role `regulator` is active \
                 in the member list"
            ))
        })?;
        let stated = home.peers.encryption_key(entry, KEY_DEADLINE).await?;
        if stated.member != *auditor {
            return Err(FlowError::NotPossible(format!(
                "{auditor} told the key of somebody else"
            )));
        }
        stated.check(home.network(), &entry.identity_key, home.clock.now())?;
        Ok(stated)
    }

    /// The position of the query with this commitment in this node's log, logged within a span.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is none, [`FlowError::Store`].
    pub async fn find(
        &self,
        commitment: [u8; 32],
        span: (Timestamp, Timestamp),
    ) -> Result<u64, FlowError> {
        let logged = Logged::new(Arc::clone(&self.home));
        let found = logged.asked(commitment, span).await?;
        let (entry, _) = found.ok_or(FlowError::NotFound {
            what: "query with this commitment",
        })?;
        Ok(entry)
    }

    /// Opens one entry to an auditor.
    ///
    /// # Errors
    /// As [`Self::key_of`] and [`Self::opened`]; nothing leaves this node then.
    pub async fn open(&self, entry: u64, auditor: &MemberId) -> Result<SealedOpening, FlowError> {
        let (_, opening) = self.opened(entry).await?;
        self.sealed((entry, &opening), auditor).await
    }

    /// An entry of the log, and what opens it.
    ///
    /// # Errors
    /// [`FlowError::NotFound`] where there is no such entry, [`FlowError::NotPossible`] where it is
    /// no query of this node, or cannot be opened any more.
    pub async fn opened(&self, entry: u64) -> Result<(String, Opening), FlowError> {
        if entry >= self.reader.size().await? {
            return Err(FlowError::NotFound {
                what: "entry of the audit log",
            });
        }
        let line = self.reader.line(entry).await?;
        let asked = AskedLine::parse(&line).ok_or_else(|| {
            FlowError::NotPossible(format!(
                "entry {entry} is no query of this node: only entries of the kind `asked` can be \
                 opened (`creditmesh audit show`)"
            ))
        })?;
        let opening = openings::read(&self.home, asked.query).await?;
        let opening = opening.ok_or_else(|| {
            FlowError::NotPossible(format!(
                "entry {entry} cannot be opened: it was logged before what opens a query was \
                 kept, or its term is over"
            ))
        })?;
        Ok((line, opening))
    }

    /// Logs that an entry is opened, and encrypts what is given as its opening.
    ///
    /// # Errors
    /// As [`Self::key_of`]; [`FlowError::Store`] where the log cannot be read or written.
    pub async fn sealed(
        &self,
        (entry, opening): (u64, &Opening),
        auditor: &MemberId,
    ) -> Result<SealedOpening, FlowError> {
        let key = self.key_of(auditor).await?;
        let home = &self.home;
        let event = AuditEvent::Opened {
            entry,
            auditor: auditor.clone(),
        };
        self.ledger.log(event, Vec::new()).await?;
        let line = self.reader.line(entry).await?;
        let proof = self.proof(entry, line).await?;
        let from = (home.network(), &home.member);
        let to = (auditor, &key.public_key);
        let sealed = SealedOpening::seal(from, to, &proof, opening, &*home.entropy);
        sealed.map_err(|error| FlowError::NotPossible(format!("key of {auditor}: {error}")))
    }

    /// The proof that an entry is in the log as it is signed now.
    async fn proof(&self, entry: u64, line: String) -> Result<AuditProof, FlowError> {
        let damaged = || FlowError::Unreadable {
            what: "audit log entry",
        };
        let size = self.reader.size().await?;
        let checkpoint = self.reader.checkpoint(size).await?;
        let path = self.tree.inclusion(entry, size).await?;
        let proof = AuditProof {
            index: entry,
            entry: line,
            path,
            checkpoint: checkpoint.ok_or_else(damaged)?,
        };
        let sound = proof.verify(&self.reader.keys());
        sound.map_err(|_| damaged())?;
        Ok(proof)
    }
}
