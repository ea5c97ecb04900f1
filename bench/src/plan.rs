//! How much is measured.

use std::net::IpAddr;
use std::time::Duration;

use http::Uri;

use crate::USAGE;

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `full`, `short` or `gateways`.
    pub name: &'static str,
    /// The turns of each target.
    pub turns: Turns,
    /// The same against a real API server, which wavers more: more of them, so that all targets see the same of it.
    pub real_turns: Turns,
    /// How many events are under way at once.
    pub at_once: &'static [usize],
    /// How often a target is started to see how long that takes.
    pub starts: usize,
    /// After how many events its memory is looked at.
    pub many: usize,
    /// How many events come all at once.
    pub burst: usize,
    /// How many Pods are there already.
    pub pods: &'static [usize],
    /// How many gateways the list has, or there are.
    pub gateways: &'static [usize],
    /// How many bytes an event's data has.
    pub bytes: &'static [usize],
    /// Whether a real API server is asked as well.
    pub is_real: bool,
    /// The one part that is wanted, or nothing for all.
    pub only: Option<String>,
    /// Another provisioner, which is there already.
    pub target: Option<String>,
}

/// How often a target is under load, and how long at a time.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    /// How often.
    pub rounds: usize,
    /// How long.
    pub window: Duration,
}

impl Turns {
    /// As many, each a quarter as long.
    pub fn quarter(self) -> Self {
        Self { window: self.window / 4, ..self }
    }
}

const FULL: Plan = Plan {
    name: "full",
    turns: Turns { rounds: 9, window: Duration::from_millis(500) },
    real_turns: Turns { rounds: 20, window: Duration::from_secs(1) },
    at_once: &[1, 8, 32, 128],
    starts: 5,
    many: 10_000,
    burst: 5_000,
    pods: &[100, 1_000, 5_000, 20_000],
    gateways: &[1, 10, 100, 1_000],
    bytes: &[100, 1_000, 10_000, 100_000, 1_000_000],
    is_real: false,
    only: None,
    target: None,
};

const SHORT: Plan = Plan {
    name: "short",
    turns: Turns { rounds: 6, window: Duration::from_millis(250) },
    real_turns: Turns { rounds: 6, window: Duration::from_secs(1) },
    at_once: &[1, 8, 32, 128],
    starts: 1,
    many: 2_000,
    burst: 1_000,
    pods: &[100, 2_000],
    gateways: &[1, 1_000],
    bytes: &[100, 100_000],
    is_real: false,
    only: None,
    target: None,
};

/// What a gateway's webhook costs, and nothing else.
const GATEWAYS: Plan = Plan {
    name: "gateways",
    real_turns: Turns { rounds: 9, window: Duration::from_secs(1) },
    at_once: &[1, 8],
    gateways: &[1, 2, 5, 10, 20],
    is_real: true,
    ..FULL
};

/// What a run consists of.
const PARTS: [&str; 6] = ["compare", "review", "start", "memory", "burst", "growth"];

impl Plan {
    /// Whether this part is wanted.
    pub fn has(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }

    /// Reads the command line.
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let (mut plan, mut rest) = match words {
            ["full", rest @ ..] => (FULL, rest),
            ["short", rest @ ..] => (SHORT, rest),
            ["gateways", rest @ ..] => (Plan { only: Some(GATEWAYS.name.to_owned()), ..GATEWAYS }, rest),
            _ => return Err(USAGE.to_owned()),
        };
        while let [word, more @ ..] = rest {
            rest = match (*word, more) {
                ("--apiserver", more) => {
                    plan.is_real = true;
                    more
                }
                ("--only", [part, more @ ..]) if PARTS.contains(part) => {
                    plan.only = Some((*part).to_owned());
                    more
                }
                ("--at", [at_once, more @ ..]) => {
                    let at = plan.at_once.iter().position(|known| known.to_string() == **at_once);
                    let at = at.ok_or_else(|| format!("--at takes one of {:?}", plan.at_once))?;
                    plan.at_once = &plan.at_once[at..=at];
                    plan.only = Some("compare".to_owned());
                    more
                }
                ("--rounds", [rounds, more @ ..]) => {
                    let rounds = rounds.parse().ok().filter(|rounds| *rounds > 0);
                    let rounds = rounds.ok_or("--rounds takes a number from 1 on")?;
                    (plan.turns.rounds, plan.real_turns.rounds) = (rounds, rounds);
                    more
                }
                ("--target", [url, more @ ..]) => {
                    plan.target = Some(loopback(url)?);
                    more
                }
                _ => return Err(USAGE.to_owned()),
            };
        }
        Ok(plan)
    }
}

/// Load is for this machine alone.
fn loopback(url: &str) -> Result<String, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url} is no URL: {error}"))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() && uri.scheme_str() == Some("http") => Ok(url.to_owned()),
        _ => Err(format!("{url} is no http:// URL of the loopback interface, 127.0.0.1 say")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_webhooks_are_measured_and_nothing_else() {
        let plan = Plan::parse(&["gateways", "--rounds", "3"]).unwrap();
        assert_eq!((plan.name, plan.real_turns.rounds), ("gateways", 3));
        assert!(!PARTS.iter().any(|part| plan.has(part)));
    }

    #[test]
    fn one_row_can_be_looked_at_more_closely() {
        let plan = Plan::parse(&["full", "--at", "32", "--rounds", "60"]).unwrap();
        assert_eq!((plan.at_once, plan.turns.rounds, plan.real_turns.rounds), (&[32][..], 60, 60));
        assert!(plan.has("compare") && !plan.has("growth"), "the numbers are no whole table");
        for wrong in [["full", "--at", "33"], ["full", "--rounds", "0"], ["full", "--rounds", "x"]] {
            assert!(Plan::parse(&wrong).unwrap_err().starts_with(wrong[1]), "{wrong:?}");
        }
    }
}
