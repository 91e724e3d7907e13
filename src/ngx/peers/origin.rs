//! Which `server` directive a peer comes from, before nginx 1.29.6. The peers of a list are in the
//! order of the directives, one for each address (`ngx_http_upstream_init_round_robin()`). A peer
//! whose name is resolved at run time, since 1.27.3, knows the directive's template.

use crate::ngx::upstream::Upstream;

use super::{Identity, Peer, PeerList};

/// The directives of one list of peers.
pub struct Origins {
    /// Position of the directive, for each address that the configuration has.
    fixed: std::vec::IntoIter<usize>,
    /// The templates of names, each with the position of its directive.
    #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
    templates: Vec<(*const Peer, usize)>,
}

impl Origins {
    /// The directives of the primary or of the backup list.
    ///
    /// # Safety
    /// `peers` are those of `us`, which is a block of the configuration.
    pub unsafe fn new(peers: PeerList, us: Upstream<'_>, backup: bool) -> Self {
        let mut fixed = Vec::new();
        let mut resolved = [Vec::new(), Vec::new()];
        for (position, server) in us.servers().iter().enumerate() {
            let is_backup = server.backup() != 0;
            #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
            let is_resolved = server.host.len != 0;
            #[cfg(not(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone")))]
            let is_resolved = false;
            if is_resolved {
                resolved[usize::from(is_backup)].push(position);
            } else if is_backup == backup {
                fixed.extend(std::iter::repeat_n(position, server.naddrs));
            }
        }
        let _ = (peers, &resolved);
        Self {
            fixed: fixed.into_iter(),
            // A name of the primary list may have backup addresses (SRV records).
            #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
            // SAFETY: ngx_http_upstream_init_round_robin() makes a list's templates, linked by
            // next, and ngx_http_upstream_zone_copy_peers() copies them; they stay as long as the
            // list.
            templates: unsafe {
                let primary = peers.primary();
                [primary, peers.backup()]
                    .into_iter()
                    .zip(resolved)
                    .filter(|(list, _)| !list.is_null())
                    .flat_map(|(list, positions)| {
                        let mut template: *const Peer = (*list).resolve;
                        positions.into_iter().map_while(move |position| {
                            let this = template;
                            template = this.as_ref()?.next;
                            Some((this, position))
                        })
                    })
                    .collect()
            },
        }
    }

    /// The identity of the next peer of the list: to be called for each, in order.
    ///
    /// # Safety
    /// `peer` is in a list that is locked for reading.
    pub unsafe fn of<'a>(&mut self, peer: &'a Peer) -> Identity<'a> {
        #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
        // SAFETY: NULL, or the host of a template (ngx_http_upstream_zone_set_peer()); it stays as
        // long as the list.
        if let Some(host) = unsafe { peer.host.as_ref() } {
            let template: *const Peer = host.peer;
            let known = self.templates.iter().find(|(at, _)| *at == template);
            return Identity::Server(known.map(|(_, position)| *position));
        }
        let _ = peer;
        Identity::Server(self.fixed.next())
    }
}
