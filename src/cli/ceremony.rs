//! `creditmesh network ceremony …`: a network's keys are made on machines of their own.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::{CliError, Exit};
use super::network::{Admin, now, write_new};
use super::network_args::{currency_of, kept, registrars_of};
use super::output::Output;
use crate::config::UnlockSource;
use crate::env::OsEntropy;
use crate::membership::{KeyUri, certificate_fingerprint};
use crate::node::{
    Drafting, KeyPlace, NetworkKeys, Paper, administrator_key, assemble, certify_issuing, draft,
    found_offline_root, open_signing_key, request_issuing,
};

/// Whose folder it is, and what opens the keys in it.
#[derive(Debug, Args)]
pub(super) struct Own {
    /// The folder, which is made where it is missing.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// File whose first line is the passphrase of the keys in DIR; relative to DIR, and made where
    /// it is missing.
    #[arg(long, value_name = "FILE", default_value = "passphrase")]
    passphrase_file: PathBuf,
}

impl Own {
    fn source(&self) -> UnlockSource {
        UnlockSource::PassphraseFile(self.passphrase_file.clone())
    }
}

/// `creditmesh network ceremony …`.
#[derive(Debug, Subcommand)]
pub(super) enum CeremonyCommand {
    /// An administrator makes its own key: NAME.key stays, NAME.pub is handed on.
    #[command(
        after_help = "Examples:\n  creditmesh network ceremony key chair --name chair\n  \
        creditmesh network ceremony key chair --name chair \\\n    \
        --key 'pkcs11:token=chair;object=chair?module-path=/usr/lib/hsm.so&pin-source=file:pin'"
    )]
    Key {
        #[command(flatten)]
        own: Own,
        /// The administrator's name: a-z, 0-9 and '-'.
        #[arg(long)]
        name: String,
        /// The key is in a PKCS#11 module under this name; made there where it is missing.
        #[arg(long, value_name = "PKCS11-URI")]
        key: Option<KeyUri>,
    },
    /// The offline machine makes the root authority.
    #[command(after_help = "Example:\n  creditmesh network ceremony root offline --id credit-net")]
    Root {
        #[command(flatten)]
        own: Own,
        /// The network's id.
        #[arg(long)]
        id: String,
        /// The key is in a PKCS#11 module under this name; made there where it is missing.
        #[arg(long, value_name = "PKCS11-URI")]
        key: Option<KeyUri>,
    },
    /// The registrar's machine makes its keys, and the request to carry to the offline machine.
    #[command(after_help = "Example:\n  \
        creditmesh network ceremony issuing admin --registrar registrar.example:7400")]
    Issuing(Box<IssuingArgs>),
    /// The offline machine certifies the issuing authority.
    #[command(after_help = "Example:\n  \
        creditmesh network ceremony certify offline issuing.csr --out issuing.crt")]
    Certify {
        #[command(flatten)]
        own: Own,
        /// The request that was carried here.
        request: PathBuf,
        /// Certificate to write; must not exist.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Take a new X.509 root from the offline machine, for `network rollover prepare`.
    #[command(after_help = "Example:\n  \
        creditmesh network ceremony next admin --root root-2.crt --issuing issuing-2.crt\n  \
        creditmesh network rollover prepare admin --key chair.key --key-passphrase-file pass")]
    Next {
        #[command(flatten)]
        admin: Admin,
        /// The new root's certificate.
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
        /// The issuing authority's certificate by the new root.
        #[arg(long, value_name = "FILE")]
        issuing: PathBuf,
    },
    /// Draft the first root document and the first member list, for the administrators to sign.
    #[command(after_help = "Example:\n  \
        creditmesh network ceremony draft admin --id credit-net --threshold 2 \\\n    \
        --administrator chair.pub,secretary.pub,auditor.pub --root root.crt --issuing issuing.crt")]
    Draft(Box<DraftArgs>),
    /// Show what drafts say, to compare it with what was decided.
    #[command(
        after_help = "Example:\n  creditmesh network ceremony show network.json members.json"
    )]
    Show {
        /// The drafts.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show drafts and sign them, each in its file.
    #[command(after_help = "Example:\n  \
        creditmesh network ceremony sign network.json members.json \\\n    \
        --key chair/chair.key --key-passphrase-file chair/passphrase")]
    Sign {
        /// The drafts.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The administrator's own key: a file, or its name in a PKCS#11 module.
        #[arg(long, value_name = "KEY")]
        key: KeyPlace,
        /// File whose first line is the passphrase of --key, or its token's PIN.
        #[arg(long, value_name = "FILE")]
        key_passphrase_file: Option<PathBuf>,
    },
    /// Collect the signatures from signed copies, and found the network once there are enough.
    #[command(after_help = "Example:\n  \
        creditmesh network ceremony assemble admin chair/network.json chair/members.json")]
    Assemble {
        /// The registrar's folder, which holds the drafts.
        dir: PathBuf,
        /// Signed copies of the drafts.
        files: Vec<PathBuf>,
    },
}

