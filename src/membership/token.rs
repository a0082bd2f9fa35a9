//! The one line by which a joiner finds its registrar, and proves that it was invited.
//!
//! A token names the network, the root's fingerprint, the registrars, and an invitation that the
//! registrar keeps; it carries no rights itself. Whoever holds it can use the invitation once, so
//! it travels like a password.

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use super::certificate::sha256;
use super::list::is_endpoint;
use crate::crypto::Secret;
use crate::domain::NetworkId;
use crate::env::{Entropy, EntropyUnavailable};
use crate::limits::{REGISTRARS_MAX, TOKEN_CHARS_MAX};

/// First byte of every token of this form.
const FORM: u8 = 1;

/// Bytes at the end that tell a mistyped token from a wrong one.
const CHECK_BYTES: usize = 4;

/// Form, fingerprint, invitation, secret.
const FIXED_BYTES: usize = 1 + 32 + 16 + 32;

/// Why a line is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not the line that `network invite` printed.
    #[error("this is no token: copy the whole line that `creditmesh network invite` printed")]
    Malformed,
    /// Some characters are missing or wrong.
    #[error("the token is incomplete or mistyped: copy the whole line again")]
    Mistyped,
    /// A token of a later form.
    #[error("the token is of a form that this program does not know: update the program")]
    UnknownForm,
}

/// What a token says. Its text is secret.
#[derive(Debug)]
pub struct InvitationToken {
    /// The network's id.
    pub network: NetworkId,
    /// Fingerprint of the root document that the invitation was written under.
    pub fingerprint: [u8; 32],
    /// `host:port` of the registrars, 1 to [`REGISTRARS_MAX`].
    pub registrars: Vec<String>,
    /// The invitation's number.
    pub invitation_id: [u8; 16],
    /// What proves to the registrar that the holder was invited.
    pub secret: Secret<32>,
}

impl InvitationToken {
    /// A fresh secret for an invitation.
    ///
    /// # Errors
    /// [`EntropyUnavailable`].
    pub fn fresh_secret(entropy: &dyn Entropy) -> Result<Secret<32>, EntropyUnavailable> {
        Secret::random(entropy)
    }

    /// The token as one line of base64url (RFC 4648 §5, without padding).
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![FORM]);
        bytes.extend_from_slice(&self.fingerprint);
        bytes.extend_from_slice(&self.invitation_id);
        bytes.extend_from_slice(self.secret.expose());
        bytes.extend_from_slice(self.network.as_str().as_bytes());
        for registrar in &self.registrars {
            bytes.push(b'\n');
            bytes.extend_from_slice(registrar.as_bytes());
        }
        let check = sha256(&bytes);
        bytes.extend(check.iter().take(CHECK_BYTES));
        Zeroizing::new(BASE64URL_NOPAD.encode(&bytes))
    }

    /// Whether `text` looks like a token rather than the name of a file: used to tell the two
    /// apart where either may stand.
    #[must_use]
    pub fn is_like(text: &str) -> bool {
        text.len() > FIXED_BYTES
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > TOKEN_CHARS_MAX {
            return Err(TokenError::Malformed);
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
        let bytes = Zeroizing::new(bytes.map_err(|_| TokenError::Mistyped)?);
        let length = bytes.len().checked_sub(CHECK_BYTES);
        let (body, check) = bytes.split_at(length.ok_or(TokenError::Malformed)?);
        if !sha256(body).starts_with(check) {
            return Err(TokenError::Mistyped);
        }
        let (fixed, names) = body
            .split_at_checked(FIXED_BYTES)
            .ok_or(TokenError::Malformed)?;
        let (form, fixed) = fixed.split_at(1);
        if form != [FORM] {
            return Err(TokenError::UnknownForm);
        }
        let (fingerprint, fixed) = fixed.split_at(32);
        let (invitation_id, secret) = fixed.split_at(16);
        let names = std::str::from_utf8(names).map_err(|_| TokenError::Malformed)?;
        let mut names = names.split('\n');
        let network = names.next().and_then(|name| name.parse().ok());
        let registrars: Vec<String> = names.map(str::to_owned).collect();
        let sound = (1..=REGISTRARS_MAX).contains(&registrars.len())
            && registrars.iter().all(|one| is_endpoint(one));
        let secret: [u8; 32] = secret.try_into().map_err(|_| TokenError::Malformed)?;
        Ok(Self {
            network: network.filter(|_| sound).ok_or(TokenError::Malformed)?,
            fingerprint: fingerprint.try_into().map_err(|_| TokenError::Malformed)?,
            registrars,
            invitation_id: invitation_id
                .try_into()
                .map_err(|_| TokenError::Malformed)?,
            secret: Secret::from_bytes(secret),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> InvitationToken {
        InvitationToken {
            network: "credit-net".parse().unwrap(),
            fingerprint: [7; 32],
            registrars: vec!["registrar.example:7400".to_owned(), "[::1]:7400".to_owned()],
            invitation_id: [9; 16],
            secret: Secret::from_bytes([3; 32]),
        }
    }

    #[test]
    fn a_token_is_one_line_that_reads_back() {
        let text = token().to_text();
        assert!(InvitationToken::is_like(&text), "{}", *text);
        assert!(!text.contains(char::is_whitespace));
        let read = InvitationToken::parse(&format!(" {}\n", *text)).unwrap();
        assert_eq!(read.network.as_str(), "credit-net");
        assert_eq!(read.fingerprint, [7; 32]);
        assert_eq!(read.registrars, token().registrars);
        assert_eq!(read.invitation_id, [9; 16]);
        assert_eq!(read.secret.expose(), &[3; 32]);
    }

    #[test]
    fn a_mistyped_or_shortened_token_says_so() {
        let text = token().to_text();
        for at in [0, 20, text.len() - 1] {
            let mut wrong = text.to_string().into_bytes();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            let wrong = String::from_utf8(wrong).unwrap();
            assert_eq!(
                InvitationToken::parse(&wrong).err(),
                Some(TokenError::Mistyped)
            );
        }
        let short = InvitationToken::parse(&text[..text.len() - 4]).err();
        assert_eq!(short, Some(TokenError::Mistyped));
        assert!(InvitationToken::parse("").is_err());
        assert!(!InvitationToken::is_like("alpha.invite"));
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        assert!(!format!("{:?}", token()).contains("3, 3"));
    }
}
