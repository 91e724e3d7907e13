//! What becomes of requests, ids and sessions, by the names that variables, counters and pages show.

/// An enumeration whose values are shown by a name and counted by a number from 0.
macro_rules! named {
    (
        $(#[$attribute:meta])*
        pub enum $kind:ident {
            $($(#[$comment:meta])* $value:ident = $name:literal,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub enum $kind {
            $($(#[$comment])* $value,)*
        }

        impl $kind {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$value),*];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// What it is called.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)*
                }
            }

            /// Its number.
            pub const fn number(self) -> usize {
                self as usize
            }
        }
    };
}

named! {
    /// What became of the session of a request: the value of `$sticky_status`.
    pub enum Status {
        /// The request has no session id.
        None = "NONE",
        /// It had none, and the response handed one out.
        New = "NEW",
        /// It went to the server of its session.
        Hit = "HIT",
        /// Its session id is unknown.
        Miss = "MISS",
        /// Its session has expired.
        Expired = "EXPIRED",
        /// The server of its session cannot be used.
        Gone = "GONE",
        /// The server of its session is in another upstream of the share.
        Foreign = "FOREIGN",
        /// The server of its session has as many requests as it may have.
        Full = "FULL",
    }
}

named! {
    /// Where a session was learned: the words of `learn=`.
    pub enum Source {
        /// Links and forms of pages.
        Html = "html",
        /// Forms of pages.
        Forms = "forms",
        /// Location and other headers with links.
        Location = "location",
        /// Set-Cookie.
        Cookie = "cookie",
        /// Another header.
        Header = "header",
        /// JSON.
        Json = "json",
        /// Event streams.
        Sse = "sse",
        /// Plain text, such as playlists.
        Text = "text",
        /// XML.
        Xml = "xml",
        /// Object literals of scripts.
        Script = "script",
        /// A variable.
        Variable = "variable",
        /// A request that came with an unknown id.
        Request = "request",
        /// `create=` of `sticky learn`.
        Create = "create",
    }
}

named! {
    /// What reads bodies of responses: the words of `learn=` that do, and `mode=rewrite`.
    pub enum Reader {
        /// Links and forms of pages.
        Html = "html",
        /// Forms of pages.
        Forms = "forms",
        /// JSON.
        Json = "json",
        /// Event streams.
        Sse = "sse",
        /// Plain text.
        Text = "text",
        /// XML.
        Xml = "xml",
        /// Object literals of scripts.
        Script = "script",
        /// Pages whose links are rewritten.
        Rewrite = "rewrite",
    }
}

named! {
    /// How far a body was read.
    pub enum BodyEnd {
        /// To its end.
        Whole = "whole",
        /// As far as compressed bodies are read.
        Cut = "cut",
        /// Up to a place from which on it is too odd, broken or too costly.
        GivenUp = "given_up",
        /// It has ended before its end: the client or the server has left.
        Ended = "ended",
    }
}

named! {
    /// Why an id of a response was not learned, or a response not read.
    pub enum Skip {
        /// More new ids than are learned from one response.
        Cap = "cap",
        /// No source of `learn=` reads bodies of that Content-Type.
        Type = "type",
        /// Nothing reads that Content-Encoding.
        Coding = "coding",
        /// The id is longer than ids may be.
        Size = "size",
        /// A link to another host.
        Host = "host",
        /// The server has failed (5xx).
        Status = "status",
        /// The response is from the cache.
        Cache = "cache",
        /// The header with the id is not sent to the client (`proxy_hide_header`).
        Hidden = "hidden",
        /// Shared caches may keep the response, so it gets no cookie (`cacheable=`).
        Shared = "shared",
        /// A reader has given up in the middle of a body that is too odd.
        GivenUp = "given_up",
        /// The table has no place or no number for it.
        Refused = "refused",
    }
}

named! {
    /// Why a session has moved to another server.
    pub enum Move {
        /// Its server is down or has failed.
        Failed = "failed",
        /// Its server has left the configuration.
        Left = "left",
        /// A request of it was balanced to the other server, which has answered it.
        Balanced = "balanced",
        /// An operator has moved it.
        Hand = "hand",
        /// The deadline of a drain has passed.
        Drained = "drained",
    }
}

named! {
    /// Why a session was forgotten before its time.
    pub enum Forget {
        /// The application has ended it.
        Ended = "ended",
        /// The request that has entered it has had no answer that keeps it.
        Unanswered = "unanswered",
        /// An operator has forgotten it.
        Hand = "hand",
    }
}
