//! The beginning of a page, which is searched for `<base href>` once that matters: when a link is read.
//! Most small pages have none with an id, and are over before that.

use super::base_href::BaseFinder;

/// So much is kept at most until a link is read, in bytes. Of a longer page, all is searched as it comes.
const MAX_KEPT: usize = 4 * 1024;

/// The beginning of a page.
pub(super) struct Head {
    finder: BaseFinder,
    /// What has come and was not searched, which begins at `place` of the page.
    kept: Vec<u8>,
    place: u64,
    /// What comes is searched at once.
    is_searched: bool,
}

impl Head {
    pub(super) fn new() -> Self {
        Self {
            finder: BaseFinder::new(),
            kept: Vec::new(),
            place: 0,
            is_searched: false,
        }
    }

    /// Begins another page.
    pub(super) fn restart(&mut self) {
        self.finder.restart();
        self.kept.clear();
        self.place = 0;
        self.is_searched = false;
    }

    /// How many bytes it has allocated.
    pub(super) fn allocated(&self) -> usize {
        self.kept.capacity()
    }

    /// Takes the next piece, and calls `rebase` with where in the page a `<base href>` ends, and with
    /// the `href` as it is written, if that is known; once per page.
    #[inline]
    pub(super) fn feed(&mut self, piece: &[u8], rebase: impl FnMut(u64, &[u8])) {
        if self.is_searched {
            self.go_on(piece, rebase);
        } else if self.kept.len() + piece.len() <= MAX_KEPT {
            self.kept.extend_from_slice(piece);
        } else {
            self.search(piece, rebase);
        }
    }

    /// A link is to be read: calls `rebase` as [`feed`](Self::feed) does for what has come so far.
    #[inline]
    pub(super) fn catch_up(&mut self, rebase: impl FnMut(u64, &[u8])) {
        if !self.is_searched {
            self.search(&[], rebase);
        }
    }

    /// Searches what is kept, and this piece behind it.
    #[inline(never)]
    fn search(&mut self, piece: &[u8], mut rebase: impl FnMut(u64, &[u8])) {
        self.is_searched = true;
        let mut kept = std::mem::take(&mut self.kept);
        for part in [&*kept, piece] {
            self.go_on(part, &mut rebase);
        }
        // Its memory serves the next page.
        kept.clear();
        self.kept = kept;
    }

    // Where pieces have a byte, a call costs as much as what it does.
    #[inline(always)]
    fn go_on(&mut self, piece: &[u8], mut rebase: impl FnMut(u64, &[u8])) {
        if self.finder.is_done() {
            return;
        }
        if let Some((at, href)) = self.finder.feed(piece) {
            rebase(self.place + at as u64, href);
        }
        self.place += piece.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::{BaseFinder, Head, MAX_KEPT};

    /// Where the base is found, however much of the page is kept and whenever a link is read.
    #[test]
    fn a_base_is_where_it_is_without_keeping_anything() {
        let tag = "<base href='/a/'>";
        for before in [0, 1, MAX_KEPT - 20, MAX_KEPT - 1, MAX_KEPT, 3 * MAX_KEPT] {
            let page = format!(
                "<head>{}{tag}</head>{}",
                " ".repeat(before),
                "x".repeat(before)
            );
            let page = page.as_bytes();
            let expected = BaseFinder::new()
                .feed(page)
                .map(|(at, href)| (at as u64, href.to_vec()));
            assert!(expected.is_some());
            let mut head = Head::new();
            for size in [1, 100, MAX_KEPT / 2, MAX_KEPT + 5, page.len()] {
                for first_link in [0, 1, 7, usize::MAX] {
                    head.restart();
                    let mut got = None;
                    let mut rebase = |place, href: &[u8]| {
                        assert_eq!(got.replace((place, href.to_vec())), None);
                    };
                    for (number, piece) in page.chunks(size).enumerate() {
                        head.feed(piece, &mut rebase);
                        if number >= first_link {
                            head.catch_up(&mut rebase);
                        }
                    }
                    head.catch_up(&mut rebase);
                    assert_eq!(got, expected, "{before} bytes, {size}, {first_link}");
                    assert!(head.allocated() <= 2 * MAX_KEPT);
                }
            }
        }
    }
}
