//! Messages of light mode: `proto/creditmesh/v1/light.proto` in and out.

use prost::bytes::Bytes;

use super::peer::fixed;
use super::{Malformed, Question, pb};
use crate::domain::Epoch;
use crate::limits::{
    CHECKPOINT_BYTES_MAX, ELEMENT_BYTES, LEAF_BYTES, LIGHT_BITS_MAX, LIGHT_ELEMENTS,
    LIGHT_ENTRIES_MAX, LIGHT_PART_ENTRIES, STATED_FEEDS_MAX,
};

/// A question of a member that holds no mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LightQuestion {
    /// The elements, [`LIGHT_ELEMENTS`] of them.
    pub question: Question,
    /// Bits of the prefixes.
    pub bits: u32,
    /// The bucket of each element.
    pub buckets: [u32; LIGHT_ELEMENTS],
}

/// What comes before the buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LightHead {
    /// Evaluated elements, 32 bytes each.
    pub elements: Bytes,
    /// DLEQ proof over the batch.
    pub proof: [u8; 64],
    /// Signed checkpoint of the feed.
    pub checkpoint: String,
    /// Entries of each bucket.
    pub entries: u64,
}

impl TryFrom<pb::LightEvaluateRequest> for LightQuestion {
    type Error = Malformed;

    fn try_from(message: pb::LightEvaluateRequest) -> Result<Self, Malformed> {
        let missing = || Malformed::new("question", "must be present");
        let question = Question::try_from(message.question.ok_or_else(missing)?)?;
        if question.elements.len() != LIGHT_ELEMENTS * ELEMENT_BYTES {
            let rule = format!("must be {LIGHT_ELEMENTS} elements of {ELEMENT_BYTES} bytes");
            return Err(Malformed::new("question.elements", rule));
        }
        if message.bits > LIGHT_BITS_MAX {
            return Err(Malformed::new(
                "bits",
                format!("must be 0 to {LIGHT_BITS_MAX}"),
            ));
        }
        let one_each = || Malformed::new("buckets", format!("must be {LIGHT_ELEMENTS} of them"));
        let buckets: [u32; LIGHT_ELEMENTS] = message.buckets.try_into().map_err(|_| one_each())?;
        if buckets.iter().any(|bucket| bucket >> message.bits != 0) {
            return Err(Malformed::new(
                "buckets",
                "must be below 2 to the power of bits",
            ));
        }
        Ok(Self {
            question,
            bits: message.bits,
            buckets,
        })
    }
}

impl From<LightQuestion> for pb::LightEvaluateRequest {
    fn from(wanted: LightQuestion) -> Self {
        Self {
            question: Some(wanted.question.into()),
            bits: wanted.bits,
            buckets: wanted.buckets.to_vec(),
        }
    }
}

impl TryFrom<pb::LightPart> for LightHead {
    type Error = Malformed;

    fn try_from(part: pb::LightPart) -> Result<Self, Malformed> {
        if part.elements.len() != LIGHT_ELEMENTS * ELEMENT_BYTES {
            let rule = format!("must be {LIGHT_ELEMENTS} elements of {ELEMENT_BYTES} bytes");
            return Err(Malformed::new("elements", rule));
        }
        if part.checkpoint.len() > CHECKPOINT_BYTES_MAX {
            let rule = format!("must be at most {CHECKPOINT_BYTES_MAX} bytes");
            return Err(Malformed::new("checkpoint", rule));
        }
        if part.entries > LIGHT_ENTRIES_MAX {
            let rule = format!("must be at most {LIGHT_ENTRIES_MAX}");
            return Err(Malformed::new("entries", rule));
        }
        if !part.leaves.is_empty() {
            return Err(Malformed::new("leaves", "must be empty in the first part"));
        }
        Ok(Self {
            proof: fixed("proof", &part.proof)?,
            elements: part.elements,
            checkpoint: part.checkpoint,
            entries: part.entries,
        })
    }
}

impl From<LightHead> for pb::LightPart {
    fn from(head: LightHead) -> Self {
        Self {
            elements: head.elements,
            proof: Bytes::copy_from_slice(&head.proof),
            checkpoint: head.checkpoint,
            entries: head.entries,
            leaves: Bytes::new(),
        }
    }
}

