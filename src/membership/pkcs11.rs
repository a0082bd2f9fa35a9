//! Keys in PKCS#11 modules (OASIS PKCS #11 v2.40 and later): the one file that knows the library.
//!
//! A module is loaded once per process. Calls to one module come one after the other, because a
//! session must not be used by two threads at once. They wait for the device: keep them off async
//! threads. A module that fails is initialised anew once before a call gives up; a PIN that was
//! refused is not tried again, because a token locks itself after some wrong ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;

use super::certificate::sha256;
use super::key::KeyError;
use super::key_uri::KeyUri;
use crate::crypto::SecretBytes;

/// What key URIs leave out.
#[derive(Debug, Default)]
pub struct ModuleDefaults {
    /// The module's library.
    pub library: Option<PathBuf>,
    /// The PIN.
    pub pin: Option<SecretBytes>,
}

static DEFAULTS: OnceLock<ModuleDefaults> = OnceLock::new();
static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// Sets what key URIs leave out, once for the process, as a module is loaded once for it.
pub fn set_module_defaults(defaults: ModuleDefaults) {
    // A second call changes nothing.
    drop(DEFAULTS.set(defaults));
}

/// The PIN for keys whose URI names no file with one.
#[must_use]
pub fn default_pin() -> Option<SecretBytes> {
    let given = DEFAULTS.get().and_then(|given| given.pin.as_ref());
    given.map(copy_of)
}

fn copy_of(pin: &SecretBytes) -> SecretBytes {
    SecretBytes::new(pin.expose().to_vec())
}

/// The curve of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    /// NIST P-256, for certificates.
    P256,
    /// Ed25519, for documents.
    Ed25519,
}

impl Curve {
    const fn key_type(self) -> KeyType {
        match self {
            Self::P256 => KeyType::EC,
            Self::Ed25519 => KeyType::EC_EDWARDS,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// `CKA_EC_PARAMS` in DER: what modules write for this curve.
    const fn params(self) -> &'static [&'static [u8]] {
        match self {
            Self::P256 => &[&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]],
            Self::Ed25519 => &[b"\x13\x0cedwards25519", &[0x06, 0x03, 0x2b, 0x65, 0x70]],
        }
    }

    /// The public point in `CKA_EC_POINT`, which is an octet string in DER, and bare with some.
    fn point(self, found: &[u8]) -> Option<Vec<u8>> {
        let length: u8 = match self {
            Self::P256 => 65,
            Self::Ed25519 => 32,
        };
        let bare = found.strip_prefix(&[0x04, length]).unwrap_or(found);
        (bare.len() == usize::from(length)).then(|| bare.to_vec())
    }
}

/// Why a call failed.
enum Fault {
    /// Trying again changes nothing.
    Lasting(String),
    /// The module or token may have gone away and come back.
    Passing(String),
}

impl Fault {
    fn reason(self) -> String {
        match self {
            Self::Lasting(reason) | Self::Passing(reason) => reason,
        }
    }
}

fn failed(what: &str) -> impl Fn(Error) -> Fault + '_ {
    move |error| {
        let said = if let Error::Pkcs11(code, _) = error {
            format!("{code:?}")
        } else {
            error.to_string()
        };
        Fault::Passing(format!(
            "cannot be used, the module says {said} when asked to {what}: check that the device is \
             there and its module runs, then try again"
        ))
    }
}

struct Module {
    library: PathBuf,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    context: Option<Pkcs11>,
    is_ready: bool,
    sessions: BTreeMap<u64, Session>,
    refused: BTreeSet<(u64, Vec<u8>)>,
}

