//! The ids in a posted form, against a parser of the URL Standard's forms. First byte: the names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sticky_fuzz::{delimiter, names, pairs};

fuzz_target!(|input: &[u8]| {
    let Some((choice, form)) = input.split_first() else {
        return;
    };
    let delimiter = delimiter(*choice);
    let (plain, names) = names(*choice);
    let names = names.cut_at(delimiter);
    let ids = names.ids_in_form(form);
    pairs::assert_all_usable(ids);
    if let Some(expected) = pairs::ids(plain, delimiter, form) {
        pairs::assert_ids(names.ids_in_form(form), &expected);
    }
});
