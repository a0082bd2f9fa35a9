//! What the longer of the administrators' commands take.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::exit::CliError;
use super::network::{Admin, member_id};
use super::network_registrar::Signing;
use super::rights::purpose;
use crate::config::RegistrarConfig;
use crate::crypto::KdfCost;
use crate::domain::{Currency, Level, Purpose, Role};
use crate::membership::{KeyUri, Terms};
use crate::node::{Found, NetworkKeys};

/// A role in the network.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RoleName {
    Lender,
    Bureau,
    Regulator,
}

/// A contribution level.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum LevelName {
    Full,
    Defaults,
}

/// `creditmesh network init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    #[command(flatten)]
    pub(super) admin: Admin,
    /// Network id: a-z, 0-9 and '-'.
    #[arg(long)]
    pub(super) id: String,
    /// Currency of the exposure bands (ISO 4217); it stays for the life of the network.
    #[arg(long, default_value = "CNY")]
    pub(super) currency: String,
    /// How many people the identifiers may belong to; it stays for the life of the network.
    #[arg(long, default_value_t = 1_000_000_000)]
    pub(super) population: u64,
    /// Names of the administrators, separated by commas.
    #[arg(
        long,
        value_name = "NAME,NAME",
        value_delimiter = ',',
        default_value = "administrator"
    )]
    pub(super) administrators: Vec<String>,
    /// How many of them must sign.
    #[arg(long, default_value_t = 1)]
    pub(super) threshold: u32,
    /// host:port under which members will reach the network's registrar; without it the network
    /// works by files. Given again, up to four times, it founds further registrars, each with a
    /// folder of its own (DIR/registrar-2, ...).
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) registrar: Vec<String>,
    /// Make the root authority's key in a PKCS#11 module, under this name.
    #[arg(long, value_name = "PKCS11-URI")]
    root_key: Option<KeyUri>,
    /// Make the first registrar's issuing key in a PKCS#11 module, under this name.
    #[arg(long, value_name = "PKCS11-URI")]
    issuing_key: Option<KeyUri>,
    /// Make the first registrar's key for freshness in a PKCS#11 module, under this name.
    #[arg(long, value_name = "PKCS11-URI", requires = "registrar")]
    freshness_key: Option<KeyUri>,
    /// Address that the registrar will listen on; given again, that of the next one. Without it the
    /// port that `--registrar` names, on every address of the machine, or only on 127.0.0.1 or
    /// `[::1]` where it names that.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) registrar_listen: Vec<SocketAddr>,
}

impl InitArgs {
    /// Where the keys are made. What the names say is kept, so their files become absolute.
    pub(super) fn keys(&self) -> Result<NetworkKeys, CliError> {
        Ok(NetworkKeys {
            root: kept(self.root_key.as_ref())?,
            issuing: kept(self.issuing_key.as_ref())?,
            freshness: kept(self.freshness_key.as_ref())?,
        })
    }

    /// What the founders decided.
    pub(super) fn found(&self) -> Result<Found, CliError> {
        let mut registrars = registrars_of(&self.registrar, &self.registrar_listen)?.into_iter();
        Ok(Found {
            network: self
                .id
                .parse()
                .map_err(|error| CliError::usage(format!("--id: {error}")))?,
            currency: currency_of(&self.currency)?,
            population: self.population,
            administrators: self.administrators.clone(),
            threshold: self.threshold,
            cost: KdfCost::PRODUCTION,
            registrar: registrars.next(),
            other_registrars: registrars.collect(),
        })
    }
}

/// `creditmesh network invite`.
#[derive(Debug, Args)]
pub(super) struct InviteArgs {
    #[command(flatten)]
    pub(super) admin: Admin,
    /// The member's id: a-z, 0-9 and '-'.
    #[arg(long)]
    pub(super) member: String,
    /// What it will be.
    #[arg(long, value_enum, default_value = "lender")]
    pub(super) role: RoleName,
    /// What it will furnish.
    #[arg(long, value_enum, default_value = "full")]
    pub(super) level: LevelName,
    /// The economic lender it belongs to; without it, itself.
    #[arg(long)]
    pub(super) lender_group: Option<String>,
    /// Its share of the coverage: a power of two, by default 1; of a regulator 0.
    #[arg(long)]
    pub(super) weight: Option<u32>,
    /// Elements that each peer will evaluate for it in one key epoch; a query costs two.
    #[arg(long, default_value_t = 2_000_000)]
    pub(super) quota: u64,
    /// For which purposes it may ask, separated by commas; without it, for all that there are.
    #[arg(long, value_name = "PURPOSES", value_delimiter = ',')]
    pub(super) purposes: Vec<String>,
    /// File to write, in a network without a registrar.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) signing: Signing,
}

