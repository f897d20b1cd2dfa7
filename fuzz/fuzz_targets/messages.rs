//! PulseAudio messages of a hostile browser.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    roomreel::speaker::fuzz::messages(bytes).expect("an introduction");
});
