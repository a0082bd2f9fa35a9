//! Signing what a node posts to its own lender's system, as the Standard Webhooks specification
//! (version 1.0.0) asks: `HMAC-SHA256(secret, id.timestamp.body)`.

use ring::hmac::{HMAC_SHA256, Key, sign, verify};

use crate::domain::Timestamp;
use crate::limits::{WEBHOOK_SECRET_BYTES_MAX, WEBHOOK_SECRET_BYTES_MIN};

/// What stands before the secret in its file.
const PREFIX: &str = "whsec_";

/// Header with the id of a delivery: the same each time that one alert is sent.
pub const ID_HEADER: &str = "webhook-id";

/// Header with the seconds since 1970 at which this attempt was made.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";

/// Header with the signature, `v1,` and base64.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// The text is not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be `whsec_` and the base64 of {WEBHOOK_SECRET_BYTES_MIN} to {WEBHOOK_SECRET_BYTES_MAX} \
     random bytes: make one with `echo whsec_$(openssl rand -base64 32)`"
)]
pub struct NotASecret;

/// The secret that a node shares with the system that takes its alerts.
#[derive(Clone)]
pub struct WebhookSecret(Key);

impl WebhookSecret {
    /// Reads `whsec_` and base64.
    ///
    /// # Errors
    /// [`NotASecret`].
    pub fn parse(text: &str) -> Result<Self, NotASecret> {
        let text = text.trim().strip_prefix(PREFIX).ok_or(NotASecret)?;
        let bytes = data_encoding::BASE64.decode(text.as_bytes());
        let bytes = zeroize::Zeroizing::new(bytes.map_err(|_| NotASecret)?);
        let lengths = WEBHOOK_SECRET_BYTES_MIN..=WEBHOOK_SECRET_BYTES_MAX;
        if !lengths.contains(&bytes.len()) {
            return Err(NotASecret);
        }
        Ok(Self(Key::new(HMAC_SHA256, &bytes)))
    }

    /// The value of [`SIGNATURE_HEADER`] for one attempt.
    #[must_use]
    pub fn sign(&self, id: &str, at: Timestamp, body: &str) -> String {
        let tag = sign(&self.0, signed(id, seconds(at), body).as_bytes());
        format!("v1,{}", data_encoding::BASE64.encode(tag.as_ref()))
    }

    /// Whether one of the signatures in a header, separated by spaces, is this secret's.
    #[must_use]
    pub fn verifies(&self, header: &str, id: &str, seconds: i64, body: &str) -> bool {
        let text = signed(id, seconds, body);
        let signatures = header.split(' ').filter_map(|one| one.strip_prefix("v1,"));
        let mut decoded =
            signatures.filter_map(|one| data_encoding::BASE64.decode(one.as_bytes()).ok());
        decoded.any(|tag| verify(&self.0, text.as_bytes(), &tag).is_ok())
    }
}

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

/// The value of [`TIMESTAMP_HEADER`].
#[must_use]
pub const fn seconds(at: Timestamp) -> i64 {
    at.unix_ms().div_euclid(1_000)
}

fn signed(id: &str, seconds: i64, body: &str) -> String {
    format!("{id}.{seconds}.{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn the_published_example_comes_out() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        let at = Timestamp::from_unix_ms(1_614_265_330_999);
        let header = secret.sign(id, at, body);
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let several = format!("v1,AAAA {header}");
        assert!(secret.verifies(&several, id, 1_614_265_330, body));
        assert!(!secret.verifies(&header, id, 1_614_265_331, body));
        assert!(!secret.verifies(&header, "msg_other", 1_614_265_330, body));
        assert!(!secret.verifies(&header, id, 1_614_265_330, "{}"));
    }

    #[test]
    fn what_is_not_a_secret_is_refused_with_how_to_make_one() {
        for text in [
            "",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_c2hvcnQ=",
            "whsec_*",
        ] {
            let refused = WebhookSecret::parse(text).unwrap_err().to_string();
            assert!(refused.contains("openssl rand"), "{refused}");
        }
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        assert_eq!(format!("{secret:?}"), "WebhookSecret(..)");
    }
}
