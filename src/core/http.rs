//! Reads and writes parts of HTTP messages: cookies, parameters of headers, media types, posted
//! forms.

pub mod cache_control;
pub mod cookie;
pub(crate) mod cookie_expiry;
pub mod credentials;
pub mod header_value;
pub mod media_type;
pub mod multipart;
