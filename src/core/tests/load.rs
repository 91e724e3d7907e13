//! Tests for the share of the active requests that a server may have (`balance_factor`): without it a
//! busy session could take all of its server, or a request could find no server at all.

use sticky_core::load::Load;

fn load(active: u64, weight: u64) -> Load {
    Load { active, weight }
}

fn sum(all: &[Load]) -> Load {
    all.iter().fold(Load::default(), |sum, one| {
        load(sum.active + one.active, sum.weight + one.weight)
    })
}

/// As the rule is written, with fractions.
fn is_over(one: Load, factor: u32, all: Load) -> bool {
    let share = one.weight as f64 / all.weight as f64;
    let most = f64::from(factor) / 100.0 * (all.active + 1) as f64 * share;
    // Sums of a few hundredths: what is not whole is farther away than that.
    (one.active + 1) as f64 > (most - 1e-9).ceil()
}

#[test]
fn it_is_the_rule_as_written() {
    for factor in [101, 125, 150, 200, 1000, 10_000] {
        for weight in 1..5 {
            for active in 0..40 {
                for others in 0..60 {
                    let one = load(active, weight);
                    let all = load(active + others, weight + 3);
                    let told = format!("{factor} {one:?} {all:?}");
                    assert_eq!(
                        one.is_over(factor, all),
                        is_over(one, factor, all),
                        "{told}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_least_loaded_is_never_over() {
    let mut bits = 1u64;
    let mut random = |below: u64| {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (bits >> 33) % below
    };
    for _ in 0..20_000 {
        let count = 1 + random(9);
        let mut all = Vec::new();
        for _ in 0..count {
            let most = 1 << random(12);
            all.push(load(random(most), 1 + random(5)));
        }
        let least = all
            .iter()
            .copied()
            .reduce(|least, one| match one.is_below(least) {
                true => one,
                false => least,
            });
        let least = least.unwrap();
        assert!(all.iter().all(|one| !one.is_below(least)));
        assert!(!least.is_over(101, sum(&all)), "{all:?}");
    }
}

#[test]
fn no_number_overflows() {
    let most = load(u64::MAX, u64::MAX);
    most.is_over(101, most);
    assert!(!most.is_below(most));
    let many = load(u64::from(u32::MAX), 1);
    assert!(!many.is_over(101, many));
    assert!(many.is_over(101, load(many.active * 3, 4)));
}