/// The entries of a part behind the first.
///
/// # Errors
/// [`Malformed`] where they are no whole entries, none, or too many.
pub fn light_entries(part: pb::LightPart) -> Result<Bytes, Malformed> {
    let bytes = part.leaves.len();
    let is_sound =
        bytes.is_multiple_of(LEAF_BYTES) && (1..=LIGHT_PART_ENTRIES * LEAF_BYTES).contains(&bytes);
    if !is_sound {
        let rule = format!("must be 1 to {LIGHT_PART_ENTRIES} entries of {LEAF_BYTES} bytes");
        return Err(Malformed::new("leaves", rule));
    }
    Ok(part.leaves)
}

/// Entries as a part.
#[must_use]
pub fn light_part(leaves: Bytes) -> pb::LightPart {
    pb::LightPart {
        leaves,
        ..Default::default()
    }
}

/// How one feed is cut into buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LightOffer {
    /// Key epoch of the feed.
    pub epoch: Epoch,
    /// Bits of the prefix.
    pub bits: u32,
    /// Entries of each bucket.
    pub entries: u64,
}

/// How a peer's feeds are cut.
///
/// # Errors
/// [`Malformed`] where there are too many, or a prefix is too long.
pub fn light_offers(message: &pb::LightOfferResponse) -> Result<Vec<LightOffer>, Malformed> {
    if message.offers.len() > STATED_FEEDS_MAX {
        let rule = format!("must be at most {STATED_FEEDS_MAX}");
        return Err(Malformed::new("offers", rule));
    }
    if message
        .offers
        .iter()
        .any(|offer| offer.bits > LIGHT_BITS_MAX)
    {
        let rule = format!("must be 0 to {LIGHT_BITS_MAX}");
        return Err(Malformed::new("offers.bits", rule));
    }
    let offers = message.offers.iter().map(|offer| LightOffer {
        epoch: Epoch(offer.epoch),
        bits: offer.bits,
        entries: offer.entries,
    });
    Ok(offers.collect())
}

/// The same as a message.
#[must_use]
pub fn light_offer_response(offers: &[LightOffer]) -> pb::LightOfferResponse {
    let offer = |offer: &LightOffer| pb::LightOffer {
        epoch: offer.epoch.0,
        bits: offer.bits,
        entries: offer.entries,
    };
    pb::LightOfferResponse {
        offers: offers.iter().map(offer).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> pb::LightEvaluateRequest {
        pb::LightEvaluateRequest {
            question: Some(pb::EvaluateRequest {
                request_id: Bytes::from_static(&[1; 16]),
                epoch: 3,
                purpose: "credit-application".to_owned(),
                commitment: Bytes::from_static(&[2; 32]),
                elements: Bytes::from(vec![3; 64]),
                mirror_size: 0,
            }),
            bits: 3,
            buckets: vec![7, 0],
        }
    }

    #[test]
    fn a_sound_question_survives_the_border_both_ways() {
        let checked = LightQuestion::try_from(request()).unwrap();
        assert_eq!(pb::LightEvaluateRequest::from(checked), request());
    }

    #[test]
    fn each_broken_question_names_its_field() {
        type Defect = (&'static str, fn(&mut pb::LightEvaluateRequest));
        let defects: [Defect; 7] = [
            ("question", |m| m.question = None),
            ("question.elements", |m| {
                m.question.as_mut().unwrap().elements = Bytes::from(vec![3; 32]);
            }),
            ("request_id", |m| {
                m.question.as_mut().unwrap().request_id = Bytes::new();
            }),
            ("bits", |m| m.bits = 17),
            ("buckets", |m| m.buckets = vec![1]),
            ("buckets", |m| m.buckets = vec![1, 2, 3]),
            ("buckets", |m| m.buckets = vec![0, 8]),
        ];
        for (field, defect) in defects {
            let mut message = request();
            defect(&mut message);
            assert_eq!(LightQuestion::try_from(message).unwrap_err().field, field);
        }
    }

    #[test]
    fn parts_that_are_no_whole_entries_are_refused() {
        for bytes in [0, 159, 161, (LIGHT_PART_ENTRIES + 1) * LEAF_BYTES] {
            assert!(light_entries(light_part(Bytes::from(vec![0; bytes]))).is_err());
        }
        assert!(light_entries(light_part(Bytes::from(vec![0; 320]))).is_ok());
    }
}
