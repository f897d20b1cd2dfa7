//! Wayland requests of a hostile browser.
#![no_main]

use std::panic::{set_hook, take_hook};
use std::sync::Once;

use roomreel::display::fuzz::{is_survived, requests};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static HOOK: Once = Once::new();
    // The fuzzer's hook aborts at any panic, also at one that the screen survives.
    HOOK.call_once(|| {
        let abort = take_hook();
        set_hook(Box::new(move |panic| {
            if !panic.payload_as_str().is_some_and(is_survived) {
                abort(panic);
            }
        }));
    });
    requests(bytes).expect("descriptors");
});
