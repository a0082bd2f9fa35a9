//! Conclusions against the truth of random histories, and rule by rule.

mod exact;
mod properties;
mod rules;
mod truth;
mod votes;
mod world;
