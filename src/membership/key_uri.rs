//! Names of keys in PKCS#11 modules: `pkcs11:token=…;object=…` (RFC 7512).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Why a text does not name a key in a module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyUriError {
    /// It does not begin with `pkcs11:`.
    #[error("a key in a module is named pkcs11:token=NAME;object=NAME")]
    Scheme,
    /// An attribute that this program does not know, given twice, or without a value.
    #[error(
        "pkcs11 URI: `{attribute}` is not understood here; give token, serial, manufacturer, \
         model, object and id, and after `?` module-path and pin-source, each once"
    )]
    Attribute {
        /// Its name.
        attribute: String,
    },
    /// The PIN stands in the URI.
    #[error(
        "pkcs11 URI: a PIN in the URI is seen by others; put it into a file and give \
         ?pin-source=file:PATH"
    )]
    Pin,
    /// Token or object are missing.
    #[error("pkcs11 URI: name the token (token= or serial=) and the key (object= or id=)")]
    Incomplete,
}

/// The name of a key in a PKCS#11 module. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUri {
    pub(super) token: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) object: Option<String>,
    pub(super) id: Option<Vec<u8>>,
    module_path: Option<PathBuf>,
    pin_source: Option<PathBuf>,
}

const SCHEME: &str = "pkcs11:";

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(&digits).ok()?;
            out.extend(decoded);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn text_of(value: &[u8]) -> Option<String> {
    String::from_utf8(value.to_vec()).ok()
}

/// Sets `slot` once.
fn set<T>(slot: &mut Option<T>, value: Option<T>) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = Some(value?);
    Some(())
}

impl KeyUri {
    /// Whether a text, from a command line or a key file, names a key in a module.
    #[must_use]
    pub fn is_like(text: &str) -> bool {
        text.trim_start().starts_with(SCHEME)
    }

    fn take(&mut self, attribute: &str, value: &[u8]) -> Option<()> {
        let path = || text_of(value).map(PathBuf::from);
        match attribute {
            "token" => set(&mut self.token, text_of(value)),
            "serial" => set(&mut self.serial, text_of(value)),
            "manufacturer" => set(&mut self.manufacturer, text_of(value)),
            "model" => set(&mut self.model, text_of(value)),
            "object" => set(&mut self.object, text_of(value)),
            "id" => set(&mut self.id, Some(value.to_vec())),
            "type" => (value == b"private").then_some(()),
            "module-path" => set(&mut self.module_path, path()),
            "pin-source" => {
                let text = text_of(value)?;
                let text = text.strip_prefix("file:").unwrap_or(&text);
                let text = text.strip_prefix("//").unwrap_or(text);
                set(&mut self.pin_source, Some(PathBuf::from(text)))
            }
            _ => None,
        }
    }

    /// The same name, with its files made absolute from `folder`, so that it can be kept.
    #[must_use]
    pub fn anchored(self, folder: &Path) -> Self {
        let absolute = |path: Option<PathBuf>| path.map(|path| folder.join(path));
        Self {
            module_path: absolute(self.module_path),
            pin_source: absolute(self.pin_source),
            ..self
        }
    }

    /// The module's library, where the name says so.
    #[must_use]
    pub fn module_path(&self) -> Option<&Path> {
        self.module_path.as_deref()
    }

    /// The file whose first line is the PIN, where the name says so.
    #[must_use]
    pub fn pin_source(&self) -> Option<&Path> {
        self.pin_source.as_deref()
    }

    /// Token and object, for messages.
    #[must_use]
    pub fn shown(&self) -> String {
        let text = self.to_string();
        text.split('?').next().unwrap_or_default().to_owned()
    }
}

impl FromStr for KeyUri {
    type Err = KeyUriError;