impl InviteArgs {
    /// What the invitation grants.
    pub(super) fn terms(&self) -> Result<Terms, CliError> {
        let member = member_id(&self.member)?;
        let group = self.lender_group.clone();
        let role = Role::from(self.role);
        let named: Result<Vec<Purpose>, CliError> =
            self.purposes.iter().map(|text| purpose(text)).collect();
        let purposes = match named? {
            none if none.is_empty() => Purpose::ALL.to_vec(),
            named => named,
        };
        let terms = Terms {
            lender_group: group
                .unwrap_or_else(|| member.to_string())
                .parse()
                .map_err(|error| CliError::usage(format!("--lender-group: {error}")))?,
            member,
            role,
            level: self.level.into(),
            weight: self.weight.unwrap_or(u32::from(role != Role::Regulator)),
            quota_elements_per_epoch: self.quota,
            purposes,
        };
        terms
            .broken_rule()
            .map_or(Ok(terms.clone()), |rule| Err(CliError::usage(rule)))
    }
}

/// `creditmesh network key`.
#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    #[command(flatten)]
    pub(super) admin: Admin,
    /// The administrator.
    pub(super) name: String,
    /// File to write; must not exist.
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// File whose first line is the passphrase of the new file.
    #[arg(long, value_name = "FILE")]
    pub(super) key_passphrase_file: PathBuf,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Lender => Self::Lender,
            RoleName::Bureau => Self::Bureau,
            RoleName::Regulator => Self::Regulator,
        }
    }
}

impl From<LevelName> for Level {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::Full => Self::Full,
            LevelName::Defaults => Self::Defaults,
        }
    }
}

/// The name of a key with absolute files.
pub(super) fn kept(uri: Option<&KeyUri>) -> Result<Option<KeyUri>, CliError> {
    let Some(uri) = uri else {
        return Ok(None);
    };
    let here = std::env::current_dir();
    let here = here.map_err(|error| CliError::file(Path::new("."), &error))?;
    Ok(Some(uri.clone().anchored(&here)))
}

pub(super) fn currency_of(text: &str) -> Result<Currency, CliError> {
    text.parse()
        .map_err(|_| CliError::usage("--currency: an ISO 4217 code such as USD"))
}

/// What the founders said of the registrars, checked as each `registrar.toml` will be.
pub(super) fn registrars_of(
    addresses: &[String],
    listens: &[SocketAddr],
) -> Result<Vec<RegistrarConfig>, CliError> {
    let configs = addresses.iter().enumerate().map(|(place, own)| {
        let given = listens.get(place).or(listens.last()).copied();
        let listen = given.or_else(|| listen_for(own)).ok_or_else(|| {
            CliError::usage(format!(
                "--registrar: {own} is not host:port, as net.example:7400"
            ))
        })?;
        let others = addresses.iter().filter(|other| *other != own);
        let config = RegistrarConfig {
            addresses: addresses.to_vec(),
            listen,
            follows: others.cloned().collect(),
        };
        if config.follows.len() + 1 < addresses.len() {
            return Err(CliError::usage("--registrar: name each address once"));
        }
        RegistrarConfig::parse(&config.to_text())
            .map_err(|error| CliError::usage(format!("--registrar: {error}")))
    });
    configs.collect()
}

/// Where a registrar listens that is reached at `address`: on its port.
fn listen_for(address: &str) -> Option<SocketAddr> {
    let (host, port) = address.rsplit_once(':')?;
    let named = address.parse::<SocketAddr>().ok();
    let loopback = named.filter(|one| one.ip().is_loopback());
    let here = (host == "localhost").then_some(Ipv4Addr::LOCALHOST);
    loopback.or(Some(SocketAddr::new(
        here.unwrap_or(Ipv4Addr::UNSPECIFIED).into(),
        port.parse().ok()?,
    )))
}

#[cfg(test)]
mod tests {
    use super::listen_for;

    #[test]
    fn a_registrar_listens_on_the_port_by_which_it_is_reached() {
        for (address, listens) in [
            ("net.example:7400", "0.0.0.0:7400"),
            ("203.0.113.7:27400", "0.0.0.0:27400"),
            ("127.0.0.1:27400", "127.0.0.1:27400"),
            ("localhost:9", "127.0.0.1:9"),
            ("[::1]:7400", "[::1]:7400"),
        ] {
            assert_eq!(listen_for(address), Some(listens.parse().unwrap()));
        }
        for wrong in ["net.example", "net.example:", "net.example:70000", ""] {
            assert_eq!(listen_for(wrong), None, "{wrong}");
        }
    }
}
