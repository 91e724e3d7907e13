//! What stands before, between and behind documents. It is skipped up to the bracket that opens the
//! next one. A document may also be a string alone, in which brackets open nothing.
//!
//! A control character ends a string, which cannot have one. So a quote that opens none, in another
//! line or packet, costs no more than what is left of that.

/// The state at the current place.
#[derive(Clone, Copy, Default)]
pub(super) struct Outside {
    in_string: bool,
    /// The next byte belongs to an escape.
    is_escaped: bool,
}

impl Outside {
    /// Reads on. Returns where the next document opens; `None`: not in these bytes.
    pub(super) fn next_document(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(rest @ [byte, ..]) = bytes.get(at..) {
            if !self.in_string {
                at += memchr::memchr3(b'{', b'[', b'"', rest)?;
                if bytes.get(at) != Some(&b'"') {
                    return Some(at);
                }
                self.in_string = true;
            } else if std::mem::take(&mut self.is_escaped) {
                self.in_string = *byte >= b' ';
            } else {
                at += rest
                    .iter()
                    .position(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\'))?;
                self.is_escaped = bytes.get(at) == Some(&b'\\');
                self.in_string = self.is_escaped;
            }
            at += 1;
        }
        None
    }
}
