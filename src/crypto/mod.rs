//! Keys and their few verbs: blind, evaluate, finalize; seal, open. Knows no storage and no network.
