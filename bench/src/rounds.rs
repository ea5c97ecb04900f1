//! What the rounds say together, in which targets take turns.

use serde_json::{Value, json};

use crate::load::Sample;
use crate::spread::{Spread, middle};

/// What was seen of a target under load, once.
pub struct Turn {
    /// What its events took.
    pub sample: Sample,
    /// How many calls the API has counted.
    pub calls: u64,
    /// How many connections to the API it has at the end, where that can be seen.
    pub connections: Option<usize>,
}

/// What all turns of a target say together. Each is compared with the floor's turn in the same round: what the machine did
/// then fell on both.
pub fn summary(turns: &[Turn], floor: &[Turn]) -> Value {
    let samples: Vec<_> = turns.iter().map(|turn| &turn.sample).collect();
    let mut value = json!(median(&samples));
    value["calls"] = json!(turns.iter().map(|turn| turn.calls).sum::<u64>());
    value["connections"] = json!(turns.iter().filter_map(|turn| turn.connections).max());
    let compared = |with: fn(&Sample, &Sample) -> f64| {
        let rounds = turns.iter().zip(floor).map(|(turn, floor)| with(&turn.sample, &floor.sample));
        json!(Spread::of(rounds.collect()))
    };
    value["throughput_of_floor"] = compared(|ours, floor| ours.events_per_second / floor.events_per_second);
    value["p50_of_floor"] = compared(|ours, floor| ours.p50_ms / floor.p50_ms);
    value["p50_added_ms"] = compared(|ours, floor| ours.p50_ms - floor.p50_ms);
    value
}

/// Of several rounds, the median of each number.
fn median(samples: &[&Sample]) -> Sample {
    let of = |number: fn(&Sample) -> f64| middle(samples.iter().map(|sample| number(sample)).collect());
    Sample {
        events: samples.iter().map(|sample| sample.events).sum(),
        events_per_second: of(|sample| sample.events_per_second),
        p50_ms: of(|sample| sample.p50_ms),
        p90_ms: of(|sample| sample.p90_ms),
        p99_ms: of(|sample| sample.p99_ms),
        max_ms: of(|sample| sample.max_ms),
        redeliveries: samples.iter().map(|sample| sample.redeliveries).sum(),
        pods: samples.iter().map(|sample| sample.pods).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(rates: [f64; 6]) -> Vec<Turn> {
        let turn = |rate| {
            let sample = Sample { events: 10, events_per_second: rate, p50_ms: 1e3 / rate, ..Sample::default() };
            Turn { sample, calls: 20, connections: Some(1) }
        };
        rates.map(turn).into()
    }

    /// On a machine that becomes faster all the time, and of which the target always gets the half.
    #[test]
    fn a_turn_is_compared_with_the_floor_in_its_own_round() {
        let floor = turns([10.0, 20.0, 40.0, 50.0, 80.0, 100.0]);
        let summary = summary(&turns([5.0, 10.0, 20.0, 25.0, 40.0, 50.0]), &floor);
        assert_eq!(summary["throughput_of_floor"], json!({"middle": 0.5, "between": [0.5, 0.5]}));
        assert_eq!(summary["p50_of_floor"], json!({"middle": 2.0, "between": [2.0, 2.0]}));
        assert_eq!(summary["p50_added_ms"], json!({"middle": 22.5, "between": [10.0, 100.0]}));
        assert_eq!((&summary["calls"], &summary["connections"]), (&json!(120), &json!(1)));
    }
}
