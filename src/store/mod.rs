//! Keeping and finding sealed rows: one trait, the engines behind it, one conformance suite.
