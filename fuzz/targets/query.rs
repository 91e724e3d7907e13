//! The id in a query, against the URL Standard's parser of forms. First byte: the names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sticky_fuzz::{names, pairs};

fuzz_target!(|input: &[u8]| {
    let Some((choice, query)) = input.split_first() else {
        return;
    };
    let (plain, names) = names(*choice);
    let carried = names.in_query(query);
    pairs::assert_usable(&carried);

    let divided: Vec<u8> = query
        .iter()
        .map(|byte| if *byte == b';' { b'&' } else { *byte })
        .collect();
    if let Some(expected) = pairs::carried(plain, &divided) {
        assert_eq!(carried, expected);
    }
});
