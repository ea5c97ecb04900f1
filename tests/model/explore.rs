//! Every state that a world can get into, breadth first, and the shortest way to each.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// Something with states and steps between them.
pub trait Model {
    type State: Clone + Eq + Hash;
    type Step: Clone + Debug;

    fn first(&self) -> Self::State;
    /// Every step out of a state, and where it leads. A state with none of them is an end.
    fn steps(&mut self, state: &Self::State) -> Vec<(Self::Step, Self::State)>;
}

/// What has to hold of a state; for an end, `true` comes with it.
pub type Property<S> = (&'static str, fn(&S, bool) -> bool);

/// What was found.
#[derive(Debug)]
pub struct Explored<T> {
    pub states: usize,
    pub ends: usize,
    /// The steps of the longest of the shortest ways.
    pub depth: usize,
    /// For each property that does not hold, the shortest way to where it does not.
    pub broken: Vec<(&'static str, Vec<T>)>,
}

impl<T> Explored<T> {
    pub fn way_to(&self, property: &str) -> Option<&[T]> {
        self.broken.iter().find(|(name, _)| *name == property).map(|(_, way)| way.as_slice())
    }
}

/// A state, the state before it, the step between them, and how many steps lead here.
struct Visited<S, T> {
    state: S,
    before: Option<(usize, T)>,
    depth: usize,
}

/// Walks every state once and holds every property against each of them.
pub fn explore<M: Model>(model: &mut M, properties: &[Property<M::State>]) -> Explored<M::Step> {
    let first = model.first();
    let mut seen = HashSet::from([first.clone()]);
    let mut visited = vec![Visited { state: first, before: None, depth: 0 }];
    let mut found = Explored { states: 0, ends: 0, depth: 0, broken: Vec::new() };
    let mut at = 0;
    while at < visited.len() {
        let (state, depth) = (visited[at].state.clone(), visited[at].depth);
        let steps = model.steps(&state);
        found.ends += usize::from(steps.is_empty());
        found.depth = depth;
        for (name, holds) in properties {
            if found.way_to(name).is_none() && !holds(&state, steps.is_empty()) {
                found.broken.push((name, way(&visited, at)));
            }
        }
        for (step, state) in steps {
            if !seen.contains(&state) {
                seen.insert(state.clone());
                visited.push(Visited { state, before: Some((at, step)), depth: depth + 1 });
            }
        }
        at += 1;
    }
    found.states = visited.len();
    found
}

fn way<S, T: Clone>(visited: &[Visited<S, T>], mut at: usize) -> Vec<T> {
    let mut way = Vec::new();
    while let Some((before, step)) = &visited[at].before {
        way.push(step.clone());
        at = *before;
    }
    way.reverse();
    way
}
