//! Which vector instructions the group arithmetic of this binary runs on this machine.

/// The backend that curve25519-dalek chooses at run time: `"avx512ifma"`, `"avx2"` or `"serial"`.
///
/// dalek compiles its AVX-512 backend only where `cfg(curve25519_dalek_backend = "avx512")` is
/// set, which `.cargo/config.toml` does; a `RUSTFLAGS` variable hides that file, and the group
/// then runs at half speed.
#[must_use]
pub fn vector_backend() -> &'static str {
    let serial_only = cfg!(any(
        curve25519_dalek_backend = "serial",
        curve25519_dalek_backend = "fiat"
    ));
    if serial_only || !cfg!(target_pointer_width = "64") {
        "serial"
    } else if avx512_compiled() && avx512_present() {
        "avx512ifma"
    } else if avx2_present() {
        "avx2"
    } else {
        "serial"
    }
}

/// Whether this machine could run the AVX-512 backend, compiled in or not.
#[must_use]
pub fn avx512_present() -> bool {
    #[cfg(target_arch = "x86_64")]
    let present = std::arch::is_x86_feature_detected!("avx512ifma")
        && std::arch::is_x86_feature_detected!("avx512vl");
    #[cfg(not(target_arch = "x86_64"))]
    let present = false;
    present
}

/// dalek also compiles it where the target is known to have the instructions (`target-cpu=native`).
const fn avx512_compiled() -> bool {
    cfg!(any(
        curve25519_dalek_backend = "avx512",
        all(target_feature = "avx512ifma", target_feature = "avx512vl")
    ))
}

fn avx2_present() -> bool {
    #[cfg(target_arch = "x86_64")]
    let present = std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    let present = false;
    present
}
