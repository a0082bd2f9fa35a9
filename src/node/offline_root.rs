//! An exchange of the X.509 root whose new root was made on the offline machine.

use std::fs;
use std::path::Path;

use super::NodeError;
use super::admin::{AdminError, AdminFolder, read};
use super::join::replace;
use super::rollover::Stage;
use crate::membership::{Authority, check_certified_by};

impl AdminFolder {
    /// Takes a new X.509 root, and the issuing authority's certificate by it, from files: the
    /// exchange that is prepared next goes on with these, and makes none of its own.
    ///
    /// # Errors
    /// [`AdminError::WrongStage`] where an exchange is under way; [`AdminError::Authority`] where
    /// the certificates do not belong together, or to this folder's key.
    pub fn take_offline_root(&self, root: &Path, issuing: &Path) -> Result<(), AdminError> {
        let found = self.stage();
        if found != Stage::Settled {
            return Err(AdminError::WrongStage { found });
        }
        let (root_pem, issuing_pem) = (read(root)?, read(issuing)?);
        check_certified_by(&issuing_pem, &root_pem)?;
        Authority::open(&issuing_pem, self.authority.key().clone())?;
        if self.root.document().authorities.contains(&root_pem) {
            return Err(AdminError::Nothing(format!(
                "{} is a root of this network already: make a new one",
                root.display()
            )));
        }
        let folder = self.path.join("authority").join("next");
        let place = folder.join("root.crt");
        if place.exists() && read(&place)? != root_pem {
            return Err(AdminError::Nothing(format!(
                "{} holds another new root: let it be prepared, or take it away",
                folder.display()
            )));
        }
        fs::create_dir_all(&folder).map_err(|error| NodeError::file(&folder, &error))?;
        replace(&folder.join("issuing.crt"), issuing_pem.as_bytes())?;
        // Last: as long as it is missing, a preparation makes a root of its own.
        Ok(replace(&place, root_pem.as_bytes())?)
    }
}