/// `creditmesh network ceremony issuing`.
#[derive(Debug, Args)]
pub(super) struct IssuingArgs {
    #[command(flatten)]
    own: Own,
    /// host:port under which members will reach the registrar.
    #[arg(long, value_name = "HOST:PORT")]
    registrar: String,
    /// Address that the registrar will listen on; without it the port that `--registrar` names, on
    /// every address of the machine.
    #[arg(long, value_name = "ADDRESS")]
    registrar_listen: Option<std::net::SocketAddr>,
    /// The issuing authority's key is in a PKCS#11 module under this name; made where it is
    /// missing.
    #[arg(long, value_name = "PKCS11-URI")]
    issuing_key: Option<KeyUri>,
    /// The same of the key for freshness.
    #[arg(long, value_name = "PKCS11-URI")]
    freshness_key: Option<KeyUri>,
}

/// `creditmesh network ceremony draft`.
#[derive(Debug, Args)]
pub(super) struct DraftArgs {
    #[command(flatten)]
    own: Own,
    /// The network's id.
    #[arg(long)]
    id: String,
    /// Currency of the exposure bands (ISO 4217).
    #[arg(long, default_value = "CNY")]
    currency: String,
    /// How many people the identifiers may belong to.
    #[arg(long, default_value_t = 1_000_000_000)]
    population: u64,
    /// The administrators' public halves, separated by commas.
    #[arg(long, value_name = "FILE", value_delimiter = ',', required = true)]
    administrator: Vec<PathBuf>,
    /// How many of them must sign.
    #[arg(long)]
    threshold: u32,
    /// The root's certificate, from the offline machine.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// The issuing authority's certificate, from the offline machine.
    #[arg(long, value_name = "FILE")]
    issuing: PathBuf,
}

fn network_id(text: &str) -> Result<crate::domain::NetworkId, CliError> {
    text.parse()
        .map_err(|error| CliError::usage(format!("--id: {error}")))
}

/// Where a key lies in a file, the passphrase beside it must not stay there.
fn apart(own: &Own, in_module: bool) -> String {
    if in_module {
        return String::new();
    }
    let passphrase = own.dir.join(&own.passphrase_file);
    format!(
        "\nkeep {} in another place than the key",
        passphrase.display()
    )
}

pub(super) fn run(command: &CeremonyCommand, output: &Output) -> Result<Exit, CliError> {
    let entropy = OsEntropy::default();
    match command {
        CeremonyCommand::Key { own, name, key } => {
            let (place, source) = (kept(key.as_ref())?, own.source());
            let public = administrator_key(&own.dir, name, place.as_ref(), &source, &entropy)?;
            let file = own.dir.join(format!("{name}.pub")).display().to_string();
            output.show(
                &json!({ "name": name, "public": public, "file": file }),
                || {
                    format!(
                        "public half of {name}: {public}\nhand on {file}, and nothing else{}",
                        apart(own, place.is_some())
                    )
                },
            );
        }
        CeremonyCommand::Root { own, id, key } => {
            let (place, source) = (kept(key.as_ref())?, own.source());
            let at = (now(), &entropy as &dyn crate::env::Entropy);
            let pem = found_offline_root(&own.dir, &network_id(id)?, place.as_ref(), &source, at)?;
            let fingerprint = fingerprint_of(&pem)?;
            let file = own.dir.join("root.crt").display().to_string();
            output.show(&json!({ "fingerprint": fingerprint, "file": file }), || {
                format!(
                    "root certificate (SHA-256) {fingerprint}\ncarry {file} away, and nothing \
                     else{}",
                    apart(own, place.is_some())
                )
            });
        }
        CeremonyCommand::Issuing(args) => issuing(args, output)?,
        CeremonyCommand::Certify { own, request, out } => {
            let at = (now(), &entropy as &dyn crate::env::Entropy);
            let pem = certify_issuing(&own.dir, &text_of(request)?, &own.source(), at)?;
            let fingerprint = fingerprint_of(&pem)?;
            write_new(out, &pem)?;
            let file = out.display().to_string();
            output.show(&json!({ "fingerprint": fingerprint, "file": file }), || {
                format!("issuing certificate (SHA-256) {fingerprint}\ncarry {file} back")
            });
        }
        CeremonyCommand::Next {
            admin,
            root,
            issuing,
        } => {
            admin.open()?.take_offline_root(root, issuing)?;
            let (fingerprint, place) = (fingerprint_of(&text_of(root)?)?, admin.dir.display());
            output.show(&json!({ "fingerprint": fingerprint }), || {
                format!(
                    "next root certificate (SHA-256) {fingerprint}\n\
                     next: creditmesh network rollover prepare {place}"
                )
            });
        }
        CeremonyCommand::Draft(args) => drafted(args, output)?,
        CeremonyCommand::Show { files } => show(files, None, output)?,
        CeremonyCommand::Sign {
            files,
            key,
            key_passphrase_file,
        } => show(files, Some((key, key_passphrase_file.as_deref())), output)?,
        CeremonyCommand::Assemble { dir, files } => return collect(dir, files, output),
    }
    Ok(Exit::Done)
}

