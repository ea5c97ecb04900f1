//! What several rounds say together.

use serde::Serialize;

/// How certain it is that a median lies where [`Spread`] says.
const CERTAINTY: f64 = 0.95;

/// The median of what several rounds gave, and between which of them the median of any number of rounds lies.
///
/// No shape of the numbers is assumed: between the k-th smallest and the k-th largest of n numbers there is the true
/// median, unless fewer than k of them fell on one side of it, as coins fall.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub middle: f64,
    /// From where to where it lies with a certainty of at least 0.95; nothing where there were fewer than six rounds.
    pub between: Option<(f64, f64)>,
}

impl Spread {
    /// Of what the rounds gave.
    pub fn of(numbers: Vec<f64>) -> Self {
        let numbers = sorted(numbers);
        let between = outermost(numbers.len()).map(|place| (numbers[place], numbers[numbers.len() - 1 - place]));
        Self { middle: middle_of_sorted(&numbers), between }
    }
}

/// How many of `rounds` sorted numbers can be left out at each end.
fn outermost(rounds: usize) -> Option<usize> {
    let all = 0.5_f64.powi(rounds as i32);
    // How likely it is that so many, or fewer, of the rounds fell on one side of the median.
    let mut one_side = 0.0;
    let mut exactly = all;
    (0..rounds / 2)
        .take_while(|place| {
            one_side += exactly;
            exactly *= (rounds - place) as f64 / (place + 1) as f64;
            1.0 - 2.0 * one_side >= CERTAINTY
        })
        .last()
}

/// The median.
pub fn middle(numbers: Vec<f64>) -> f64 {
    middle_of_sorted(&sorted(numbers))
}

fn sorted(mut numbers: Vec<f64>) -> Vec<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn middle_of_sorted(numbers: &[f64]) -> f64 {
    let half = numbers.len() / 2;
    match numbers.get(half) {
        Some(upper) if numbers.len().is_multiple_of(2) => (numbers[half - 1] + upper) / 2.0,
        Some(middle) => *middle,
        None => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle_or_between_two() {
        assert_eq!(middle(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(middle(vec![9.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(middle(Vec::new()).is_nan());
    }

    /// The places that the tables of the sign test have for a certainty of 95 %.
    #[test]
    fn as_many_rounds_are_left_out_as_the_sign_test_allows() {
        let places =
            [(5, None), (6, Some(0)), (8, Some(0)), (9, Some(1)), (12, Some(2)), (20, Some(5)), (50, Some(17))];
        for (rounds, place) in places {
            assert_eq!(outermost(rounds), place, "{rounds} rounds");
        }
    }

    #[test]
    fn a_round_that_was_out_of_the_ordinary_moves_nothing() {
        let mut numbers: Vec<f64> = (1..=9).map(f64::from).collect();
        assert_eq!(Spread::of(numbers.clone()), Spread { middle: 5.0, between: Some((2.0, 8.0)) });
        numbers[8] = 1e9;
        assert_eq!(Spread::of(numbers), Spread { middle: 5.0, between: Some((2.0, 8.0)) });
    }
}