    fn from_str(text: &str) -> Result<Self, KeyUriError> {
        let rest = text.trim();
        let rest = rest.strip_prefix(SCHEME).ok_or(KeyUriError::Scheme)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self {
            token: None,
            serial: None,
            manufacturer: None,
            model: None,
            object: None,
            id: None,
            module_path: None,
            pin_source: None,
        };
        let parts = path.split(';').map(|part| (part, false));
        let parts = parts.chain(query.split('&').map(|part| (part, true)));
        for (part, is_query) in parts.filter(|(part, _)| !part.is_empty()) {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            if attribute == "pin-value" {
                return Err(KeyUriError::Pin);
            }
            let belongs = is_query == ["module-path", "pin-source"].contains(&attribute);
            let taken = decode(value)
                .filter(|value| belongs && !value.is_empty())
                .and_then(|value| uri.take(attribute, &value));
            if taken.is_none() {
                return Err(KeyUriError::Attribute {
                    attribute: attribute.to_owned(),
                });
            }
        }
        let has_token = uri.token.is_some() || uri.serial.is_some();
        let has_object = uri.object.is_some() || uri.id.is_some();
        if has_token && has_object {
            Ok(uri)
        } else {
            Err(KeyUriError::Incomplete)
        }
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
        let file = |path: &Option<PathBuf>| {
            let path = path.as_ref()?;
            Some(path.to_string_lossy().into_owned().into_bytes())
        };
        let path = [
            ("token", bytes(&self.token)),
            ("serial", bytes(&self.serial)),
            ("manufacturer", bytes(&self.manufacturer)),
            ("model", bytes(&self.model)),
            ("object", bytes(&self.object)),
            ("id", self.id.clone()),
        ];
        let query = [
            ("module-path", file(&self.module_path)),
            ("pin-source", file(&self.pin_source)),
        ];
        let joined = |parts: &[(&str, Option<Vec<u8>>)], between: &str| {
            let given = parts.iter().filter_map(|(name, value)| {
                let value = value.as_ref()?;
                Some(format!("{name}={}", encode(value)))
            });
            given.collect::<Vec<_>>().join(between)
        };
        write!(f, "{SCHEME}{}", joined(&path, ";"))?;
        let query = joined(&query, "&");
        if !query.is_empty() {
            write!(f, "?{query}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_uri_survives_its_text_and_its_files_are_anchored() {
        let text = "pkcs11:token=The%20Token;object=root;id=%01%FF;type=private\
                    ?module-path=/lib/hsm.so&pin-source=file:pin.txt";
        let uri: KeyUri = text.parse().unwrap();
        assert_eq!(uri.token.as_deref(), Some("The Token"));
        assert_eq!(uri.id.as_deref(), Some(&[1, 255][..]));
        assert_eq!(uri.pin_source(), Some(Path::new("pin.txt")));
        assert_eq!(
            uri.shown(),
            "pkcs11:token=The%20Token;object=root;id=%01%FF"
        );
        let anchored = uri.anchored(Path::new("/net"));
        assert_eq!(anchored.pin_source(), Some(Path::new("/net/pin.txt")));
        assert_eq!(anchored.module_path(), Some(Path::new("/lib/hsm.so")));
        assert_eq!(anchored.to_string().parse(), Ok(anchored));
    }

    #[test]
    fn what_does_not_name_one_key_is_refused() {
        let refused = |text: &str| text.parse::<KeyUri>().unwrap_err();
        assert_eq!(refused("root.key"), KeyUriError::Scheme);
        assert_eq!(refused("pkcs11:token=a"), KeyUriError::Incomplete);
        assert_eq!(refused("pkcs11:object=a"), KeyUriError::Incomplete);
        let pin = "pkcs11:token=a;object=b?pin-value=1234";
        assert_eq!(refused(pin), KeyUriError::Pin);
        for wrong in [
            "pkcs11:token=a;token=b;object=c",
            "pkcs11:token=a;object=b;slot-id=1",
            "pkcs11:token=a;object=",
            "pkcs11:token=a;object=%4",
            "pkcs11:token=a;object=b;pin-source=c",
            "pkcs11:token=a;object=b?module-name=c",
            "pkcs11:token=a;object=b;type=cert",
        ] {
            let found = refused(wrong);
            assert!(
                matches!(found, KeyUriError::Attribute { .. }),
                "{wrong}: {found}"
            );
        }
    }
}