impl Module {
    /// The module of a key, loaded by the first of its keys.
    fn of(uri: &KeyUri) -> Result<Arc<Self>, Fault> {
        let given = DEFAULTS.get().and_then(|given| given.library.as_deref());
        let library = uri.module_path().or(given).ok_or_else(|| {
            Fault::Lasting(
                "needs a PKCS#11 module: add ?module-path=FILE, or set CREDITMESH_PKCS11_MODULE"
                    .to_owned(),
            )
        })?;
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        let module = modules.entry(library.to_owned()).or_insert_with(|| {
            Arc::new(Self {
                library: library.to_owned(),
                open: Mutex::new(Open::default()),
            })
        });
        Ok(Arc::clone(module))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn context(&mut self, library: &Path) -> Result<Pkcs11, Fault> {
        let context = match &self.context {
            Some(context) => context.clone(),
            None => {
                let loaded = Pkcs11::new(library).map_err(|_| {
                    Fault::Lasting(format!(
                        "needs the PKCS#11 module {}, which cannot be loaded: install it, or \
                         correct module-path",
                        library.display()
                    ))
                })?;
                self.context.insert(loaded).clone()
            }
        };
        if !self.is_ready {
            let flags = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
            match context.initialize(flags) {
                Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
                Err(error) => return Err(failed("start")(error)),
            }
            self.is_ready = true;
        }
        Ok(context)
    }

    /// Ends all sessions and initialises the module anew with the next call.
    fn restart(&mut self) {
        self.sessions.clear();
        self.is_ready = false;
        if let Some(context) = &self.context {
            // A module that is gone cannot end in order.
            drop(context.clone().finalize());
        }
    }

    fn slot(context: &Pkcs11, uri: &KeyUri) -> Result<Slot, Fault> {
        let slots = context.get_slots_with_token();
        let slots = slots.map_err(failed("list its tokens"))?;
        let fits = |wanted: &Option<String>, found: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted == found.trim_end())
        };
        let mut found = slots.into_iter().filter(|slot| {
            context.get_token_info(*slot).is_ok_and(|token| {
                fits(&uri.token, token.label())
                    && fits(&uri.serial, token.serial_number())
                    && fits(&uri.manufacturer, token.manufacturer_id())
                    && fits(&uri.model, token.model())
            })
        });
        match (found.next(), found.next()) {
            (Some(slot), None) => Ok(slot),
            (None, _) => Err(Fault::Passing(
                "lies in a token that the module does not show: connect the device, or correct \
                 token="
                    .to_owned(),
            )),
            (Some(_), Some(_)) => Err(Fault::Lasting(
                "names more than one token: add serial=".to_owned(),
            )),
        }
    }

    fn login(&mut self, session: &Session, slot: Slot, pin: &SecretBytes) -> Result<(), Fault> {
        let refused = || {
            Fault::Lasting(
                "does not open: its PIN is wrong or blocked; correct the PIN file, and start \
                 again. It is not tried again, because a token blocks itself after some wrong PINs"
                    .to_owned(),
            )
        };
        let tried = (slot.id(), sha256(pin.expose()).to_vec());
        if self.refused.contains(&tried) {
            return Err(refused());
        }
        let secret = RawAuthPin::new(Box::new(pin.expose().to_vec()));
        match session.login_with_raw(UserType::User, &secret) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(
                RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked
                | RvError::UserPinNotInitialized,
                _,
            )) => {
                self.refused.insert(tried);
                Err(refused())
            }
            Err(error) => Err(failed("log in")(error)),
        }
    }

    /// The session with a key's token, opened and logged in where there is none.
    fn session(&mut self, library: &Path, key: &Place) -> Result<&Session, Fault> {
        let context = self.context(library)?;
        let slot = Self::slot(&context, &key.uri)?;
        if !self.sessions.contains_key(&slot.id()) {
            let session = context.open_rw_session(slot);
            let session = session.map_err(failed("open a session"))?;
            self.login(&session, slot, &key.pin)?;
            self.sessions.insert(slot.id(), session);
        }
        self.sessions
            .get(&slot.id())
            .ok_or_else(|| Fault::Passing("has no session: try again".to_owned()))
    }
}

/// The objects of a key.
fn objects(
    session: &Session,
    uri: &KeyUri,
    class: ObjectClass,
    curve: Curve,
) -> Result<Vec<ObjectHandle>, Fault> {
    let mut template = vec![
        Attribute::Class(class),
        Attribute::KeyType(curve.key_type()),
    ];
    template.extend(
        uri.object
            .iter()
            .map(|label| Attribute::Label(label.as_bytes().to_vec())),
    );
    template.extend(uri.id.iter().map(|id| Attribute::Id(id.clone())));
    session
        .find_objects(&template)
        .map_err(failed("find the key"))
}

fn only(found: &[ObjectHandle], half: &str, curve: Curve) -> Result<ObjectHandle, Fault> {
    match found {
        [one] => Ok(*one),
        [] => Err(Fault::Passing(format!(
            "is not in the token: there is no {half} half of a {} key with that name",
            curve.word()
        ))),
        _ => Err(Fault::Lasting(
            "is there more than once: add id= to name one".to_owned(),
        )),
    }
}

/// Which key, and what opens its token.
struct Place {
    uri: KeyUri,
    pin: SecretBytes,
}

/// A key in a module. Its private half never leaves the module.
pub(super) struct ModuleKey {
    place: Place,
    curve: Curve,
    public: Vec<u8>,
    module: Arc<Module>,
}

impl ModuleKey {
    /// Opens a key that is there.
    pub(super) fn open(uri: &KeyUri, pin: &SecretBytes, curve: Curve) -> Result<Self, KeyError> {
        Self::with(uri, pin, curve, false)
    }

    /// Makes a key where there is none of that name.
    pub(super) fn make(uri: &KeyUri, pin: &SecretBytes, curve: Curve) -> Result<Self, KeyError> {
        Self::with(uri, pin, curve, true)
    }

