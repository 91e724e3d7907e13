//! The messages of refused directives.

use sticky_core::directive::parse;

/// The message for these words behind `sticky`.
pub fn refusal_of(words: &[&[u8]]) -> String {
    match parse(words) {
        Ok(_) => {
            let words: Vec<_> = words
                .iter()
                .map(|word| String::from_utf8_lossy(word))
                .collect();
            panic!("accepted: {}", words.join(" "))
        }
        Err(error) => error.to_string(),
    }
}

/// The same for words divided by single spaces.
pub fn refusal(line: &str) -> String {
    refusal_of(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
}