fn text_of(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| CliError::file(path, &error))
}

fn fingerprint_of(pem: &str) -> Result<String, CliError> {
    certificate_fingerprint(pem).map_err(|error| CliError::refused(error.to_string()))
}

fn issuing(args: &IssuingArgs, output: &Output) -> Result<(), CliError> {
    let addresses = std::slice::from_ref(&args.registrar);
    let registrar = registrars_of(addresses, args.registrar_listen.as_slice())?.pop();
    let registrar = registrar.ok_or_else(|| CliError::usage("--registrar is missing"))?;
    let keys = NetworkKeys {
        root: None,
        issuing: kept(args.issuing_key.as_ref())?,
        freshness: kept(args.freshness_key.as_ref())?,
    };
    let (own, entropy) = (&args.own, OsEntropy::default());
    let request = request_issuing(&own.dir, &registrar, &keys, &own.source(), &entropy)?;
    let file = request.display().to_string();
    output.show(&json!({ "request": file }), || {
        format!("carry {file} to the offline machine, and its certificate back")
    });
    Ok(())
}

fn drafted(args: &DraftArgs, output: &Output) -> Result<(), CliError> {
    let drafting = Drafting {
        network: network_id(&args.id)?,
        currency: currency_of(&args.currency)?,
        population: args.population,
        administrators: args.administrator.clone(),
        threshold: args.threshold,
        root: args.root.clone(),
        issuing: args.issuing.clone(),
    };
    let own = &args.own;
    let files = draft(&own.dir, &drafting, &own.source(), now())?;
    show(&files, None, output)?;
    let names = files.map(|file| file.display().to_string());
    output.remark(&format!(
        "hand a copy of {} to each administrator, who compares and signs it",
        names.join(" and ")
    ));
    Ok(())
}

/// Shows drafts, and signs them where a key is given.
fn show(
    files: &[PathBuf],
    key: Option<(&KeyPlace, Option<&Path>)>,
    output: &Output,
) -> Result<(), CliError> {
    let key = match key {
        Some((place, secret)) => Some(open_signing_key(place, secret)?),
        None => None,
    };
    let (mut values, mut texts) = (Vec::new(), Vec::new());
    for file in files {
        let mut paper = Paper::read(file)?;
        let words = paper.in_words()?;
        if let Some(key) = &key {
            paper.sign(key, file)?;
        }
        let name = file.display().to_string();
        values.push(json!({ "file": name, "says": words, "signed": key.is_some() }));
        let end = if key.is_some() { "\nsigned" } else { "" };
        texts.push(format!("{}{end}", words.join("\n")));
    }
    output.show(&json!({ "drafts": values }), || texts.join("\n\n"));
    Ok(())
}

fn collect(dir: &Path, files: &[PathBuf], output: &Output) -> Result<Exit, CliError> {
    let assembled = assemble(dir, files, now())?;
    let ([root, list], needed) = (assembled.signed, assembled.needed);
    let value = json!({ "root_signed": root, "list_signed": list, "needed": needed,
        "founded": assembled.founded, "fingerprint": assembled.fingerprint });
    let (place, fingerprint) = (dir.display(), &assembled.fingerprint);
    output.show(&value, || {
        if assembled.founded {
            format!(
                "the network is founded in {place}\nfingerprint {fingerprint}\n\
                 next: creditmesh network serve {place}"
            )
        } else {
            format!(
                "{root} of {needed} signed the root document, {list} of {needed} the member list"
            )
        }
    });
    Ok(if assembled.founded {
        Exit::Done
    } else {
        Exit::Refused
    })
}
