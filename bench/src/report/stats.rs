//! Figures of figures.

/// The median of some measurements, and how far apart they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// None of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let sorted = sorted(values);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, least, most })
    }

    /// Half the distance between the farthest, in percent of the median.
    pub(crate) fn percent(self) -> f64 {
        if self.median > 0.0 { (self.most - self.least) / self.median * 50.0 } else { 0.0 }
    }
}

/// The values in order.
pub(crate) fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<_> = values.into_iter().collect();
    all.sort_by(f64::total_cmp);
    all
}

/// The least value that so many percent of the sorted values do not exceed; none of nothing.
pub(crate) fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    // A little less, because 99.9 % of a thousand is a little more than 999 in binary.
    let rank = (percent / 100.0 * sorted.len() as f64 - 1e-6).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let all: Vec<f64> = (1..=1000).map(f64::from).collect();
        for (percent, value) in [(0.0, 1.0), (50.0, 500.0), (99.0, 990.0), (99.9, 999.0), (100.0, 1000.0)] {
            assert_eq!(percentile(&all, percent), Some(value));
        }
        assert_eq!(percentile(&[7.0], 99.9), Some(7.0));
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn a_spread_is_around_its_median() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.least, spread.most), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of([1.0, 2.0]).map(|spread| spread.median), Some(1.5));
        assert!((spread.percent() - 50.0).abs() < 1e-9);
        assert_eq!(Spread::of([]), None);
    }
}
