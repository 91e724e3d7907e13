//! The ids of a request. It may have several: cookies of one name for two paths, an id appended to
//! a link that has one. Which of them counts is decided by what is known of them, see
//! [`crate::candidates`].
//!
//! In each place they come in the order of the names, those of one name as they were sent; values
//! that are no id are left out.

use std::borrow::Cow;

use super::at_once::is_one_short_pair;
use super::name::{decoded, unescaped, BytePair};
use super::pieces::{is_unescaped, searched, separates_pairs, split};
use super::{path, Names};
use crate::http::cookie;
use crate::http::credentials;
use crate::http::multipart::Field;

impl Names {
    /// The first of the [ids in a query](Names::ids_in_query).
    pub fn first_in_query<'a>(&self, query: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let query = searched(query, separates_pairs);
        if is_unescaped(query) && self.plain().all(|name| name.literal_is_name) {
            return self.plain().find_map(|name| {
                let mut ids = name.values_in_unescaped(query);
                ids.find_map(|value| self.id_in(value).map(Cow::Borrowed))
            });
        }
        self.ids_in_query(query).next()
    }

    /// The ids in a query, read as in [`Names::in_query`].
    pub fn ids_in_query<'a, 'n>(
        &'n self,
        query: &'a [u8],
    ) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a, 'n> {
        let query = searched(query, separates_pairs);
        let is_plain = is_unescaped(query) && self.plain().all(|name| name.literal_is_name);
        self.plain().flat_map(move |name| {
            let plain = is_plain.then(|| name.values_in_unescaped(query));
            let plain = plain.into_iter().flatten().map(Cow::Borrowed);
            let pairs = (!is_plain).then(|| split(query, |at| memchr::memchr2(b'&', b';', at)));
            let pairs = pairs.into_iter().flatten();
            let values = plain.chain(pairs.filter_map(|pair| name.value_in(pair).map(decoded)));
            values.filter_map(|value| self.cut(value))
        })
    }

    /// The ids in a body of `application/x-www-form-urlencoded`: as in a query, but separated by
    /// `&` only (URL Standard, 5.1).
    pub fn ids_in_form<'a, 'n>(
        &'n self,
        body: &'a [u8],
    ) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a, 'n> {
        self.plain().flat_map(move |name| {
            let pairs = split(body, |pairs| memchr::memchr(b'&', pairs));
            let values = pairs.filter_map(|pair| name.value_in(pair).map(decoded));
            values.filter_map(|value| self.cut(value))
        })
    }

    /// The ids among the fields of a form; nothing is decoded.
    pub fn ids_in_fields<'a, F: Iterator<Item = Field<'a>>>(
        &self,
        fields: F,
    ) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a, F> {
        let rank = |field: &Field<'_>| self.plain().position(|own| *own.bytes == *field.name);
        let ids = fields.filter_map(|field| Some((rank(&field)?, self.id_in(field.value)?)));
        let mut ids: Vec<_> = ids.collect();
        // Stable: those of one name stay as they were sent.
        ids.sort_by_key(|(rank, _)| *rank);
        ids.into_iter().map(|(_, id)| Cow::Borrowed(id))
    }

    /// The ids in the path of a URL, read as in [`Names::in_path`].
    pub fn ids_in_path<'a, 'n>(
        &'n self,
        path: &'a [u8],
    ) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a, 'n> {
        self.names
            .iter()
            .flat_map(move |name| path::values_in(path, name))
            .filter_map(|value| self.cut(value))
    }

    /// What each Cookie header has that has a cookie of one of the names: a quick check.
    #[inline]
    pub fn pairs_in_cookies(&self) -> &[BytePair] {
        &self.pairs_in_cookies
    }

    /// The common case of [`Names::first_in_cookies`]: a header that has the one name first as that
    /// of a cookie, whose value is an id with nothing to decode. `None`: it is no such header.
    #[inline]
    pub fn first_in_plain_cookies<'a>(&self, header: &'a [u8]) -> Option<&'a [u8]> {
        let [name] = &*self.names else {
            return None;
        };
        if !name.literal_is_name {
            return None;
        }
        let at = name.literal.find(header)?;
        let (before, found) = header.split_at_checked(at)?;
        if !(before.is_empty() || before.ends_with(b"; ")) {
            return None;
        }
        let value = found.get(name.bytes.len()..)?.strip_prefix(b"=")?;
        let end = memchr::memchr3(b';', b'%', b' ', value).unwrap_or(value.len());
        let (value, after) = value.split_at_checked(end)?;
        if matches!(after, [b'%' | b' ', ..]) || value.contains(&b'\t') {
            return None;
        }
        self.id_in(value)
    }

    /// The same of a header that has nothing else, in one look.
    #[inline(always)]
    pub fn in_cookie_alone<'a>(&self, header: &'a [u8]) -> Option<&'a [u8]> {
        let [name] = &*self.names else {
            return None;
        };
        if name.letter.is_some() || !is_one_short_pair(header) {
            return None;
        }
        self.id_within(name.value_in_plain(header)?)
    }

    /// The first of the [ids in cookies](Names::ids_in_cookies).
    #[inline(never)]
    pub fn first_in_cookies<'a>(
        &self,
        headers: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Option<Cow<'a, [u8]>> {
        self.ids_in_cookies(headers).next()
    }

    /// The ids in the cookies of the names; `headers` are the values of the Cookie headers.
    pub fn ids_in_cookies<'a, 'n, H: Iterator<Item = &'a [u8]> + Clone>(
        &'n self,
        headers: H,
    ) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a, 'n, H> {
        let headers = headers.map(|header| searched(header, |byte| byte == b';'));
        self.plain().flat_map(move |name| {
            let found = name.literal_is_name.then(|| headers.clone());
            let found = found.into_iter().flatten();
            let found =
                found.flat_map(|header| cookie::values_found(header, &name.bytes, &name.literal));
            let all = (!name.literal_is_name).then(|| headers.clone());
            let all = cookie::values_of(all.into_iter().flatten(), &name.bytes);
            let values = found.chain(all);
            values.filter_map(|value| self.cut(unescaped(value)))
        })
    }

    /// The ids in headers that have nothing else in them; `values` are those of all such headers.
    pub fn ids_in_headers<'a, 'n, H: Iterator<Item = &'a [u8]>>(
        &'n self,
        values: H,
    ) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a, 'n, H> {
        values.filter_map(|value| self.id_in(value).map(Cow::Borrowed))
    }

    /// The ids in the parameter of headers that is called `parameter`, read as in
    /// [`credentials::values_of`]; `values` are those of all such headers.
    pub fn ids_in_parameters<'a, 'n, H: Iterator<Item = &'a [u8]>>(
        &'n self,
        values: H,
        parameter: &'n [u8],
    ) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a, 'n, H> {
        let values = values.map(|value| searched(value, |byte| matches!(byte, b',' | b';' | b' ')));
        let values = values.flat_map(move |value| credentials::values_of(value, parameter));
        values.filter_map(|value| self.cut(value))
    }
}
