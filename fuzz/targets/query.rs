//! The ids in a query, against a parser of the URL Standard's forms. First byte: the names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sticky_fuzz::{delimiter, names, pairs};

fuzz_target!(|input: &[u8]| {
    let Some((choice, query)) = input.split_first() else {
        return;
    };
    let delimiter = delimiter(*choice);
    let (plain, names) = names(*choice);
    let names = names.cut_at(delimiter);
    let extracted = names.in_query(query);
    pairs::assert_usable(&extracted);

    let separated: Vec<u8> = query
        .iter()
        .map(|byte| if *byte == b';' { b'&' } else { *byte })
        .collect();
    if let Some(expected) = pairs::ids(plain, delimiter, &separated) {
        assert_eq!(extracted, pairs::of_link(&expected));
        pairs::assert_ids(names.ids_in_query(query), &expected);
        let first = names.first_in_query(query);
        assert_eq!(
            first.as_deref(),
            expected.iter().flatten().next().map(Vec::as_slice)
        );
    }
});
