//! `registrar.toml`: where a network's registrar is, and where it listens.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::limits::REGISTRARS_MAX;
use crate::membership::is_endpoint;

/// What is wrong with a registrar's configuration, and what to write instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrarConfigError {
    /// Not TOML, an unknown key, or a value of another type.
    #[error("registrar.toml: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value that is out of its bounds.
    #[error("registrar.toml: {key} {rule}")]
    Value {
        /// The key as written.
        key: &'static str,
        /// What the value must be.
        rule: &'static str,
    },
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrarConfig {
    /// `host:port` under which members reach the network's registrars: 1 to 4. Tokens name them.
    pub addresses: Vec<String>,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Those of the addresses that are other registrars, which this one follows.
    pub follows: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegistrar {
    addresses: Vec<String>,
    listen: String,
    #[serde(default)]
    follows: Vec<String>,
}

/// Checks the addresses of registrars, as they stand in `registrar.toml` and `node.toml`.
pub(super) fn addresses_are_sound(addresses: &[String]) -> bool {
    addresses.len() <= REGISTRARS_MAX && addresses.iter().all(|one| is_endpoint(one))
}

impl RegistrarConfig {
    /// Reads and checks the text of a `registrar.toml`.
    ///
    /// # Errors
    /// [`RegistrarConfigError`], which names the key and says what it must be.
    pub fn parse(text: &str) -> Result<Self, RegistrarConfigError> {
        let raw: RawRegistrar = toml::from_str(text)?;
        if raw.addresses.is_empty() || !addresses_are_sound(&raw.addresses) {
            let rule = "must list 1 to 4 addresses such as \"registrar.example:7400\"";
            let key = "addresses";
            return Err(RegistrarConfigError::Value { key, rule });
        }
        if !raw.follows.iter().all(|one| raw.addresses.contains(one)) {
            let rule = "must list some of `addresses`: those of the other registrars";
            let key = "follows";
            return Err(RegistrarConfigError::Value { key, rule });
        }
        let listen = raw.listen.parse();
        Ok(Self {
            addresses: raw.addresses,
            follows: raw.follows,
            listen: listen.map_err(|_| RegistrarConfigError::Value {
                key: "listen",
                rule: "must be an address and port such as 0.0.0.0:7400",
            })?,
        })
    }

    /// The text of the file, with every key explained.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!(
            "# Where members and administrators reach the network's registrars; tokens name them.\n\
             addresses = {:?}\n\
             # Address that `creditmesh network serve` listens on.\n\
             listen = \"{}\"\n\
             # The other registrars among `addresses`: this one takes newer roots and lists from \
             them.\n\
             follows = {:?}\n",
            self.addresses, self.listen, self.follows
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_reads_back_and_each_broken_key_is_named() {
        let config = RegistrarConfig {
            addresses: vec![
                "registrar.example:7400".to_owned(),
                "second.example:7400".to_owned(),
            ],
            listen: "0.0.0.0:7400".parse().unwrap(),
            follows: vec!["second.example:7400".to_owned()],
        };
        let text = config.to_text();
        assert_eq!(RegistrarConfig::parse(&text).unwrap(), config);
        for (from, to, key) in [
            ("registrar.example:7400", "registrar.example", "addresses"),
            ("follows = [\"second", "follows = [\"third", "follows"),
            ("0.0.0.0:7400", "nowhere", "listen"),
        ] {
            let error = RegistrarConfig::parse(&text.replace(from, to)).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}
