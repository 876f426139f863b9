//! A random order of the ready queue, for tests that ask for one.
//!
//! Next: [`cell`](super::cell).

/// Fisher and Yates, with Steele's SplitMix64: a seed gives the same order on every machine.
pub(super) fn shuffle(entries: &mut [u32], state: &mut u64) {
    for last in (1..entries.len()).rev() {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut random = *state;
        random = (random ^ (random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        random ^= random >> 31;
        entries.swap(last, (random % (last as u64 + 1)) as usize);
    }
}
