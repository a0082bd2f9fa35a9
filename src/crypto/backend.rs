//! Which vector instructions the group arithmetic of this binary runs on this machine.

use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(target_arch = "x86_64")]
use super::lanes::Lanes;

/// What computes with batches of group elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupArithmetic {
    /// Eight elements at a time where the processor has AVX-512 IFMA, else curve25519-dalek.
    #[default]
    Auto,
    /// curve25519-dalek everywhere.
    Dalek,
}

static DALEK_ONLY: AtomicBool = AtomicBool::new(false);

/// Chooses for the whole process. Batches that exist already finish on what they began with.
pub fn choose_arithmetic(choice: GroupArithmetic) {
    DALEK_ONLY.store(choice == GroupArithmetic::Dalek, Ordering::Relaxed);
}

/// The lanes, where the processor has them, they agreed with curve25519-dalek when first asked
/// for, and the configuration does not rule them out.
#[cfg(target_arch = "x86_64")]
pub(super) fn lanes() -> Option<Lanes> {
    use std::sync::LazyLock;

    static TESTED: LazyLock<Option<Lanes>> = LazyLock::new(|| {
        let lanes = Lanes::detect()?;
        let sound = lanes.agrees_with_dalek();
        if !sound {
            tracing::warn!(
                "the vector lanes disagree with curve25519-dalek and are not used; check this \
                 machine's processor and memory"
            );
        }
        sound.then_some(lanes)
    });
    if DALEK_ONLY.load(Ordering::Relaxed) {
        None
    } else {
        *TESTED
    }
}

/// What batches of the OPRF run on: `"avx512ifma x8"` for eight elements at a time, else the
/// backend of curve25519-dalek, on which lone elements always run.
#[must_use]
pub fn vector_backend() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if lanes().is_some() {
        return "avx512ifma x8";
    }
    dalek_backend()
}

/// The backend that curve25519-dalek chooses at run time: `"avx512ifma"`, `"avx2"` or `"serial"`.
///
/// dalek compiles its AVX-512 backend only where `cfg(curve25519_dalek_backend = "avx512")` is
/// set, which `.cargo/config.toml` does; a `RUSTFLAGS` variable hides that file, and the group
/// then runs at half speed.
#[must_use]
pub fn dalek_backend() -> &'static str {
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
