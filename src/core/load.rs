//! `balance_factor`: how many active requests a server may have, compared with the others, before a
//! request of one of its sessions goes elsewhere. As HAProxy's hash-balance-factor, after "Consistent
//! Hashing with Bounded Loads" (Mirrokni, Thorup and Zadimoghaddam, 2016).

/// Active requests and weight of a server, or of several together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Load {
    /// Requests that it has now.
    pub active: u64,
    /// `weight=` of its line.
    pub weight: u64,
}

impl Load {
    /// Whether one more request would exceed the share of a server: `active` + 1 is above the next
    /// whole number of `factor` per cent of (`all.active` + 1) × `weight` / `all.weight`. `all` are
    /// those that can be used, this one among them: never all of them exceed it.
    ///
    /// ```
    /// use sticky_core::load::Load;
    ///
    /// let load = |active| Load { active, weight: 1 };
    /// let all = |active| Load { active, weight: 3 };
    /// // Of 11 requests, 3.67 are a third, and 4.58 are 125 % of that: 5 are let in.
    /// assert!(!load(4).is_over(125, all(10)));
    /// assert!(load(5).is_over(125, all(10)));
    /// ```
    pub fn is_over(self, factor: u32, all: Load) -> bool {
        // A whole number is above the next one of x if it is at least x + 1.
        let [active, weight, most, weights] =
            [self.active, self.weight, all.active, all.weight].map(u128::from);
        let own = active.saturating_mul(100).saturating_mul(weights);
        let share = u128::from(factor).saturating_mul(most + 1);
        own >= share.saturating_mul(weight)
    }

    /// Whether it is less loaded than another one for its weight, with one request more.
    pub fn is_below(self, other: Load) -> bool {
        let with_one = |load: Load| u128::from(load.active) + 1;
        with_one(self) * u128::from(other.weight) < with_one(other) * u128::from(self.weight)
    }
}
