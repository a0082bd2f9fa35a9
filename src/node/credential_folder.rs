//! A folder with an operator's credentials, on the machine that calls the node.
//!
//! ```text
//! operator.crt   the operator's certificate
//! operator.key   its private key; only its owner may read it
//! authority.crt  the node's operator authority, against which the node is checked
//! ```

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::NodeError;
use super::unlock::{read_private, write_private};
use crate::membership::{CertificateKey, IssuedOperator, OperatorCredentials};

const CERTIFICATE: &str = "operator.crt";
const KEY: &str = "operator.key";
const AUTHORITY: &str = "authority.crt";

/// A folder with an operator's credentials, whether or not anything is in it.
#[derive(Debug, Clone)]
pub struct CredentialFolder(PathBuf);

impl CredentialFolder {
    /// The folder at `path`.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Makes the folder, for its owner alone, unless it is there; refuses one that holds
    /// credentials.
    ///
    /// # Errors
    /// [`NodeError`]; no file has changed then.
    pub fn prepare(&self) -> Result<(), NodeError> {
        for name in [CERTIFICATE, KEY, AUTHORITY] {
            let path = self.0.join(name);
            if path.exists() {
                return Err(NodeError::Folder(format!(
                    "{} is there already and stays: choose another folder with --out",
                    path.display()
                )));
            }
        }
        let mut making = std::fs::DirBuilder::new();
        let made = making.recursive(true).mode(0o700).create(&self.0);
        made.map_err(|error| NodeError::file(&self.0, &error))
    }

    /// Writes key, certificate and the authority's certificate, each of which must not be there
    /// yet and only its owner can read.
    ///
    /// # Errors
    /// [`NodeError::File`].
    pub fn write(&self, key: &CertificateKey, issued: &IssuedOperator) -> Result<(), NodeError> {
        write_private(&self.0.join(KEY), key.to_pem().as_bytes())?;
        write_private(&self.0.join(AUTHORITY), issued.authority_pem.as_bytes())?;
        write_private(&self.0.join(CERTIFICATE), issued.certificate_pem.as_bytes())
    }

    /// Reads the credentials.
    ///
    /// # Errors
    /// [`NodeError`], which names the file that is missing, that others can read, or that is not
    /// what it must be.
    pub fn read(&self) -> Result<OperatorCredentials, NodeError> {
        let text = |name: &str| {
            let path = self.0.join(name);
            super::read_text(&path).map_err(|error| NodeError::file(&path, &error))
        };
        let key = read_private(&self.0.join(KEY))?;
        let read = OperatorCredentials::new(&text(CERTIFICATE)?, &key, &text(AUTHORITY)?);
        read.map_err(|error| NodeError::Folder(format!("{}: {error}", self.0.display())))
    }
}
