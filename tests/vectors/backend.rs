//! The binary runs the fastest group arithmetic that the machine has.

use creditmesh::crypto::{avx512_present, vector_backend};

#[test]
fn fastest_backend_of_this_machine_is_compiled_in() {
    if avx512_present() {
        assert_eq!(
            vector_backend(),
            "avx512ifma",
            "this machine has AVX-512 IFMA, but the build lacks it: a RUSTFLAGS variable hides \
             .cargo/config.toml; unset it"
        );
    }
    assert!(["avx512ifma", "avx2", "serial"].contains(&vector_backend()));
}
