//! nginx's own forms of the directive, `sticky cookie|route|learn`, with their variables resolved.

use std::cell::OnceCell;

use sticky_core::directive::nginx_forms::{NginxCookieRule, NginxLearnRule, NginxRule};

use crate::ngx::complex::{Text, Variable};
use crate::ngx::conf::Conf;
use crate::zone::sessions::Sessions;

/// One of nginx's own forms, with what it needs at run time.
pub struct NginxForm<'c> {
    /// Name the server or the session of a request; the first that has a value decides.
    pub lookup: Vec<Variable>,
    /// `sticky cookie`.
    pub cookie: Option<NginxCookie<'c>>,
    /// `sticky learn`.
    pub learn: Option<NginxLearn<'c>>,
}

/// What `sticky cookie` needs.
pub struct NginxCookie<'c> {
    /// As the directive says.
    pub rule: NginxCookieRule,
    /// The attribute domain.
    pub domain: Option<Text<'c>>,
    /// The attribute samesite.
    pub samesite: Option<Text<'c>>,
}

/// What `sticky learn` needs.
pub struct NginxLearn<'c> {
    /// Name a session to be learned; the first that has a value decides.
    pub create: Vec<Variable>,
    /// As the directive says.
    pub rule: NginxLearnRule,
    /// Set once the zone is known.
    pub sessions: OnceCell<Sessions<'c>>,
}

impl<'c> NginxForm<'c> {
    /// Resolves the variables of a directive. `None`: nginx has logged why that failed.
    pub fn new(cf: Conf<'c>, rule: NginxRule) -> Option<Self> {
        let variables = |names: &[Vec<u8>]| -> Option<Vec<Variable>> {
            let mut names = names.iter();
            names.try_fold(Vec::new(), |mut all, name| {
                all.push(Variable::named(cf, name)?);
                Some(all)
            })
        };
        let form = match rule {
            NginxRule::Cookie(rule) => {
                let text = |text: &Option<Vec<u8>>| match text {
                    Some(text) => Text::compile(cf, text).map(Some),
                    None => Some(None),
                };
                NginxForm {
                    lookup: variables(&[[b"cookie_", &rule.name[..]].concat()])?,
                    cookie: Some(NginxCookie {
                        domain: text(&rule.domain)?,
                        samesite: text(&rule.samesite)?,
                        rule,
                    }),
                    learn: None,
                }
            }
            NginxRule::Route(names) => NginxForm {
                lookup: variables(&names)?,
                cookie: None,
                learn: None,
            },
            NginxRule::Learn(rule) => NginxForm {
                lookup: variables(&rule.lookup)?,
                cookie: None,
                learn: Some(NginxLearn {
                    create: variables(&rule.create)?,
                    rule,
                    sessions: OnceCell::new(),
                }),
            },
        };
        Some(form)
    }
}