    fn with(uri: &KeyUri, pin: &SecretBytes, curve: Curve, new: bool) -> Result<Self, KeyError> {
        let refused = |fault: Fault| refusal(uri, fault);
        let place = Place {
            uri: uri.clone(),
            pin: copy_of(pin),
        };
        let module = Module::of(uri).map_err(refused)?;
        let public = {
            let mut open = module.open();
            let session = open.session(&module.library, &place).map_err(refused)?;
            if new {
                generate(session, uri, curve).map_err(refused)?;
            }
            public_half(session, uri, curve).map_err(refused)?
        };
        Ok(Self {
            place,
            curve,
            public,
            module,
        })
    }

    pub(super) const fn uri(&self) -> &KeyUri {
        &self.place.uri
    }

    /// The public point: 65 bytes (P-256, uncompressed) or 32 (Ed25519).
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The signature as the module gives it: r and s for P-256, RFC 8032's for Ed25519; 64 bytes.
    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyError> {
        let mut open = self.module.open();
        let signature = match self.sign_once(&mut open, message) {
            Err(Fault::Passing(_)) => {
                open.restart();
                self.sign_once(&mut open, message)
            }
            signed => signed,
        };
        signature.map_err(|fault| refusal(&self.place.uri, fault))
    }

    fn sign_once(&self, open: &mut Open, message: &[u8]) -> Result<[u8; 64], Fault> {
        let session = open.session(&self.module.library, &self.place)?;
        let found = objects(
            session,
            &self.place.uri,
            ObjectClass::PRIVATE_KEY,
            self.curve,
        )?;
        let key = only(&found, "private", self.curve)?;
        let signed = match self.curve {
            Curve::P256 => session.sign(&Mechanism::Ecdsa, key, &sha256(message)),
            Curve::Ed25519 => {
                let pure = EddsaParams::new(EddsaSignatureScheme::Pure);
                session.sign(&Mechanism::Eddsa(pure), key, message)
            }
        };
        let signed = signed.map_err(failed("sign"))?;
        signed.try_into().map_err(|_| {
            Fault::Lasting("gives signatures of another length: use another module".to_owned())
        })
    }
}

fn refusal(uri: &KeyUri, fault: Fault) -> KeyError {
    KeyError::Module {
        key: uri.shown(),
        reason: fault.reason(),
    }
}

fn public_half(session: &Session, uri: &KeyUri, curve: Curve) -> Result<Vec<u8>, Fault> {
    let private = objects(session, uri, ObjectClass::PRIVATE_KEY, curve)?;
    only(&private, "private", curve)?;
    let public = objects(session, uri, ObjectClass::PUBLIC_KEY, curve)?;
    let public = only(&public, "public", curve)?;
    let wanted = [AttributeType::EcParams, AttributeType::EcPoint];
    let found = session.get_attributes(public, &wanted);
    let found = found.map_err(failed("show the public half"))?;
    let is_curve = found.iter().any(|attribute| {
        matches!(attribute, Attribute::EcParams(params) if curve.params().contains(&&params[..]))
    });
    let point = found.iter().find_map(|attribute| {
        if let Attribute::EcPoint(point) = attribute {
            curve.point(point)
        } else {
            None
        }
    });
    point.filter(|_| is_curve).ok_or_else(|| {
        Fault::Lasting(format!(
            "is not {}: name a key of that kind, or make one",
            curve.word()
        ))
    })
}

fn generate(session: &Session, uri: &KeyUri, curve: Curve) -> Result<(), Fault> {
    if !objects(session, uri, ObjectClass::PRIVATE_KEY, curve)?.is_empty() {
        return Err(Fault::Lasting(
            "is in the token already, and no key is overwritten: choose another name".to_owned(),
        ));
    }
    let id = match &uri.id {
        Some(id) => id.clone(),
        None => session
            .generate_random_vec(16)
            .map_err(failed("give random bytes"))?,
    };
    let label = uri.object.clone().unwrap_or_default().into_bytes();
    let mechanism = match curve {
        Curve::P256 => Mechanism::EccKeyPairGen,
        Curve::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
    };
    let common = [
        Attribute::Token(true),
        Attribute::Label(label),
        Attribute::Id(id),
    ];
    let private = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    let private = [&common[..], &private[..]].concat();
    let mut made = Err(Error::NotSupported);
    for params in curve.params() {
        let public = [
            Attribute::Verify(true),
            Attribute::EcParams(params.to_vec()),
        ];
        let public = [&common[..], &public[..]].concat();
        made = session.generate_key_pair(&mechanism, &public, &private);
        if made.is_ok() {
            break;
        }
    }
    made.map(|_| ()).map_err(failed("make the key"))
}

impl fmt::Debug for ModuleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleKey")
            .field("uri", &self.place.uri.shown())
            .field("curve", &self.curve)
            .finish_non_exhaustive()
    }
}
