//! The binary runs the fastest group arithmetic that the machine has.

use creditmesh::crypto::{
    GroupArithmetic, avx512_present, choose_arithmetic, dalek_backend, vector_backend,
};

#[test]
fn fastest_backend_of_this_machine_is_compiled_in() {
    if avx512_present() {
        assert_eq!(
            dalek_backend(),
            "avx512ifma",
            "this machine has AVX-512 IFMA, but the build lacks it: a RUSTFLAGS variable hides \
             .cargo/config.toml; unset it"
        );
    }
    assert!(["avx512ifma", "avx2", "serial"].contains(&dalek_backend()));
}

#[test]
fn lanes_run_where_the_machine_has_them_unless_dalek_is_chosen() {
    if avx512_present() {
        assert_eq!(vector_backend(), "avx512ifma x8");
    }
    choose_arithmetic(GroupArithmetic::Dalek);
    assert_eq!(vector_backend(), dalek_backend());
    choose_arithmetic(GroupArithmetic::Auto);
}
