//! What headers of HTTP say: cookies, parameters of values, media types, posted forms.

pub mod cookie;
mod cookie_expiry;
pub mod header_value;
pub mod media_type;
pub mod multipart;
