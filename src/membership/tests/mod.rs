//! Tests of the room as a whole: trust documents, certificates, joining, admission.

mod admission;

mod lists;
mod rights;
